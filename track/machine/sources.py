"""Find the available sources of measurements, and measure processes and the host."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING

from track.errors import MissingPackage
from track.machine.container import find_container
from track.machine.gpus import find_gpus
from track.machine.rates import Rates

if TYPE_CHECKING:
    import psutil

Source = Callable[[], dict[str, float]]
"""A function that returns the current measurements by name."""

_LOOK_FOR_CHILDREN_EVERY_S = 60.0
"""The time between searches for child processes, which take some milliseconds."""


def require_psutil() -> None:
    """Check that psutil is installed.

    Raises
    ------
    MissingPackage
        psutil is not installed
    """
    try:
        import psutil  # noqa: F401
    except ImportError as error:
        raise MissingPackage(
            "system metrics need the package psutil: pip install 'track-journal[system]'"
        ) from error


def find_sources(root: str = "/") -> Iterator[tuple[str, Source]]:
    """Yield the available sources with their names.

    Parameters
    ----------
    root
        the folder that holds ``proc`` and ``sys``
    """
    import psutil

    yield "process", ProcessTree(psutil.Process(os.getpid()))
    yield "host", Host()
    if (container := find_container(root)) is not None:
        yield "container", container
    yield from find_gpus(root)


class ProcessTree:
    """Measures this process and its children, which are searched for once a minute."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._children: list[psutil.Process] = []
        self._look_again_at = 0.0
        self._rates = Rates()
        self()

    def __call__(self) -> dict[str, float]:
        import psutil

        if monotonic() >= self._look_again_at:
            self._children = self._process.children(recursive=True)
            self._look_again_at = monotonic() + _LOOK_FOR_CHILDREN_EVERY_S
        seconds, memory, threads, alive = 0.0, 0, 0, 0
        for process in (self._process, *self._children):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    memory += process.memory_info().rss
                    threads += process.num_threads()
                    seconds += times.user + times.system
                alive += 1
            except (psutil.NoSuchProcess, psutil.AccessDenied):  # noqa: PERF203 - any process may have ended
                pass
        return self._rates.since_last({"process.cpu_percent": 100.0 * seconds}) | {
            "process.memory_bytes": float(memory),
            "process.threads": float(threads),
            "process.count": float(alive),
        }


class Host:
    """Measures the whole machine; in a container, its host."""

    def __init__(self) -> None:
        self._rates = Rates()
        self()

    def __call__(self) -> dict[str, float]:
        import psutil

        memory = psutil.virtual_memory()
        disks, network = psutil.disk_io_counters(), psutil.net_io_counters()
        counters: dict[str, float] = {}
        if disks is not None:
            counters["host.disk_read_bytes_per_s"] = disks.read_bytes
            counters["host.disk_written_bytes_per_s"] = disks.write_bytes
        if network is not None:
            counters["host.network_received_bytes_per_s"] = network.bytes_recv
            counters["host.network_sent_bytes_per_s"] = network.bytes_sent
        return self._rates.since_last(counters) | {
            "host.cpu_percent": psutil.cpu_percent(),
            "host.load_1m": os.getloadavg()[0],
            "host.memory_bytes": float(memory.total - memory.available),
            "host.memory_percent": memory.percent,
            "host.disk_free_bytes": float(psutil.disk_usage(os.getcwd()).free),
        }
