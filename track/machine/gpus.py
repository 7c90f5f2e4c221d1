"""Measure the GPUs that this process may use."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from glob import glob
from typing import Any

from track.machine.files import number_in

_IOREG = ("ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator")
_IOREG_TIMEOUT_S = 5.0
_APPLE = re.compile(r'"(Device Utilization %|In use system memory)"\s*=\s*(\d+)')

_AMD = (
    ("percent", "gpu_busy_percent", 1.0),
    ("memory_bytes", "mem_info_vram_used", 1.0),
    ("power_watts", "hwmon/hwmon*/power1_average", 1e-6),
    ("celsius", "hwmon/hwmon*/temp1_input", 1e-3),
)
"""The files of AMD's driver with the metric and the unit in each."""


def find_gpus(root: str = "/") -> Iterator[tuple[str, Callable[[], dict[str, float]]]]:
    """Yield one source per vendor of GPUs that were found.

    Parameters
    ----------
    root
        the folder that holds ``sys``
    """
    nvidia = _Nvidia()
    if nvidia.devices:
        yield "NVIDIA GPUs", nvidia
    if cards := amd_cards(root):
        yield "AMD GPUs", lambda: _measure_amd(cards)
    if sys.platform == "darwin":
        yield "Apple GPU", measure_apple


class _Nvidia:
    """Measures the NVIDIA GPUs that CUDA makes visible to this process, by their NVML index.

    ``devices`` holds the index and handle of each GPU; it is empty without driver or package.
    """

    def __init__(self) -> None:
        self.devices: list[tuple[str, Any]] = []
        try:
            import pynvml

            pynvml.nvmlInit()
        except Exception:  # noqa: BLE001 - package or driver are missing or incompatible
            return
        self._library = pynvml
        handles: dict[str, Any] = {}
        for number in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(number)
            handles[str(number)] = handle
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is None:
            self.devices = [*handles.items()]
            return
        uuids = {str(pynvml.nvmlDeviceGetUUID(handle)): name for name, handle in handles.items()}
        for wanted in filter(None, map(str.strip, visible.split(","))):
            named = [name for uuid, name in uuids.items() if uuid.startswith(wanted)]
            found = [wanted] if wanted in handles else named
            if not found:
                break  # CUDA also stops at the first unknown one
            self.devices.append((found[0], handles[found[0]]))

    def __call__(self) -> dict[str, float]:
        found: dict[str, float] = {}
        library = self._library
        for number, handle in self.devices:
            gpu = f"gpu.{number}"
            with suppress(library.NVMLError):
                found[f"{gpu}.percent"] = library.nvmlDeviceGetUtilizationRates(handle).gpu
            with suppress(library.NVMLError):
                memory = library.nvmlDeviceGetMemoryInfo(handle)
                found[f"{gpu}.memory_bytes"] = memory.used
                found[f"{gpu}.memory_percent"] = 100.0 * memory.used / memory.total
            with suppress(library.NVMLError):
                found[f"{gpu}.power_watts"] = library.nvmlDeviceGetPowerUsage(handle) / 1000
            with suppress(library.NVMLError):
                kind = library.NVML_TEMPERATURE_GPU
                found[f"{gpu}.celsius"] = library.nvmlDeviceGetTemperature(handle, kind)
        return {name: float(value) for name, value in found.items()}


def amd_cards(root: str = "/") -> list[str]:
    """Return the folders in which AMD's driver describes its GPUs."""
    pattern = os.path.join(root, "sys/class/drm/card*/device/gpu_busy_percent")
    return sorted(map(os.path.dirname, glob(pattern)))


def _measure_amd(cards: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for number, card in enumerate(cards):
        gpu = f"gpu.{number}"
        for name, pattern, unit in _AMD:
            for path in glob(f"{card}/{pattern}"):
                if (value := number_in(path)) is not None:
                    found[f"{gpu}.{name}"] = value * unit
        used, total = found.get(f"{gpu}.memory_bytes"), number_in(f"{card}/mem_info_vram_total")
        if used is not None and total:
            found[f"{gpu}.memory_percent"] = 100.0 * used / total
    return found


def measure_apple() -> dict[str, float]:
    """Return the load and memory of an Apple GPU, which needs no special permissions."""
    output = subprocess.run(  # noqa: S603 - a constant command, found like any other program
        _IOREG,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_IOREG_TIMEOUT_S,
        check=True,
        text=True,
        errors="replace",
    ).stdout
    names = {"Device Utilization %": "gpu.0.percent", "In use system memory": "gpu.0.memory_bytes"}
    return {names[name]: float(value) for name, value in _APPLE.findall(output)}
