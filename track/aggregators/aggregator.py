"""Define the ways to keep the values of a metric, and their names in events.

An event holds an aggregator as a name and parameters: :func:`describe` derives them from what a
user passed, and :func:`build` creates the aggregator again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from track.containers.ring import RingBuffer
from track.utils.stat import StatStream


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are equal, counting NaN as equal to itself."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other or (one != one and other != other))  # noqa: PLR0124 - only a NaN is


class Aggregator:
    """Keeps the values of a metric in some way.

    (This is not an ABC, since replays test every value with ``isinstance``, which ABCs slow down.)
    """

    name: ClassVar[str]
    """The name in events; it must never change, or old events become unreadable."""

    def append(self, value: Any) -> None:
        """Add a value."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to add a value")

    @property
    def val(self) -> Any:
        """Return the last observed value."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its last value is")

    def to_json(self, short: bool = False) -> Any:
        """Return the kept values in the form of the report."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it keeps")

    def parameters(self) -> dict[str, Any]:
        """Return the arguments that create an empty aggregator like this one."""
        return {}

    def state(self) -> Any:
        """Return the content as plain values; :func:`restore` creates the aggregator again."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it holds")

    def set_state(self, state: Any) -> None:
        """Replace the content with the state of an aggregator with the same parameters."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it holds")

    # The parameters are those of each subclass, hence the open signature.
    @staticmethod
    def lazy(*args: Any, **kwargs: Any) -> Callable[[], Aggregator]:
        """Return a callable that creates an empty aggregator.

        Parameters
        ----------
        args
            the aggregator class; subclasses take their own parameters instead
        kwargs
            the arguments of the class
        """
        aggregator_t, *positional = args
        return partial(aggregator_t, *positional, **kwargs)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return _same(vars(self), vars(other))

    __hash__ = None  # type: ignore[assignment]  # it changes with every value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_json(short=True)!r})"


class ValueAggregator(Aggregator):
    """Keeps the latest value only."""

    name = "value"

    def __init__(self, val: Any = None) -> None:
        self._val = val

    @staticmethod
    def lazy() -> Callable[[], ValueAggregator]:
        return partial(ValueAggregator)

    def append(self, value: Any) -> None:
        self._val = value

    @property
    def val(self) -> Any:
        return self._val

    def to_json(self, short: bool = False) -> Any:
        return self._val

    def state(self) -> Any:
        return self._val

    def set_state(self, state: Any) -> None:
        self._val = state


class TimeSeriesAggregator(Aggregator):
    """Keeps every value."""

    name = "time_series"

    def __init__(self) -> None:
        self._values: list[Any] = []

    @staticmethod
    def lazy() -> Callable[[], TimeSeriesAggregator]:
        return partial(TimeSeriesAggregator)

    def append(self, value: Any) -> None:
        self._values.append(value)

    @property
    def val(self) -> Any:
        return self._values[-1] if self._values else None

    def to_json(self, short: bool = False) -> list[Any]:
        return list(self._values)

    def state(self) -> list[Any]:
        return self._values

    def set_state(self, state: list[Any]) -> None:
        self._values = state

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._values)} values, last {self.val!r})"


class RingAggregator(Aggregator):
    """Keeps the ``n`` last values.

    Parameters
    ----------
    n
        the number of values to keep
    dtype
        the type of the values, see :class:`~track.containers.ring.RingBuffer`
    """

    name = "ring"

    def __init__(self, n: int, dtype: str = "f") -> None:
        self.ring = RingBuffer(n, dtype)

    @staticmethod
    def lazy(n: int, dtype: str = "f") -> Callable[[], RingAggregator]:
        return partial(RingAggregator, n, dtype)

    def append(self, value: float) -> None:
        self.ring.append(value)

    @property
    def val(self) -> Any:
        return self.ring.last()

    def to_json(self, short: bool = False) -> list[Any]:
        return self.ring.to_list()

    def state(self) -> list[Any]:
        return self.ring.to_list()

    def set_state(self, state: list[Any]) -> None:
        for value in state:
            self.ring.append(value)

    def parameters(self) -> dict[str, Any]:
        return {"n": self.ring.n, "dtype": self.ring.dtype}


class StatAggregator(Aggregator):
    """Keeps statistics: mean, deviation, extremes and count.

    Use it for many values that vary little, so that keeping them all is not worth the memory.

    Parameters
    ----------
    skip_obs
        the number of first values to leave out, see :class:`~track.utils.stat.StatStream`
    """

    name = "stat"

    def __init__(self, skip_obs: int = 10) -> None:
        self.stat = StatStream(drop_first_obs=skip_obs)

    @staticmethod
    def lazy(skip: int = 10) -> Callable[[], StatAggregator]:
        return partial(StatAggregator, skip)

    def append(self, value: float) -> None:
        self.stat.update(value)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StatAggregator:
        """Restore an aggregator from its full JSON form."""
        aggregator = cls()
        aggregator.stat = StatStream.from_dict(data)
        return aggregator

    def to_json(self, short: bool = False) -> dict[str, Any]:
        return self.stat.to_json(short)

    def state(self) -> dict[str, Any]:
        return self.stat.state_dict()

    def set_state(self, state: dict[str, Any]) -> None:
        self.stat = StatStream.from_dict(state)

    def parameters(self) -> dict[str, Any]:
        return {"skip_obs": self.stat.drop_obs}

    @property
    def val(self) -> float:
        return self.stat.val

    @property
    def avg(self) -> float:
        """Return the mean of the counted values."""
        return self.stat.avg

    @property
    def min(self) -> float:
        """Return the smallest value."""
        return self.stat.min

    @property
    def max(self) -> float:
        """Return the largest value."""
        return self.stat.max

    @property
    def sd(self) -> float:
        """Return the standard deviation of the counted values."""
        return self.stat.sd

    @property
    def sum(self) -> float:
        """Return the sum of the counted values."""
        return self.stat.sum

    @property
    def total(self) -> float:
        """Return the sum of the counted values."""
        return self.stat.total

    @property
    def count(self) -> int:
        """Return the number of counted values."""
        return self.stat.count


_KINDS: dict[str, type[Aggregator]] = {
    kind.name: kind
    for kind in (ValueAggregator, TimeSeriesAggregator, RingAggregator, StatAggregator)
}


def describe(factory: Any) -> tuple[str, dict[str, Any]]:
    """Return the name and the parameters of an aggregator.

    Parameters
    ----------
    factory
        the result of ``lazy``, an aggregator class, any other callable without arguments that
        returns an aggregator, or an aggregator as an example; its values are not described

    Raises
    ------
    TypeError
        the result is not an aggregator of this module
    """
    made = factory() if callable(factory) else factory
    # A subclass may keep values in its own way, which readers of the events would not know.
    if type(made) not in _KINDS.values():
        raise TypeError(
            f"invalid aggregator {factory!r}: use "
            f"{', '.join(f'{kind.__name__}.lazy(...)' for kind in _KINDS.values())}; "
            "a step is named, as in log_metrics(values, step=3)"
        )
    return made.name, made.parameters()


def build(name: str, parameters: Mapping[str, Any]) -> Aggregator:
    """Create an empty aggregator from its description.

    Raises
    ------
    ValueError
        no aggregator has this name
    """
    if name not in _KINDS:
        raise ValueError(f"unknown aggregator {name!r}: known are {', '.join(_KINDS)}")
    return _KINDS[name](**parameters)


def restore(name: str, parameters: Mapping[str, Any], state: Any) -> Aggregator:
    """Create an aggregator with the content of another one, see :meth:`Aggregator.state`."""
    aggregator = build(name, parameters)
    aggregator.set_state(state)
    return aggregator
