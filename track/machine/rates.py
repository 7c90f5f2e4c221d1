"""Convert counters to rates."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic


class Rates:
    """Remembers counters to compute their growth per second.

    Parameters
    ----------
    clock
        returns seconds
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}
        self._at = clock()

    def since_last(self, counters: dict[str, float]) -> dict[str, float]:
        """Return the rates of the counters that the last call had as well.

        A counter that decreased, because a process ended or a device was reset, has the rate 0.
        """
        now = self._clock()
        seconds, self._at = now - self._at, now
        last, self._last = self._last, counters
        if seconds <= 0:
            return {}
        return {
            name: max(0.0, value - last[name]) / seconds
            for name, value in counters.items()
            if name in last
        }
