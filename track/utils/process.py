"""Identify processes, and tell whether one still runs."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import NamedTuple

_STATE, _START_TIME = 0, 19
"""Indexes of fields after the process name in ``/proc/<pid>/stat``, see proc(5)."""


class ProcessId(NamedTuple):
    """The identity of a process, unique across machines and over time.

    Attributes
    ----------
    host
        the name of the machine, for people
    place
        the boot and process-id namespace in which the pid is valid; empty if unknown
    pid
        the process id
    started
        the start time in clock ticks since the boot, since process ids are reused
    """

    host: str
    place: str
    pid: int
    started: int

    def name(self) -> str:
        """Return a text that identifies the process."""
        return f"{self.host} {self.place} {self.pid} {self.started}"


def this_process() -> ProcessId:
    """Return the identity of this process."""
    pid = os.getpid()
    found = _look_up(pid)
    return ProcessId(os.uname().nodename, _place(), pid, 0 if found is None else found[1])


def is_alive(process: ProcessId) -> bool | None:
    """Return whether a process still runs, None if that cannot be seen from here."""
    if not process.place or process.place != _place():
        return None
    found = _look_up(process.pid)
    if found is not None:
        state, started = found
        return started == process.started and state not in "ZXx"
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it belongs to another user and is hidden
    return None


@lru_cache
def _place() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _look_up(pid: int) -> tuple[str, int] | None:
    """Return the state and the start time of a process, None if it cannot be seen."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[_STATE], int(fields[_START_TIME])
