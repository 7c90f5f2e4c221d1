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

_IOREG = ("ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator")
_IOREG_TIMEOUT_S = 5.0
_APPLE = re.compile(r'"(Device Utilization %|In use system memory)"\s*=\s*(\d+)')

Source = Callable[[], dict[str, float]]


def find_gpus(root: str = "/") -> Iterator[tuple[str, Source]]:
    """Yield a source for the GPUs of each maker that were found.

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
    """Measures the GPUs of NVIDIA that CUDA shows to this process, by their numbers in NVML.

    ``devices`` are the number and handle of each GPU, empty without a driver or the package.
    """

    def __init__(self) -> None:
        self.devices: list[tuple[str, Any]] = []
        try:
            import pynvml

            pynvml.nvmlInit()
        except Exception:  # noqa: BLE001 - no package, no driver, or one of another version
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
        _take(found, f"{gpu}.percent", f"{card}/gpu_busy_percent")
        _take(found, f"{gpu}.memory_bytes", f"{card}/mem_info_vram_used")
        _take(found, f"{gpu}.memory_percent", f"{card}/mem_info_vram_total")
        if total := found.pop(f"{gpu}.memory_percent", 0.0):
            found[f"{gpu}.memory_percent"] = 100.0 * found[f"{gpu}.memory_bytes"] / total
        for sensor in glob(f"{card}/hwmon/hwmon*"):
            _take(found, f"{gpu}.power_watts", f"{sensor}/power1_average", 1e-6)
            _take(found, f"{gpu}.celsius", f"{sensor}/temp1_input", 1e-3)
    return found


def _take(found: dict[str, float], name: str, path: str, unit: float = 1.0) -> None:
    """Add the number in a file if it exists."""
    with suppress(OSError, ValueError), open(path, encoding="ascii") as file:
        found[name] = int(file.read(64)) * unit


def measure_apple() -> dict[str, float]:
    """Return how busy the GPU of an Apple processor is, which needs no special rights."""
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
