"""Give the values of a metric by step, reading only the points that are shown."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import ItemsView, Iterator, Mapping, Sequence
from itertools import chain
from math import inf, nextafter
from typing import Any

from track.containers.points import Chunk, LoadedChunk, Points, Stored, exact
from track.containers.series import StepSeries
from track.projections.sampling import bucketed, extremes, grouped, thinned

_FEWEST_BUCKETS = 4
"""With fewer chunks than a quarter of the buckets, a sample is made from the points."""


class FloatColumn(array):  # type: ignore[type-arg]  # arrays take no type argument in Python 3.10
    """An array of floats that can also be called, like ``values()`` of a mapping."""

    def __call__(self) -> FloatColumn:
        return self


class ExactColumn(list[Any]):
    """A list of values of any type that can also be called."""

    def __call__(self) -> ExactColumn:
        return self


class Series(Mapping[Any, Any]):
    """The values of a metric by step: a read-only mapping, equal to the dictionary of its items.

    It is a view of columns that are read from the store on demand. Its length, its last value and a
    sample need no columns.

    Attributes
    ----------
    steps
        the steps in order: an ``array`` of n 64-bit integers (typecode ``q``), growing
    times
        the times of logging: an ``array`` of n 64-bit integers (``q``), nanoseconds since
        1970-01-01 UTC. Clocks may go backwards, and so may these
    values
        an ``array`` of n 64-bit floats (``d``), or a list of n numbers if some are integers; it can
        also be called as a method

    Notes
    -----
    NumPy, Arrow and pandas use these without a Python object per value:
    ``numpy.frombuffer(series.values)``. Changing an array changes only this view.

    If some steps are no integers, or lower than earlier ones without repeating one of them, or some
    values are no numbers, ``steps`` and ``values`` are lists of the exact values in the order of
    logging.

    A step that is logged again has the later value and time, and keeps its place.
    """

    def __init__(
        self,
        chunks: Sequence[Chunk],
        exact: StepSeries | None = None,
        stored: Stored | None = None,
    ) -> None:
        self._tail = chunks
        self._exact = exact
        self._stored = stored
        self._found: Sequence[Chunk] | None = chunks if stored is None else None
        self._points: Points | None = None
        self._values: FloatColumn | ExactColumn | None = None

    @classmethod
    def of(cls, series: StepSeries) -> Series:
        """Return a view of the current state of a series."""
        parts = series.unstored()
        if parts is None:
            return cls((), series.copy())
        stored, tail = parts
        chunks = [LoadedChunk(tail.part(0, len(tail.steps)))] if tail.steps else []
        return cls(chunks, stored=stored)

    @classmethod
    def of_list(cls, values: Sequence[Any]) -> Series:
        """Return a view of values without steps, which uses their indexes as steps."""
        series = StepSeries()
        series.extend(range(len(values)), values)
        return cls.of(series)

    # Columns

    @property
    def _chunks(self) -> Sequence[Chunk]:
        if self._found is None:
            assert self._stored is not None
            self._found = [*self._stored.chunks(), *self._tail]
        return self._found

    @property
    def steps(self) -> Sequence[Any]:
        return [*self._exact] if self._exact is not None else self._loaded().steps

    @property
    def times(self) -> array[int]:
        if self._exact is not None:
            stamps = self._exact.stamps()
            return array("q", [min(stamps[step].at, 2**63 - 1) for step in self._exact])
        return self._loaded().times

    @property
    def values(self) -> Any:
        if self._exact is not None:
            return ExactColumn(value for _, value in self._exact.items())
        if self._values is None:
            pieces = [chunk.values() for chunk in self._chunks]
            if any(1 in integers for _, integers in pieces):
                self._values = ExactColumn(chain.from_iterable(exact(*piece) for piece in pieces))
            else:
                self._values = FloatColumn("d")
                for floats, _ in pieces:
                    self._values.extend(floats)
        return self._values

    def _loaded(self) -> Points:
        if self._points is None:
            points = Points.empty()
            for chunk in self._chunks:
                points.add(chunk.without_positions())
            self._points = points
        return self._points

    # As a mapping

    def __len__(self) -> int:
        if self._exact is not None:
            return len(self._exact)
        stored = 0 if self._stored is None else self._stored.count
        return stored + sum(chunk.summary.length for chunk in self._tail)

    def __getitem__(self, step: Any) -> Any:
        """Return the value at a step, or the series of the steps in a slice."""
        if isinstance(step, slice):
            if step.step is not None:
                raise ValueError("a slice of a series has no stride: use sample() to thin it out")
            return self._between(step.start, step.stop)
        if self._exact is not None:
            return self._exact[step]
        if isinstance(step, (int, float)):
            for chunk in self._chunks:
                if chunk.summary.first.step <= step <= chunk.summary.last.step:
                    points = chunk.points()
                    index = bisect_left(points.steps, step)
                    if points.steps[index] == step:
                        return points.part(index, index + 1).exact_values()[0]
        raise KeyError(step)

    def _between(self, start: Any, stop: Any) -> Series:
        """Return the series of steps from ``start`` to before ``stop``."""
        if self._exact is not None:
            kept = [
                (step, value, self._exact.stamps()[step])
                for step, value in self._exact.items()
                if _is_between(step, start, stop)
            ]
            return Series((), StepSeries.of_items(kept))
        chunks: list[Chunk] = []
        for chunk in self._chunks:
            first, last = chunk.summary.first.step, chunk.summary.last.step
            if (start is None or first >= start) and (stop is None or last < stop):
                chunks.append(chunk)
            elif (start is None or last >= start) and (stop is None or first < stop):
                points = chunk.points()
                begin = 0 if start is None else bisect_left(points.steps, start)
                end = len(points.steps) if stop is None else bisect_left(points.steps, stop)
                if begin < end:
                    chunks.append(LoadedChunk(points.part(begin, end)))
        return Series(chunks)

    def __iter__(self) -> Iterator[Any]:
        if self._exact is not None:
            return iter(self._exact)
        return chain.from_iterable(chunk.points().steps for chunk in self._chunks)

    def items(self) -> ItemsView[Any, Any]:
        return _Items(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return len(self) == len(other) and dict(self.items()) == dict(other.items())

    __hash__ = None  # type: ignore[assignment]  # like a dictionary

    def __repr__(self) -> str:
        return f"Series({self.to_dict()!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._exact is not None:
            return Series, ((), self._exact)
        return _of_columns, tuple(self.points())

    def to_dict(self) -> dict[Any, Any]:
        """Return a new dictionary with the items."""
        return dict(self.items())

    @property
    def last(self) -> Any:
        """Return the last value without reading the others, None if empty."""
        if self._exact is not None:
            item = self._exact.last_item()
            return None if item is None else item[1]
        if self._tail:
            return self._tail[-1].summary.last.value
        return self._stored.last_value if self._stored is not None and self._stored.count else None

    def points(self) -> Points:
        """Return a new copy of the points, empty for a series without columns."""
        points = Points.empty()
        for chunk in self._chunks:
            points.add(chunk.points())
        return points

    def chunks(self) -> Sequence[Chunk] | None:
        """Return the chunks of the series, None if it has no columns."""
        return None if self._exact is not None else self._chunks

    # Parts

    def begins(self, count: int) -> Series:
        """Return the series of the first ``count`` points, as it was when it had no more."""
        chunks: list[Chunk] = []
        for chunk in self._chunks:
            length = chunk.summary.length
            if count <= 0:
                break
            chunks.append(chunk if length <= count else LoadedChunk(chunk.points().part(0, count)))
            count -= length
        return Series(chunks)

    def until(self, *, position: int | None = None, at_ns: int | None = None) -> Series:
        """Return the series as of a position of the journal, or a time.

        Parameters
        ----------
        position
            the position of the last event to include
        at_ns
            the wall time of the last point to include, in nanoseconds since 1970-01-01 UTC. If a
            clock went backwards, all points before that one are included

        Raises
        ------
        ValueError
            the series has no columns, so values may have replaced earlier ones
        """
        if self._exact is not None or _is_overwritten(self._chunks):
            raise ValueError("this series does not have its earlier states: read its journal")
        chunks: list[Chunk] = []
        for chunk in self._chunks:
            summary = chunk.summary
            if position is not None and summary.first_position > position:
                break
            if position is None or summary.last_position <= position:
                chunks.append(chunk)
                continue
            points = chunk.points()
            chunks.append(LoadedChunk(points.part(0, bisect_right(points.positions, position))))
        return Series(chunks if at_ns is None else _until_time(chunks, at_ns))

    def sample(self, n: int, *, first: Any = None, last: Any = None) -> Series:
        """Return a sample of at most about ``n`` points that includes all extremes.

        Parameters
        ----------
        n
            the approximate number of points, at least 2
        first, last
            the first and the last step, both included; by default those of the series

        Returns
        -------
        A series of the first and the last point, and of the points with the smallest and the
        largest value of each of ``n / 2`` buckets of neighbours. A bucket with NaN keeps the first
        NaN, so that gaps stay visible. A series no longer than ``n`` is returned unchanged.

        Raises
        ------
        ValueError
            ``n`` is smaller than 2
        """
        if n < 2:  # noqa: PLR2004 - the two ends
            raise ValueError("a sample needs at least 2 points")
        if self._exact is not None:
            part = self._between(first, None if last is None else _behind(last))
            exact_part = part._exact  # noqa: SLF001 - another one of this class
            assert exact_part is not None
            return part if len(part) <= n else Series((), thinned(exact_part, n))
        if self._stored is not None and not self._tail:
            sampled = self._stored.sample(n, first, last)
            if sampled is not None:
                return _of_columns(*sampled)
        series = self
        if first is not None or last is not None:
            series = self._between(first, None if last is None else _behind(last))
        if len(series) <= n:
            return series
        buckets = max(1, n // 2)
        chunks = series._chunks  # noqa: SLF001 - another one of this class
        if len(chunks) * _FEWEST_BUCKETS < buckets:
            return _of_columns(*bucketed(chunks, buckets))
        groups = grouped([chunk.summary for chunk in chunks], buckets)
        kept = [points for group in groups for points in extremes(group)]
        kept += [chunks[0].summary.first, chunks[-1].summary.last]
        by_step = {point.step: point for point in kept}
        ordered = [by_step[step] for step in sorted(by_step)]
        return _of_columns(
            array("q", [point.step for point in ordered]),
            array("q", [point.at for point in ordered]),
            array("q", bytes(8 * len(ordered))),
            array("d", [point.value for point in ordered]),
            bytes([type(point.value) is int for point in ordered]),
        )


class _Items(ItemsView[Any, Any]):
    """The items, read chunk by chunk."""

    _mapping: Series

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        chunks = self._mapping.chunks()
        if chunks is None:
            return zip(self._mapping.steps, self._mapping.values, strict=True)
        points = (chunk.without_positions() for chunk in chunks)
        return chain.from_iterable(zip(p.steps, p.exact_values(), strict=True) for p in points)


def _of_columns(*columns: Any) -> Series:
    points = Points(*columns)
    return Series([LoadedChunk(points)] if points.steps else [])


def _is_overwritten(chunks: Sequence[Chunk]) -> bool:
    """Return whether steps were logged again, so that positions do not grow."""
    last = -1
    for chunk in chunks:
        summary = chunk.summary
        if summary.first_position < last:
            return True
        last = summary.last_position
    return False


def _until_time(chunks: list[Chunk], at_ns: int) -> list[Chunk]:
    """Return the chunks up to the last point recorded by a time."""
    for index in reversed(range(len(chunks))):
        if chunks[index].summary.latest <= at_ns:
            return chunks[: index + 1]
        points = chunks[index].points()
        by_then = (n for n in range(len(points.times), 0, -1) if points.times[n - 1] <= at_ns)
        if count := next(by_then, 0):
            return [*chunks[:index], LoadedChunk(points.part(0, count))]
    return []


def _behind(step: Any) -> Any:
    """Return the least number after a step."""
    if isinstance(step, float):
        return nextafter(step, inf)
    return step + 1 if isinstance(step, int) else step


def _is_between(step: Any, start: Any, stop: Any) -> bool:
    try:
        return bool((start is None or step >= start) and (stop is None or step < stop))
    except TypeError:
        return False  # text cannot be compared with numbers
