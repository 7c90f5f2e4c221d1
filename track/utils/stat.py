"""Compute mean, deviation and extremes of a stream of numbers in constant memory.

The sums are taken over differences to the first counted observation: they stay small when the
observations lie close together, so the variance loses no digits to cancellation.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from struct import Struct
from typing import Any, SupportsFloat

_FIELDS = ("sum", "sum_sqr", "first_obs", "min", "max", "current_count", "current_obs", "drop_obs")
"""The whole state, in the order it is stored."""

_INTEGERS = frozenset({"current_count", "drop_obs"})

_BYTES = Struct("<5dqdq")


def __getattr__(name: str) -> Any:
    # Only shared streams need ctypes, so only they pay for its import.
    if name != "StatStreamStruct":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import ctypes

    class StatStreamStruct(ctypes.Structure):
        """The state of a shared stream, laid out in memory every process sees."""

        _fields_ = [
            *((field, ctypes.c_double) for field in _FIELDS if field not in _INTEGERS),
            *((field, ctypes.c_int64) for field in _FIELDS if field in _INTEGERS),
        ]
        __qualname__ = name  # spawned processes look the class up by this name

    globals()[name] = StatStreamStruct
    return StatStreamStruct


class _State:
    """The state of a stream of one process. Slots are three times as fast as a C structure."""

    __slots__ = _FIELDS

    sum: float
    sum_sqr: float
    first_obs: float
    min: float
    max: float
    current_count: int
    current_obs: float
    drop_obs: int

    def __init__(self, *values: Any) -> None:
        self.sum, self.sum_sqr, self.first_obs, self.min, self.max = values[:5]
        self.current_count, self.current_obs, self.drop_obs = values[5:]

    @property
    def count(self) -> int:
        return max(self.current_count - self.drop_obs, 1)

    @property
    def avg(self) -> float:
        return self.first_obs + self.sum / self.count

    @property
    def var(self) -> float:
        mean = self.sum / self.count
        # In this order a NaN stays a NaN instead of turning into a variance of zero.
        return max(self.sum_sqr / self.count - mean * mean, 0.0)

    @property
    def sd(self) -> float:
        return math.sqrt(self.var)


def _values(state: Any) -> tuple[Any, ...]:
    return tuple(getattr(state, field) for field in _FIELDS)


def _observe(state: Any, val: float) -> None:
    """Add one observation to either layout of the state."""
    count = state.current_count + 1
    state.current_count = count
    state.current_obs = val
    drop = state.drop_obs
    if count > drop and count > 1:
        # A product, because the power operator raises where a product overflows to infinity.
        shifted = val - state.first_obs
        state.sum += shifted
        state.sum_sqr += shifted * shifted
        # Replays add millions of observations, and the built-in functions take twice the time.
        if val < state.min:  # noqa: PLR1730
            state.min = val
        if val > state.max:  # noqa: PLR1730
            state.max = val
    elif count >= drop:
        state.first_obs = state.min = state.max = val


class StatStream:
    """Mean, standard deviation, minimum, maximum and number of the values it was given.

    The first observations are usually slower than the rest, so they are left out: the last one of
    them only serves as the origin of the sums, and as the first minimum and maximum.

    Parameters
    ----------
    drop_first_obs
        number of observations to leave out

    Raises
    ------
    ValueError
        the number is negative
    """

    __slots__ = ("_lock", "_memory", "_state")

    _state: Any
    """A ``_State``, or a ``StatStreamStruct`` in shared memory."""
    _lock: AbstractContextManager[Any] | None
    _memory: Any

    def __init__(self, drop_first_obs: int = 10) -> None:
        if drop_first_obs < 0:
            raise ValueError(f"drop_first_obs is {drop_first_obs}: it cannot be negative")
        self.__setstate__((0.0, 0.0, 0.0, math.inf, -math.inf, 0, 0.0, drop_first_obs))

    @classmethod
    def shared(cls, drop_first_obs: int = 10) -> StatStream:
        """Return a stream that child processes update together with this one.

        Give it to the children as they are made, as an argument of ``multiprocessing.Process`` or
        through a fork. Copies, and pickles made at any other time, are unshared snapshots.
        """
        from multiprocessing import get_context

        stream = cls(drop_first_obs)
        # The lock of this context can be handed to forked and to spawned processes alike; that of
        # a fork context only to forked ones.
        struct_type = getattr(sys.modules[__name__], "StatStreamStruct")  # noqa: B009 - made lazily
        memory = get_context("spawn").Value(struct_type)
        for field, value in zip(_FIELDS, _values(stream._state), strict=True):
            setattr(memory.get_obj(), field, value)
        stream.__setstate__(memory)
        return stream

    def update(self, val: SupportsFloat) -> None:
        """Add an observation."""
        if self._lock is None:
            _observe(self._state, float(val))
            return
        with self._lock:
            _observe(self._state, float(val))

    def _read(self) -> _State:
        """Return a consistent state that no other process changes."""
        if self._lock is None:
            state: _State = self._state
            return state
        with self._lock:
            return _State(*_values(self._state))

    @property
    def val(self) -> float:
        """Return the last observation, counted or not."""
        return self._read().current_obs

    @property
    def avg(self) -> float:
        """Return the mean of the counted observations, 0 before the first."""
        return self._read().avg

    @property
    def var(self) -> float:
        """Return the population variance of the counted observations."""
        return self._read().var

    @property
    def sd(self) -> float:
        """Return the population standard deviation of the counted observations."""
        return self._read().sd

    @property
    def min(self) -> float:
        """Return the smallest observation from the last one left out on."""
        return self._read().min

    @property
    def max(self) -> float:
        """Return the largest observation from the last one left out on."""
        return self._read().max

    @property
    def count(self) -> int:
        """Return the number of counted observations, at least 1 so that it can divide."""
        return self._read().count

    @property
    def sum(self) -> float:
        """Return the sum of the counted observations."""
        return self.total

    @property
    def total(self) -> float:
        """Return the sum of the counted observations."""
        state = self._read()
        return state.avg * state.count

    @property
    def sum_sqr(self) -> float:
        """Return the sum of the squared differences to the first counted observation."""
        return self._read().sum_sqr

    @property
    def first_obs(self) -> float:
        """Return the observation that the others are compared with."""
        return self._read().first_obs

    @property
    def current_obs(self) -> float:
        """Return the last observation, counted or not."""
        return self._read().current_obs

    @property
    def current_count(self) -> int:
        """Return the number of all observations."""
        return self._read().current_count

    @property
    def drop_obs(self) -> int:
        """Return the number of observations to leave out."""
        return self._read().drop_obs

    def state_dict(self) -> dict[str, Any]:
        """Return everything :meth:`from_dict` needs to restore the stream."""
        return dict(zip(_FIELDS, _values(self._read()), strict=True))

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> StatStream:
        """Restore a stream, bit for bit, from its state.

        Parameters
        ----------
        state
            what :meth:`state_dict` or the full :meth:`to_json` returned; other keys are ignored

        Raises
        ------
        KeyError
            a part of the state is missing
        """
        stream = cls()
        stream.__setstate__(
            tuple((int if field in _INTEGERS else float)(state[field]) for field in _FIELDS)
        )
        return stream

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics as reports show them."""
        state = self._read()
        return {
            "avg": state.avg,
            "min": state.min,
            "max": state.max,
            "sd": state.sd,
            "count": state.count,
            "unit": "s",
        }

    def to_json(self, short: bool = False) -> dict[str, Any]:
        """Return the statistics when short, otherwise the state under its type name."""
        return self.to_dict() if short else {"dtype": "statstream", **self.state_dict()}

    def to_array(self) -> list[float]:
        """Return mean, minimum, maximum, standard deviation and count."""
        state = self._read()
        return [state.avg, state.min, state.max, state.sd, state.count]

    def __getstate__(self) -> Any:
        if self._lock is not None:
            from multiprocessing.context import get_spawning_popen

            if get_spawning_popen() is not None:
                return self._memory
        return _values(self._read())

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple):
            self._state, self._lock, self._memory = _State(*state), None, None
        else:
            self._state, self._lock, self._memory = state.get_obj(), state.get_lock(), state

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StatStream):
            return NotImplemented
        # Compare bytes, so that a stream with a NaN equals its copy.
        return _BYTES.pack(*_values(self._read())) == _BYTES.pack(*_values(other._read()))

    __hash__ = None  # type: ignore[assignment]  # it changes with every observation

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_dict()})"
