"""Estimate how long the rest of a loop, or of nested loops, will take."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Protocol


class Timer(Protocol):
    """Anything that knows the average duration of a step: a stream, an aggregator, a chrono."""

    @property
    def avg(self) -> float:
        """Return the average duration in seconds."""


class EstimatedTime:
    """An estimate of the remaining time, from the average duration and the number of steps.

    Until the timer has an average (its first observations are left out), the average is taken over
    the steps done since this object was created.

    Parameters
    ----------
    stat_timer
        times the innermost step
    total
        number of steps; for nested loops the number of each, outermost first
    start
        the first step that runs here, if earlier ones were done before (a resumed trial)
    name
        shown in front of the printed estimate

    Examples
    --------
    >>> from track.utils.stat import StatStream
    >>> timer = StatStream(drop_first_obs=0)
    >>> timer.update(0.06)
    >>> eta = EstimatedTime(timer, (10, 1000))
    >>> round(eta.estimate_time((1, 2)), 3)
    8.997
    """

    def __init__(
        self,
        stat_timer: Timer,
        total: int | Sequence[int],
        start: int = 0,
        name: str | None = None,
    ) -> None:
        self.timer = stat_timer
        self.start = start
        self.name = name
        self._created_s = time.monotonic()
        self.set_totals(total)

    @staticmethod
    def count(item: int | Sequence[int], offset: int = 0) -> int:
        """Return the product of the step counts of all levels, each plus an offset."""
        levels = (item,) if isinstance(item, int) else item
        return math.prod(level + offset for level in levels)

    @property
    def total(self) -> int:
        """Return the number of steps over all levels."""
        return self.count(self._totals)

    def set_totals(self, t: int | Sequence[int]) -> None:
        """Set the number of steps of each level.

        Raises
        ------
        ValueError
            a number is negative
        """
        totals = (t,) if isinstance(t, int) else tuple(t)
        if any(level < 0 for level in totals):
            raise ValueError(f"the total is {t!r}: a number of steps cannot be negative")
        self._totals = totals

    def elapsed(self, unit: float = 60) -> float:
        """Return the time since this object was created, in units of ``unit`` seconds."""
        return (time.monotonic() - self._created_s) / unit

    def estimated_time(self, step: int | Sequence[int], unit: float = 60) -> float:
        """Return the estimated time of the remaining steps.

        Parameters
        ----------
        step
            the step that was just completed, counted from 0; for nested loops the step of each,
            outermost first
        unit
            the unit of the result in seconds; minutes by default

        Raises
        ------
        ValueError
            the step has a different number of levels than the total
        """
        done = self._done(step)
        return self._average_s(done) * max(self.total - done, 0) / unit

    estimate_time = estimated_time

    def show_eta(self, step: int | Sequence[int], msg: str = "", show: bool = True) -> str:
        """Print the estimate until the processing is done.

        Parameters
        ----------
        step
            as for :meth:`estimated_time`
        msg
            shown in front of the estimate
        show
            False to only return the text

        Returns
        -------
        str
            the line
        """
        parts = [
            *filter(None, (self.name, msg)),
            f"[{self._done(step)}/{self.total}]",
            f"elapsed {self.elapsed():.2f} min, remaining {self.estimated_time(step):.2f} min",
        ]
        text = " ".join(parts)
        if show:
            print(text)  # noqa: T201 - documented to print
        return text

    def _done(self, step: int | Sequence[int]) -> int:
        """Return the number of completed steps, read as digits of a mixed-radix number."""
        if isinstance(step, int):
            return step + 1
        if len(step) != len(self._totals):
            raise ValueError(
                f"step {step!r} has {len(step)} levels and the total {self._totals!r} has "
                f"{len(self._totals)}: give one step for each loop, outermost first"
            )
        done = 0
        for digit, radix in zip(step, self._totals, strict=True):
            done = done * radix + digit
        return done + 1

    def _average_s(self, done: int) -> float:
        average_s = self.timer.avg
        done_here = done - self.start
        if average_s == 0 and done_here > 0:
            return self.elapsed(unit=1) / done_here
        return average_s
