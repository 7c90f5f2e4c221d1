"""Limit how often a function is called. The first call is always made."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_ROUNDING_S = 1e-9
"""Sums of decimal fractions fall a little short of the period they add up to."""


class _Throttle(Generic[P, R]):
    """Calls ``fun`` when it is due, and returns None otherwise."""

    def __init__(self, fun: Callable[P, R]) -> None:
        self.fun = fun

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R | None:
        return self.fun(*args, **kwargs) if self._due() else None

    def _due(self) -> bool:
        raise NotImplementedError


class ThrottleRepeatedCalls(_Throttle[P, R]):
    """Limit how often a function is called in number of times called.

    Parameters
    ----------
    fun
        the function; calls return its result, or None if it was not called
    every
        1 for each call, 2 for every second one, and so on

    Raises
    ------
    ValueError
        ``every`` is less than 1
    """

    def __init__(self, fun: Callable[P, R], every: int = 10) -> None:
        super().__init__(fun)
        if every < 1:
            raise ValueError(f"invalid rate of one call in {every}: give 1 or more")
        self.every = every
        self._skipped = every - 1

    def _due(self) -> bool:
        self._skipped = (self._skipped + 1) % self.every
        return self._skipped == 0


class Throttler(ThrottleRepeatedCalls[P, R]):
    """:class:`ThrottleRepeatedCalls` with the parameter ``throttle`` instead of ``every``."""

    def __init__(self, fun: Callable[P, R], throttle: int = 1) -> None:
        super().__init__(fun, every=throttle)


class TimeThrottler(_Throttle[P, R]):
    """Limit how often a function is called in seconds.

    Parameters
    ----------
    fun
        the function; calls return its result, or None if it was not called
    every
        the least time between two calls in seconds

    Raises
    ------
    ValueError
        ``every`` is negative
    """

    def __init__(self, fun: Callable[P, R], every: float = 10) -> None:
        super().__init__(fun)
        if every < 0:
            raise ValueError(f"invalid interval of {every} seconds: give 0 or more")
        self.every = every
        self._last_s: float | None = None

    def _due(self) -> bool:
        now_s = time.monotonic()
        if self._last_s is not None and now_s - self._last_s + _ROUNDING_S < self.every:
            return False
        self._last_s = now_s
        return True


def throttled(
    fun: Callable[P, R], throttle: int | None = None, every: float | None = None
) -> Callable[P, R | None]:
    """Limit how often a function is called, by number or by time.

    Parameters
    ----------
    fun
        the function
    throttle
        make one call in this many
    every
        let at least this many seconds pass between two calls

    Returns
    -------
    Callable
        the throttled function, which returns None when ``fun`` was not called; without a limit,
        ``fun`` itself

    Raises
    ------
    ValueError
        both limits are given
    """
    if throttle is not None and every is not None:
        raise ValueError("give either throttle (in calls) or every (in seconds), not both")
    if throttle is not None:
        return Throttler(fun, throttle)
    if every is not None:
        return TimeThrottler(fun, every)
    return fun
