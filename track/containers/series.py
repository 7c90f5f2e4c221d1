"""Hold values by step, with the times of their events, in little memory."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import ItemsView, Iterable, Iterator, MutableMapping, Sequence, ValuesView
from itertools import chain, compress, count, islice, pairwise
from operator import gt, lt, ne
from typing import Any

from track.containers.points import LARGEST, Chunk, LoadedChunk, Points, Stamp, Stored

_HIGHEST_BYTE = 7 if sys.byteorder == "little" else 0
"""The place of the byte with the highest bits of a 64-bit number."""

_EXACT = 2**53
"""Integers between this one and its negative are exact as floats."""

_NOTHING = Points.empty()
"""The shared empty columns of series to which nothing was added, as most in a store."""


class StepSeries(MutableMapping[Any, Any]):
    """A mapping of steps to values, equal to the dictionary with the same items.

    As long as steps are integers that grow, or that repeat earlier ones, and values are numbers, as
    in most metrics, it takes 32 bytes per item, or none for stored items; the first item that does
    not fit converts it to a dictionary.
    """

    __slots__ = ("_items", "_stamps", "_stored", "_tail", "is_rewritten")

    def __init__(self, items: Iterable[tuple[Any, Any]] = (), stamp: Stamp = Stamp()) -> None:  # noqa: B008 - a tuple
        self._tail = _NOTHING
        self._stored: Stored | None = None
        self._items: dict[Any, Any] | None = None
        self._stamps: dict[Any, Stamp] | None = None
        self.is_rewritten = False
        """Whether a step in columns was logged again, so that earlier values are lost."""
        for step, value in items:
            self.put(step, value, stamp)

    @classmethod
    def of_stored(cls, stored: Stored) -> StepSeries:
        """Return a series whose points are kept in storage."""
        series = cls()
        series._stored, series.is_rewritten = stored, stored.is_rewritten
        return series

    @classmethod
    def of_items(cls, items: Iterable[tuple[Any, Any, Stamp]]) -> StepSeries:
        """Return a series of items that do not fit in columns."""
        series = cls()
        series._items, series._stamps = {}, {}
        for step, value, stamp in items:
            series._items[step] = value
            series._stamps[step] = stamp
        return series

    def __setitem__(self, step: Any, value: Any) -> None:
        self.put(step, value, Stamp())

    def put(self, step: Any, value: Any, stamp: Stamp) -> None:
        """Set an item with the stamp of its event."""
        if self._items is None:
            tail, last = self._tail, self._last_step()
            # Exact types: True is not a step, and 1 must not become 1.0.
            is_next = type(step) is int and (last is None or step > last)
            if (
                is_next
                and type(value) is float
                and not tail.integers
                and -LARGEST <= step <= LARGEST
            ):
                if tail is _NOTHING:
                    tail = self._tail = Points.empty()
                at, position = stamp
                tail.steps.append(step)
                # Faster than min(), and done for each event of a replay.
                tail.times.append(at if at < LARGEST else LARGEST)  # noqa: FURB136
                tail.positions.append(position if position < LARGEST else LARGEST)  # noqa: FURB136
                tail.values.append(value)
                return
            points = _points_of([step], [value], [stamp.at], [stamp.position])
            if points is not None and self._put_points(points):
                return
            self._use_dict()
        assert self._items is not None
        assert self._stamps is not None
        self._items[step] = value
        self._stamps[step] = stamp

    def _last_step(self) -> int | None:
        if self._tail.steps:
            return self._tail.steps[-1]
        return None if self._stored is None else self._stored.last_step

    def _use_dict(self) -> None:
        items: dict[Any, Any] = {}
        stamps: dict[Any, Stamp] = {}
        for chunk in self.chunks() or ():
            points = chunk.points()
            items.update(zip(points.steps, points.exact_values(), strict=True))
            known = map(Stamp, points.times, points.positions)
            stamps.update(zip(points.steps, known, strict=True))
        self._items, self._stamps = items, stamps
        self._tail, self._stored = _NOTHING, None

    def extend(self, steps: Sequence[Any], values: Sequence[Any]) -> None:
        """Set many items in order without stamps."""
        self.extend_points(steps, values, [0] * len(steps), [0] * len(steps))

    def extend_points(
        self,
        steps: Sequence[Any],
        values: Sequence[Any],
        times: Sequence[int],
        positions: Sequence[int],
    ) -> None:
        """Set many items in order with the stamps of their events."""
        points = None if self._items is not None else _points_of(steps, values, times, positions)
        if points is None or not self._put_points(points):
            for step, value, at, position in zip(steps, values, times, positions, strict=True):
                self.put(step, value, Stamp(at, position))

    def _put_points(self, points: Points) -> bool:
        """Set items with numbers at integer steps, and return whether they fit in columns."""
        ends = [*_ends_of_growth(points.steps)]
        for start, end in pairwise([0, *ends]):
            if not self._put_growing(points.part(start, end) if len(ends) > 1 else points):
                return False
        return True

    def _put_growing(self, points: Points) -> bool:
        """Do the same for steps that do not go back."""
        given, points = len(points.steps), _last_of_each(points)
        last = self._last_step()
        known = 0 if last is None else bisect_right(points.steps, last)
        self.is_rewritten |= known > 0 or len(points.steps) < given
        if known and not self._overwrite(points.part(0, known)):
            return False
        if self._tail is _NOTHING:
            self._tail = Points.empty()
        self._tail.add(points.part(known, len(points.steps)) if known else points)
        return True

    def _overwrite(self, points: Points) -> bool:
        """Replace the values of earlier steps, and return whether all of these are there."""
        first = points.steps[0]
        if self._stored is not None and first <= self._stored.last_step:
            self._stored, tail = self._stored.cut(first)
            tail.add(self._tail)
            self._tail = tail
        steps = self._tail.steps
        start = bisect_left(steps, first)
        if steps[start : start + len(points.steps)] == points.steps:
            self._tail.overwrite(start, points)
            return True
        places = [_index(steps, step) for step in points.steps]
        for index, place in enumerate(places if None not in places else ()):
            assert place is not None
            self._tail.overwrite(place, points.part(index, index + 1))
        return None not in places

    def chunks(self) -> list[Chunk] | None:
        """Return the points in order, None if they are not in columns.

        Chunks in memory belong to the series, which may append to them.
        """
        if self._items is not None:
            return None
        stored = [] if self._stored is None else self._stored.chunks()
        return [*stored, LoadedChunk(self._tail)] if self._tail.steps else stored

    def points(self) -> Points | None:
        """Return all points, None if they are not in columns."""
        chunks = self.chunks()
        if chunks is None:
            return None
        if len(chunks) == 1:
            return chunks[0].points()
        joined = Points.empty()
        for chunk in chunks:
            joined.add(chunk.points())
        return joined

    def unstored(self) -> tuple[Stored | None, Points] | None:
        """Return the stored points and those in memory, None if they are not in columns."""
        return None if self._items is not None else (self._stored, self._tail)

    def keep_stored(self, stored: Stored) -> None:
        """Replace the points in memory by stored ones."""
        self._stored, self._tail = stored, _NOTHING

    def stamps(self) -> dict[Any, Stamp]:
        """Return the stamps by step of items that are not in columns."""
        return self._stamps or {}

    def last_item(self) -> tuple[Any, Any] | None:
        """Return the last step and its value without reading the others, None if empty."""
        if self._items is not None:
            step = next(reversed(self._items), None)
            return (step, self._items[step]) if self._items else None
        if self._tail.steps:
            end = len(self._tail.steps)
            return self._tail.steps[-1], self._tail.part(end - 1, end).exact_values()[0]
        return None if self._stored is None else (self._stored.last_step, self._stored.last_value)

    def extremes(self) -> tuple[float | None, float | None]:
        """Return the smallest and the largest number among the values, None without any."""
        if self._items is not None:
            numbers = [v for v in self._items.values() if isinstance(v, (int, float)) and v == v]  # noqa: PLR0124 - not a number is not
        else:
            numbers = [value for value in self._tail.exact_values() if value == value]  # noqa: PLR0124 - the same
            known = () if self._stored is None else self._stored.extremes()
            numbers += [value for value in known if value is not None]
        return min(numbers, default=None), max(numbers, default=None)

    def to_dict(self) -> dict[Any, Any]:
        """Return a new dictionary with the items."""
        return dict(self._pairs())

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        if self._items is not None:
            return iter(self._items.items())
        points = (chunk.points() for chunk in self.chunks() or ())
        return chain.from_iterable(zip(p.steps, p.exact_values(), strict=True) for p in points)

    def copy(self) -> StepSeries:
        """Return a copy."""
        twin = StepSeries()
        if self._tail.steps:
            twin._tail = self._tail.part(0, len(self._tail.steps))
        twin._stored, twin.is_rewritten = self._stored, self.is_rewritten
        if self._items is not None:
            twin._items, twin._stamps = dict(self._items), dict(self._stamps or {})
        return twin

    def __getitem__(self, step: Any) -> Any:
        if self._items is not None:
            return self._items[step]
        index = _index(self._tail.steps, step)
        if index is not None:
            return self._tail.part(index, index + 1).exact_values()[0]
        if self._stored is not None and isinstance(step, (int, float)):
            for chunk in self._stored.chunks():
                if chunk.summary.first.step <= step <= chunk.summary.last.step:
                    points = chunk.points()
                    index = _index(points.steps, step)
                    if index is not None:
                        return points.part(index, index + 1).exact_values()[0]
        raise KeyError(step)

    def __delitem__(self, step: Any) -> None:
        if self._items is None:
            if step not in self:
                raise KeyError(step)
            kept = [item for item in self.items() if item[0] != step]
            self._tail, self._stored = _NOTHING, None
            self.extend([step for step, _ in kept], [value for _, value in kept])
            return
        assert self._stamps is not None
        del self._items[step]
        del self._stamps[step]

    def __contains__(self, step: object) -> bool:
        try:
            self[step]
        except (KeyError, TypeError):
            return False
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items) if self._items is not None else (step for step, _ in self._pairs())

    def items(self) -> ItemsView[Any, Any]:
        return _Items(self)

    def values(self) -> ValuesView[Any]:
        return _Values(self)

    def __len__(self) -> int:
        if self._items is not None:
            return len(self._items)
        return len(self._tail.steps) + (0 if self._stored is None else self._stored.count)

    def __repr__(self) -> str:
        return repr(self.to_dict())

    def __reduce__(self) -> tuple[Any, ...]:
        return StepSeries, (list(self.items()),)


class _Items(ItemsView[Any, Any]):
    """The items, read in order instead of one by one."""

    _mapping: StepSeries

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._mapping._pairs()  # noqa: SLF001 - a part of that class


class _Values(ValuesView[Any]):
    """The values, read in order instead of one by one."""

    _mapping: StepSeries

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping._pairs())  # noqa: SLF001 - a part of that class


def are_growing(steps: Sequence[Any]) -> bool:
    """Return whether each number is larger than the one before."""
    if isinstance(steps, array) and len(steps) > 1 and steps[-1] - steps[0] == len(steps) - 1:
        # Most steps count up by one, which is ten times as fast to compare.
        return steps == array(steps.typecode, range(steps[0], steps[-1] + 1)) or all(
            map(lt, steps, islice(steps, 1, None))
        )
    return all(map(lt, steps, islice(steps, 1, None)))


def clamped(numbers: Sequence[int]) -> Sequence[int]:
    """Limit unsigned numbers to those that a column can hold; real ones are far smaller."""
    if isinstance(numbers, array) and numbers.typecode == "Q":
        data = numbers.tobytes()
        # Only larger numbers have the highest bit, which no ASCII character has, either.
        if data[_HIGHEST_BYTE::8].isascii():
            return array("q", data)
        return [min(number, LARGEST) for number in numbers]
    if isinstance(numbers, (array, range)):
        return numbers
    return [min(number, LARGEST) for number in numbers]


def _index(steps: array[int], step: Any) -> int | None:
    """Return the index of a step, None if it is missing."""
    if not steps:
        return None
    try:
        index = bisect_left(steps, step)
    except TypeError:
        raise KeyError(step) from None
    return index if index < len(steps) and steps[index] == step else None


def _points_of(
    steps: Sequence[Any], values: Sequence[Any], times: Sequence[int], positions: Sequence[int]
) -> Points | None:
    """Return items as points, None unless steps are integers and values are numbers."""
    step_types, value_types = _types_in(steps), _types_in(values)
    if step_types != {int} or not value_types <= {int, float}:
        return None
    integers = b""
    if value_types == {int}:
        integers = b"\1" * len(values)
    elif int in value_types:
        integers = bytes([type(value) is int for value in values])
    try:
        column, floats = _as_array("q", steps), _as_array("d", values)
        stamps = array("q", clamped(times)), array("q", clamped(positions))
    except OverflowError:
        return None
    if integers and not all(-_EXACT < value < _EXACT for value in compress(floats, integers)):
        return None
    return Points(column, *stamps, floats, integers)


def _as_array(typecode: str, column: Sequence[Any]) -> array[Any]:
    if isinstance(column, array) and column.typecode == typecode:
        return column
    return array(typecode, column)


def _types_in(column: Sequence[Any]) -> set[type]:
    if isinstance(column, array):
        return {float if column.typecode == "d" else int}
    return {*map(type, column)}


def _ends_of_growth(steps: array[int]) -> Iterator[int]:
    """Yield the places where steps go back, and the end."""
    if not are_growing(steps):
        yield from compress(count(1), map(gt, steps, islice(steps, 1, None)))
    yield len(steps)


def _last_of_each(points: Points) -> Points:
    """Return points whose steps grow: the last one of those that repeat a step."""
    steps = points.steps
    if are_growing(steps):
        return points
    kept = [*map(ne, steps, islice(steps, 1, None)), True]
    steps, times, positions, values = (
        array(column.typecode, compress(column, kept)) for column in points.columns()
    )
    return Points(steps, times, positions, values, bytes(compress(points.integers, kept)))
