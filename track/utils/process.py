"""Which process this is, and whether another one still lives."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import NamedTuple

_STATE, _START_TIME = 0, 19
"""Fields of ``/proc/<pid>/stat`` behind the name of the process, see proc(5)."""


class ProcessId(NamedTuple):
    """Tells a process from every other one, ever and anywhere.

    Attributes
    ----------
    host
        name of the machine, for people
    place
        boot and process-id namespace in which the number means something; empty when unknown
    pid
        its number there
    started
        when it started, in clock ticks since the boot; numbers are given again
    """

    host: str
    place: str
    pid: int
    started: int

    def name(self) -> str:
        """Return a text that no other process has."""
        return f"{self.host} {self.place} {self.pid} {self.started}"


def this_process() -> ProcessId:
    """Return who this process is."""
    pid = os.getpid()
    found = _look_up(pid)
    return ProcessId(os.uname().nodename, _place(), pid, 0 if found is None else found[1])


def is_alive(process: ProcessId) -> bool | None:
    """Say whether a process still runs; None when that cannot be seen from here."""
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
        pass  # it is somebody else's, and hidden
    return None


@lru_cache
def _place() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _look_up(pid: int) -> tuple[str, int] | None:
    """Return state and start time of a process, None when there is none to be seen."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[_STATE], int(fields[_START_TIME])
