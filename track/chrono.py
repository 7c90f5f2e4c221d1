"""Define a context manager that measures the time spent in a block."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from track.aggregators.aggregator import Aggregator
from track.utils.stat import StatStream

if TYPE_CHECKING:
    from typing_extensions import Self


class ChronoContext:
    """Measures each passage through a ``with`` block, also one that ends with an exception.

    A timer can be used many times, also inside itself, but by only one thread at a time.

    Parameters
    ----------
    acc
        receives the seconds; by default, statistics over all passages
    name
        name of the timer
    callback
        called with the seconds of a passage after they are recorded
    start_callback
        called before a passage starts, not timed
    end_callback
        called before a passage ends, timed: the place to wait for work that runs elsewhere, on a
        GPU for example
    """

    def __init__(
        self,
        acc: StatStream | Aggregator | None = None,
        name: str | None = None,
        callback: Callable[[float], Any] | None = None,
        start_callback: Callable[[], Any] | None = None,
        end_callback: Callable[[], Any] | None = None,
    ) -> None:
        self.acc: Any = StatStream(drop_first_obs=0) if acc is None else acc
        self.name = name
        self.callback = callback
        self.start_callback = start_callback
        self.end_callback = end_callback
        self._starts_s: list[float] = []

    def __enter__(self) -> Self:
        if self.start_callback is not None:
            self.start_callback()
        self._starts_s.append(time.perf_counter())
        return self

    def __exit__(self, *exception: object) -> None:
        # End the passage first, so that a failing callback leaves nothing behind.
        start_s = self._starts_s.pop()
        if self.end_callback is not None:
            self.end_callback()
        elapsed_s = time.perf_counter() - start_s
        if isinstance(self.acc, Aggregator):
            self.acc.append(elapsed_s)
        else:
            self.acc.update(elapsed_s)
        if self.callback is not None:
            self.callback(elapsed_s)

    @property
    def val(self) -> Any:
        """Return the duration of the last passage in seconds."""
        return self.acc.val

    @property
    def avg(self) -> float:
        """Return the mean duration in seconds."""
        return float(self.acc.avg)

    @property
    def min(self) -> float:
        """Return the shortest duration in seconds."""
        return float(self.acc.min)

    @property
    def max(self) -> float:
        """Return the longest duration in seconds."""
        return float(self.acc.max)

    @property
    def sd(self) -> float:
        """Return the standard deviation of the durations in seconds."""
        return float(self.acc.sd)

    @property
    def count(self) -> int:
        """Return the number of counted passages."""
        return int(self.acc.count)

    def to_json(self, short: bool = False) -> Any:
        """Return the recorded values in the form of the report."""
        return self.acc.to_json(short)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, acc={self.acc!r})"
