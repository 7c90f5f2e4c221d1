"""Log what a call waits for when that takes long."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from track.utils.forking import renew_in_children

logger = logging.getLogger(__name__)

_PATIENCE_S = 2.0
_LOOK_S = 0.25


class Wait:
    """A wait of one call.

    Parameters
    ----------
    whom
        the name of the peer
    reason
        the reason for the wait, as far as known
    """

    def __init__(self, whom: object, reason: str) -> None:
        self.reason = reason
        self._whom = whom
        self._said_at = time.monotonic() + _PATIENCE_S

    def blame(self, error: OSError) -> None:
        """Set the reason to an error."""
        reason = error.strerror or str(error)
        self.reason = reason[:1].lower() + reason[1:]

    def say(self) -> bool:
        """Log the wait if it is time to, and return whether it was logged."""
        if time.monotonic() < self._said_at:
            return False
        logger.warning("Waiting for %s (%s) …", self._whom, self.reason)
        return True


@contextmanager
def waiting_for(whom: object, reason: str = "no answer yet") -> Iterator[Wait]:
    """Warn in the log, once, if a block takes over two seconds."""
    wait = Wait(whom, reason)
    _sayer.begin(wait)
    try:
        yield wait
    finally:
        _sayer.end(wait)


class _Sayer:
    """Logs long waits from a thread that the first wait starts."""

    def __init__(self) -> None:
        self.renew_after_fork()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        self._waits: set[Wait] = set()
        self._somebody = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self, wait: Wait) -> None:
        self._waits.add(wait)
        self._somebody.set()
        if self._thread is None:
            self._start()

    def end(self, wait: Wait) -> None:
        self._waits.discard(wait)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="track waiting", daemon=True)
                with suppress(RuntimeError):  # the interpreter is ending
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        while self._somebody.wait():
            self._somebody.clear()
            while self._waits:
                for wait in list(self._waits):
                    if wait.say():
                        self._waits.discard(wait)
                time.sleep(_LOOK_S)


_sayer = _Sayer()
