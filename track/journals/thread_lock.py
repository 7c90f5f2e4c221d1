"""Provide exclusive sections among the threads of one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident

from track.errors import LockTimeout
from track.utils.forking import renew_in_children


class ThreadLock:
    """The part of an exclusive section that excludes threads, around a lock among processes.

    Parameters
    ----------
    journal
        the name of the journal, for messages
    timeout_s
        the time to wait for another thread
    """

    def __init__(self, journal: str, timeout_s: float) -> None:
        self._journal = journal
        self._timeout_s = timeout_s
        self.renew_after_fork()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        self._turn = threading.RLock()
        self._depth = 0
        self._holder = 0

    @contextmanager
    def entered(self, enter: Callable[[], None], leave: Callable[[], None]) -> Iterator[None]:
        """Enter the section as the only thread; the same thread may enter again.

        Parameters
        ----------
        enter, leave
            called at the outermost entry and exit, to lock out other processes

        Raises
        ------
        LockTimeout
            another thread stayed inside for too long
        """
        turn = self._turn
        if not turn.acquire(timeout=self._timeout_s):
            raise self.timed_out("another thread of this process")
        try:
            if self._depth == 0:
                enter()
            self._depth += 1
            self._holder = get_ident()
            try:
                yield
            finally:
                # A child forked inside has a new lock, and holds nothing.
                if self._turn is turn:
                    self._depth -= 1
                    if self._depth == 0:
                        leave()
        finally:
            turn.release()

    def is_inside(self) -> bool:
        """Return whether this thread is in the section."""
        return self._depth > 0 and self._holder == get_ident()

    def timed_out(self, holder: str) -> LockTimeout:
        """Return the error for waiting too long."""
        return LockTimeout(
            f"{holder} has held the exclusive section of {self._journal} for over "
            f"{self._timeout_s:g} s: it is stopped or stuck; resume or kill it and try again"
        )
