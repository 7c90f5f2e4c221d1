"""What is measured of processes, hosts, containers and GPUs."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from track.machine.container import find_container
from track.machine.gpus import find_gpus, measure_apple
from track.machine.rates import Rates
from track.machine.sources import find_sources

LIMIT = 8 * 10**9


def fake(root, files):
    for name, text in files.items():
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_the_process_is_measured_with_its_children():
    """Their memory counts, and their threads."""
    process = dict(find_sources())["process"]
    alone = process()
    with subprocess.Popen(
        [sys.executable, "-c", "b = bytearray(64 << 20); print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        child.stdout.readline()
        together = dict(find_sources())["process"]()
        child.communicate(b"\n")
    assert together["process.count"] == alone["process.count"] + 1
    assert together["process.memory_bytes"] > alone["process.memory_bytes"] + (60 << 20)
    assert together["process.threads"] > alone["process.threads"]


def test_the_time_of_processors_is_a_rate():
    """A process that computes all the time uses about one core."""
    process = dict(find_sources())["process"]
    before = sum(os.times()[:2])
    while sum(os.times()[:2]) < before + 0.3:
        pass
    assert process()["process.cpu_percent"] > 0


def test_the_host_is_measured():
    """Its numbers are floats, and make sense."""
    host = dict(find_sources())["host"]
    found = host()
    assert found["host.memory_bytes"] > 0
    assert 0 <= found["host.memory_percent"] <= 100
    assert found["host.disk_free_bytes"] > 0
    assert {type(value) for value in found.values()} == {float}
    assert found["host.network_sent_bytes_per_s"] >= 0


def test_counters_become_rates():
    """From the second look on; a counter that went back does not become a negative rate."""
    rates = Rates(iter([0.0, 1.0, 3.0, 4.0]).__next__)
    assert rates.since_last({"a": 5.0}) == {}
    assert rates.since_last({"a": 9.0, "b": 1.0}) == {"a": 2.0}
    assert rates.since_last({"a": 1.0, "b": 2.0}) == {"a": 0.0, "b": 1.0}


V2 = {
    "proc/self/cgroup": "0::/job.slice/run.scope\n",
    "sys/fs/cgroup/job.slice/run.scope/memory.max": "max\n",
    "sys/fs/cgroup/job.slice/memory.max": f"{LIMIT}\n",
    "sys/fs/cgroup/job.slice/memory.current": "3000000000\n",
    "sys/fs/cgroup/job.slice/memory.stat": "anon 1\ninactive_file 1000000000\n",
    "sys/fs/cgroup/job.slice/cpu.max": "200000 100000\n",
    "sys/fs/cgroup/job.slice/cpu.stat": "usage_usec 5000000\nuser_usec 1\n",
}
V1 = {
    "proc/self/cgroup": "4:memory:/job\n2:cpu,cpuacct:/job\n0::/\n",
    "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{LIMIT}\n",
    "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "3000000000\n",
    "sys/fs/cgroup/memory/job/memory.stat": "total_inactive_file 1000000000\n",
    "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "200000\n",
    "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpuacct/job/cpuacct.usage": "5000000000\n",
}
INSIDE = {
    "proc/self/cgroup": "0::/docker/0123\n",
    "sys/fs/cgroup/memory.max": f"{LIMIT}\n",
    "sys/fs/cgroup/memory.current": "3000000000\n",
    "sys/fs/cgroup/memory.stat": "inactive_file 1000000000\n",
    "sys/fs/cgroup/cpu.max": "max 100000\n",
}


@pytest.mark.parametrize("files", [V2, V1, INSIDE], ids=["version 2", "version 1", "inside"])
def test_a_container_is_measured_against_its_limits(tmp_path, files):
    """What the kernel can drop is not used; the limit may be that of a group around."""
    fake(tmp_path, files)
    found = find_container(str(tmp_path))()
    assert found["container.memory_bytes"] == 2e9
    assert found["container.memory_percent"] == 25.0


@pytest.mark.parametrize("files", [V2, V1], ids=["version 2", "version 1"])
def test_processor_time_is_measured_against_the_quota(tmp_path, files):
    """Two cores that are busy all the time are 100 percent of a quota of two."""
    fake(tmp_path, files)
    container = find_container(str(tmp_path))
    assert container.cpu.cores == 2.0
    assert container()["container.cpu_percent"] == 0.0
    spent = {name: text.replace("5000000", "9000000") for name, text in files.items()}
    fake(tmp_path, spent)
    assert container()["container.cpu_percent"] > 100


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "0::/\n"},
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"},
        {
            "proc/self/cgroup": "4:memory:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    ],
)
def test_without_a_limit_there_is_no_container(tmp_path, files):
    """The host says it all."""
    fake(tmp_path, files)
    assert find_container(str(tmp_path)) is None


class NVMLError(Exception):
    """What the library of NVIDIA raises."""


def power_in_milliwatts(gpu):
    """Return what a GPU needs; the third one does not tell."""
    if gpu == 2:
        raise NVMLError("Not Supported")
    return 250_500


NVML = SimpleNamespace(
    NVMLError=NVMLError,
    NVML_TEMPERATURE_GPU=0,
    nvmlInit=lambda: None,
    nvmlDeviceGetCount=lambda: 3,
    nvmlDeviceGetHandleByIndex=lambda number: number,
    nvmlDeviceGetUUID=lambda gpu: f"GPU-{'abc'[gpu]}0",
    nvmlDeviceGetUtilizationRates=lambda gpu: SimpleNamespace(gpu=90 + gpu),
    nvmlDeviceGetMemoryInfo=lambda gpu: SimpleNamespace(used=2**30, total=2**32),
    nvmlDeviceGetPowerUsage=power_in_milliwatts,
    nvmlDeviceGetTemperature=lambda gpu, kind: 60,
)
"""A driver with three GPUs."""


@pytest.mark.parametrize(
    ("visible", "numbers"),
    [
        (None, "012"),
        ("", ""),
        ("2,0", "20"),
        ("GPU-b", "1"),
        ("1,7,0", "1"),  # CUDA stops at the first that there is not
        ("-1", ""),
    ],
)
def test_visible_gpus_are_measured(tmp_path, monkeypatch, visible, numbers):
    """Under the numbers that nvidia-smi gives them."""
    monkeypatch.setitem(sys.modules, "pynvml", NVML)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = {}
    for _, source in find_gpus(str(tmp_path)):
        found.update(source())
    assert {name.split(".")[1] for name in found} == set(numbers)
    for number in numbers:
        assert found[f"gpu.{number}.percent"] == 90.0 + int(number)
        assert found[f"gpu.{number}.memory_percent"] == 25.0
        assert found.get(f"gpu.{number}.power_watts") == (None if number == "2" else 250.5)
        assert found[f"gpu.{number}.celsius"] == 60.0


def test_a_driver_that_is_broken_is_as_none(tmp_path, monkeypatch):
    """Whatever it raises."""
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(nvmlInit=lambda: 1 / 0))
    assert [*find_gpus(str(tmp_path))] == []


def test_gpus_of_amd_are_read_from_files(tmp_path, monkeypatch):
    """A card that has no sensors says what it can."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    card = "sys/class/drm/card1/device"
    fake(
        tmp_path,
        {
            f"{card}/gpu_busy_percent": "70\n",
            f"{card}/mem_info_vram_used": "1000\n",
            f"{card}/mem_info_vram_total": "4000\n",
            f"{card}/hwmon/hwmon3/power1_average": "45000000\n",
            f"{card}/hwmon/hwmon3/temp1_input": "51500\n",
            "sys/class/drm/card2/device/gpu_busy_percent": "5\n",
        },
    )
    ((_, source),) = find_gpus(str(tmp_path))
    assert source() == {
        "gpu.0.percent": 70.0,
        "gpu.0.memory_bytes": 1000.0,
        "gpu.0.memory_percent": 25.0,
        "gpu.0.power_watts": 45.0,
        "gpu.0.celsius": 51.5,
        "gpu.1.percent": 5.0,
    }


def test_the_gpu_of_an_apple_processor_is_read_from_the_registry(tmp_path, monkeypatch):
    """In the form in which ``ioreg`` prints it."""
    statistics = '"In use system memory"=4096,"Device Utilization %"=37,"Renderer Utilization %"=9'
    tool = tmp_path / "ioreg"
    tool.write_text(f"#!/bin/sh\necho '  \"PerformanceStatistics\" = {{{statistics}}}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert measure_apple() == {"gpu.0.percent": 37.0, "gpu.0.memory_bytes": 4096.0}
