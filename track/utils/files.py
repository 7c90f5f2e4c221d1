"""What the standard library has no single call for: waiting for a lock, keeping a file's name."""

from __future__ import annotations

import fcntl
import os
import time

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.0002, 0.01


def flock_within(fd: int, timeout_s: float) -> bool:
    """Take the exclusive lock of an open file.

    Parameters
    ----------
    fd
        the open file; the kernel frees the lock when its last descriptor is closed
    timeout_s
        how long to wait, in seconds

    Returns
    -------
    Whether it was taken in time.
    """
    deadline = time.monotonic() + timeout_s
    pause = _FIRST_PAUSE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # noqa: PERF203 - it sleeps anyway
            if time.monotonic() >= deadline:
                return False
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)
        else:
            return True


def sync_folder(path: str) -> None:
    """Make the name of a file as durable as its content: sync the folder it is in."""
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
