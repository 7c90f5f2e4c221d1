"""Hold the points of a series as columns, in pieces that are read when needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
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
    """

    steps: array[int]
    times: array[int]
    positions: array[int]
    values: array[float]

    @classmethod
    def empty(cls) -> Points:
        """Return empty columns."""
        return cls(array("q"), array("q"), array("q"), array("d"))

    def part(self, start: int, stop: int) -> Points:
        """Return a copy of some of the points."""
        return Points(
            self.steps[start:stop],
            self.times[start:stop],
            self.positions[start:stop],
            self.values[start:stop],
        )

    def add(self, more: Points) -> None:
        """Append points."""
        self.steps.extend(more.steps)
        self.times.extend(more.times)
        self.positions.extend(more.positions)
        self.values.extend(more.values)


class Extreme(NamedTuple):
    """The step and value of one point."""

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
        the positions of their events
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


def summarize(points: Points) -> Summary:
    """Return the summary of at least one point."""
    values = points.values

    def at(index: int) -> Extreme:
        return Extreme(index, points.steps[index], points.times[index], values[index])

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
        points.positions[0],
        points.positions[-1],
        None if low is None else at(values.index(low)),
        None if high is None else at(values.index(high)),
        None if gap is None else at(gap),
        max(points.times),
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
    def values(self) -> array[float]:
        """Return only the values."""

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

    def values(self) -> array[float]:
        return self._points.values


class Stored(ABC):
    """The first points of a series, kept in storage."""

    count: int
    last_step: int
    last_value: float

    @abstractmethod
    def extremes(self) -> tuple[float | None, float | None]:
        """Return the smallest and the largest number among the values, None without any."""

    @abstractmethod
    def chunks(self) -> list[Chunk]:
        """Return the chunks of the points in order."""

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
