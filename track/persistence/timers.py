"""Keep the running timers of trials and chronos."""

from __future__ import annotations

from collections import defaultdict
from threading import get_ident
from time import perf_counter
from typing import Any


class Timers:
    """Measures trials and chronos. Chronos of one name can be nested; each thread has its own.

    (A trial may be finished by another thread, but a chrono may not.)
    """

    def __init__(self) -> None:
        self._running: dict[Any, list[tuple[float, Any]]] = defaultdict(list)

    def start(
        self, stream: int, name: str | None, callback: Any = None, waited_s: float = 0.0
    ) -> None:
        """Start the timer of a chrono, or of the trial if the name is None."""
        self._running[_key(stream, name)].append((perf_counter() - waited_s, callback))

    def stop(self, stream: int, name: str | None) -> tuple[float | None, Any]:
        """Return the seconds of a timer (None if it was started elsewhere), and its callback."""
        now = perf_counter()
        running = self._running[_key(stream, name)]
        if not running:
            return None, None
        start, callback = running.pop()
        return now - start, callback


def _key(stream: int, name: str | None) -> tuple[int, str | None, int]:
    return stream, name, 0 if name is None else get_ident()
