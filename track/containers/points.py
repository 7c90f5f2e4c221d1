"""Hold the points of a series as columns, in pieces that are read when needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

LARGEST = 2**63 - 1
"""The largest step, time or position that a column holds."""


class Unusable(Exception):
    """Stored data cannot be used; the message says why."""


class Stamp(NamedTuple):
    """The time and position of the event that recorded a value.

    Attributes
    ----------
    at
        wall time in nanoseconds since 1970-01-01 UTC
    position
        the position of the event in its journal
    """

    at: int = 0
    position: int = 0


class Points(NamedTuple):
    """Consecutive points of a series, as columns of equal length.

    Attributes
    ----------
    steps, times, positions
        64-bit integers (typecode ``q``): growing steps, wall times in nanoseconds since 1970-01-01
        UTC, and positions of the events in their journal
    values
        64-bit floats (typecode ``d``)
    integers
        a byte per point, 1 where an integer was logged, which the float equals; empty if only
        floats were

    Notes
    -----
    Positions grow, except where a step was logged again: its point has the later time and position.
    """

    steps: array[int]
    times: array[int]
    positions: array[int]
    values: array[float]
    integers: bytes | bytearray = b""

    @classmethod
    def empty(cls) -> Points:
        """Return empty columns."""
        return cls(array("q"), array("q"), array("q"), array("d"), bytearray())

    def part(self, start: int, stop: int) -> Points:
        """Return a copy of some of the points."""
        steps, times, positions, values = (column[start:stop] for column in self.columns())
        return Points(steps, times, positions, values, bytearray(self.integers[start:stop]))

    def columns(self) -> tuple[array[Any], ...]:
        """Return the steps, times, positions and values."""
        return self[:4]

    def add(self, more: Points) -> None:
        """Append points."""
        assert isinstance(self.integers, bytearray)  # of empty columns, or a copy
        self.integers.extend(joined_flags(self, more))
        for column, added in zip(self.columns(), more.columns(), strict=True):
            column.extend(added)

    def overwrite(self, start: int, more: Points) -> None:
        """Replace points from an index on by as many others."""
        assert isinstance(self.integers, bytearray)  # of empty columns, or a copy
        stop = start + len(more.steps)
        if more.integers or self.integers:
            self.integers.extend(bytes(len(self.steps) - len(self.integers)))
            self.integers[start:stop] = more.integers or bytes(len(more.steps))
        for column, written in zip(self.columns(), more.columns(), strict=True):
            column[start:stop] = written

    def exact_values(self) -> Sequence[float]:
        """Return the values as they were logged, integers among them."""
        return exact(self.values, self.integers)


def joined_flags(points: Points, more: Points) -> bytes | bytearray:
    """Return what to append to the flags of points when others are appended."""
    if not (points.integers or more.integers):
        return b""
    missing = bytes(len(points.steps) - len(points.integers))
    return missing + (more.integers or bytes(len(more.steps)))


def exact(values: Sequence[float], integers: bytes | bytearray) -> Sequence[float]:
    """Return values as they were logged, given which of them were integers."""
    if 1 not in integers:
        return values
    pairs = zip(values, integers, strict=True)
    return [int(value) if is_integer else value for value, is_integer in pairs]


class Extreme(NamedTuple):
    """The index, step, time and exact value of one point."""

    place: int
    step: int
    at: int
    value: float


class Summary(NamedTuple):
    """Facts about points that can be known without reading them.

    Attributes
    ----------
    length
        the number of points
    first, last
        the first and the last point
    first_position, last_position
        the smallest and the largest position of an event
    low, high
        the points with the smallest and the largest value, None if all are NaN
    gap
        the first point whose value is NaN, None without one
    latest
        the largest time, which may not be the last since clocks may go backwards
    """

    length: int
    first: Extreme
    last: Extreme
    first_position: int
    last_position: int
    low: Extreme | None
    high: Extreme | None
    gap: Extreme | None
    latest: int


class Bounds(NamedTuple):
    """The smallest and the largest position, and the largest time, of points."""

    first_position: int
    last_position: int
    latest: int


def bounds_of(points: Points) -> Bounds:
    """Return the bounds of at least one point, which metrics of the same events share."""
    return Bounds(min(points.positions), max(points.positions), max(points.times))


def summarize(points: Points, bounds: Bounds | None = None) -> Summary:
    """Return the summary of at least one point."""
    values = points.values
    first_position, last_position, latest = bounds or bounds_of(points)

    def at(index: int) -> Extreme:
        value = values[index]
        if points.integers and points.integers[index]:
            value = int(value)
        return Extreme(index, points.steps[index], points.times[index], value)

    # Any NaN makes the sum NaN. So do infinities of both signs, which only costs the fast path.
    total = sum(values)
    low: float | None
    high: float | None
    gap = None
    if total == total:  # noqa: PLR0124 - false for NaN only
        low, high = min(values), max(values)
    else:
        numbers = [value for value in values if value == value]  # noqa: PLR0124 - the same
        low, high = min(numbers, default=None), max(numbers, default=None)
        nans = (i for i, value in enumerate(values) if value != value)  # noqa: PLR0124 - the same
        gap = next(nans, None)
    return Summary(
        len(values),
        at(0),
        at(len(values) - 1),
        first_position,
        last_position,
        None if low is None else at(values.index(low)),
        None if high is None else at(values.index(high)),
        None if gap is None else at(gap),
        latest,
    )


class Chunk(ABC):
    """Consecutive points of a series that may have to be read from storage."""

    @property
    @abstractmethod
    def summary(self) -> Summary:
        """Return the summary of the points without reading them."""

    @abstractmethod
    def points(self) -> Points:
        """Return the points, which must not be changed; change a copy instead."""

    @abstractmethod
    def values(self) -> tuple[array[float], bytes | bytearray]:
        """Return only the values, and which of them are integers."""

    def without_positions(self) -> Points:
        """Return the points, possibly without positions."""
        return self.points()


class LoadedChunk(Chunk):
    """Points that are in memory."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self._summary: Summary | None = None

    @property
    def summary(self) -> Summary:
        if self._summary is None:
            self._summary = summarize(self._points)
        return self._summary

    def points(self) -> Points:
        return self._points

    def values(self) -> tuple[array[float], bytes | bytearray]:
        return self._points.values, self._points.integers


class Stored(ABC):
    """The first points of a series, kept in storage."""

    count: int
    last_step: int
    last_value: float
    is_rewritten: bool = False
    """Whether a step was logged again, so that earlier values are only in the journal."""

    @abstractmethod
    def extremes(self) -> tuple[float | None, float | None]:
        """Return the smallest and the largest number among the values, None without any."""

    @abstractmethod
    def chunks(self) -> list[Chunk]:
        """Return the chunks of the points in order."""

    def cut(self, step: int) -> tuple[Stored | None, Points]:
        """Return the stored points of chunks that end before a step, and the other points.

        Only the stored ones remain; storage drops the others when it is written next.
        """
        points = Points.empty()
        for chunk in self.chunks():
            points.add(chunk.points())
        return None, points

    def sample(self, n: int, first: Any, last: Any) -> Points | None:
        """Return a sample of the points from storage, None if it must be made from the chunks.

        Parameters
        ----------
        n
            the approximate number of points
        first, last
            the first and last step; None for those of the series
        """
        return None
