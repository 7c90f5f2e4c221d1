"""Measure the control group that limits this process, as a container or a batch job does.

The host's numbers would mislead: a job limited to 8 GB is killed even if the host has 500 GB free.
The files are those of control groups version 2 (``Documentation/admin-guide/cgroup-v2.rst`` of
Linux) and of version 1 (``Documentation/admin-guide/cgroup-v1/``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from track.machine.files import number_in, text_in
from track.machine.rates import Rates

_NO_LIMIT = 2**62
"""The least limit that means no limit in version 1."""


class Memory(NamedTuple):
    """A limit in bytes, and the files that report the usage."""

    limit: int
    used: str
    details: str
    reclaimable: str
    """The name of the reclaimable part: the page cache."""


class Cpu(NamedTuple):
    """A limit in cores, and the file that reports the used time."""

    cores: float
    used: str
    field: str
    """The line of the file; empty if the file has only one number."""
    unit_s: float


class Container:
    """Measures how much of its limits this process uses; at least one limit is not None.

    Parameters
    ----------
    memory, cpu
        the limits, None for none
    """

    def __init__(self, memory: Memory | None, cpu: Cpu | None) -> None:
        self.memory, self.cpu = memory, cpu
        self._rates = Rates()
        self()

    def __call__(self) -> dict[str, float]:
        found: dict[str, float] = {}
        if self.memory is not None:
            spare = _fields(self.memory.details).get(self.memory.reclaimable, 0)
            used = float(max(0, int(text_in(self.memory.used)) - spare))
            found["container.memory_bytes"] = used
            found["container.memory_percent"] = 100.0 * used / self.memory.limit
        if self.cpu is not None:
            text, field = self.cpu.used, self.cpu.field
            used = _fields(text)[field] if field else int(text_in(text))
            share = 100.0 * used * self.cpu.unit_s / self.cpu.cores
            found |= self._rates.since_last({"container.cpu_percent": share})
        return found


def find_container(root: str = "/") -> Container | None:
    """Return the control group that limits this process, None if there is none.

    Parameters
    ----------
    root
        the folder that holds ``proc`` and ``sys``
    """
    groups: dict[str, str] = {}
    with suppress(OSError):
        for line in text_in(os.path.join(root, "proc/self/cgroup")).splitlines():
            _, controllers, path = line.split(":", 2)
            groups.update(dict.fromkeys(controllers.split(","), path))
    base = os.path.join(root, "sys/fs/cgroup")
    memory, cpu = _memory(base, groups), _cpu(base, groups)
    return None if memory is None and cpu is None else Container(memory, cpu)


def _memory(base: str, groups: dict[str, str]) -> Memory | None:
    for folder in _folders(base, groups.get("")):
        limit = number_in(f"{folder}/memory.max")
        if limit is not None:
            used, details = f"{folder}/memory.current", f"{folder}/memory.stat"
            return Memory(limit, used, details, "inactive_file")
    for folder in _folders(f"{base}/memory", groups.get("memory")):
        limit = number_in(f"{folder}/memory.limit_in_bytes")
        if limit is not None and limit < _NO_LIMIT:
            used, details = f"{folder}/memory.usage_in_bytes", f"{folder}/memory.stat"
            return Memory(limit, used, details, "total_inactive_file")
    return None


def _cpu(base: str, groups: dict[str, str]) -> Cpu | None:
    for folder in _folders(base, groups.get("")):
        with suppress(OSError, ValueError):
            quota, period = map(int, text_in(f"{folder}/cpu.max").split())
            return Cpu(quota / period, f"{folder}/cpu.stat", "usage_usec", 1e-6)
    for folder in _folders(f"{base}/cpu", groups.get("cpu")):
        quota_us = number_in(f"{folder}/cpu.cfs_quota_us")
        period_us = number_in(f"{folder}/cpu.cfs_period_us")
        if quota_us and period_us and quota_us > 0:
            used = os.path.join(f"{base}/cpuacct", os.path.relpath(folder, f"{base}/cpu"))
            return Cpu(quota_us / period_us, f"{used}/cpuacct.usage", "", 1e-9)
    return None


def _folders(base: str, group: str | None) -> Iterator[str]:
    """Yield the folder of a control group and those of the groups around it.

    Inside a container, the path may be the one on the host; then only the outermost folder exists.
    """
    path = (group or "/").strip("/")
    while path:
        yield os.path.join(base, path)
        path = os.path.dirname(path)
    yield base


def _fields(path: str) -> dict[str, int]:
    """Return the numbers in a file by name."""
    lines = (line.split() for line in text_in(path).splitlines())
    return {line[0]: int(line[1]) for line in lines}
