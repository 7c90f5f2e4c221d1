"""Choose the points of a series that show all its extremes."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

from track.containers.points import Extreme, Points, Summary
from track.containers.series import StepSeries


def thinned(series: StepSeries, n: int) -> StepSeries:
    """Return about ``n`` items in order, including both ends and the extremes."""
    items = [*series.items()]
    buckets = max(1, n // 2)
    kept = {0, len(items) - 1}
    for bucket in range(buckets):
        places = range(bucket * len(items) // buckets, (bucket + 1) * len(items) // buckets)
        numbers = [place for place in places if _is_number(items[place][1])]
        if numbers:
            kept.add(min(numbers, key=lambda place: items[place][1]))
            kept.add(max(numbers, key=lambda place: items[place][1]))
        kept.update([place for place in places if not _is_number(items[place][1])][:1])
    stamps = series.stamps()
    chosen = (items[place] for place in sorted(kept))
    return StepSeries.of_items((step, value, stamps[step]) for step, value in chosen)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == value  # noqa: PLR0124 - NaN is not


def grouped(summaries: list[Summary], buckets: int) -> Iterator[list[Summary]]:
    """Yield groups of neighbouring chunks with about equal numbers of points."""
    size = sum(summary.length for summary in summaries) / buckets
    group: list[Summary] = []
    done = number = 0
    for summary in summaries:
        group.append(summary)
        done += summary.length
        if done >= size * (number + 1):
            yield group
            group, number = [], int(done / size)
    if group:
        yield group


def extremes(group: list[Summary]) -> Iterator[Extreme]:
    """Yield the smallest and the largest point of some chunks, and the first NaN."""
    lows = [summary.low for summary in group if summary.low is not None]
    highs = [summary.high for summary in group if summary.high is not None]
    gaps = [summary.gap for summary in group if summary.gap is not None]
    if lows:
        yield min(lows, key=lambda point: point.value)
        yield max(highs, key=lambda point: point.value)
    yield from gaps[:1]


def bucketed(points: Points, buckets: int, *, has_gaps: bool) -> Points:
    """Return both ends of points, and the extremes of each bucket, and its first NaN."""
    steps, times, _, values, integers = points
    count = len(values)
    places = {0, count - 1}
    for bucket in range(buckets):
        start, stop = bucket * count // buckets, (bucket + 1) * count // buckets
        # A list creates the object of each number once instead of in each of these calls.
        part = values[start:stop].tolist()
        if has_gaps:
            nans = (place for place, value in enumerate(part) if value != value)  # noqa: PLR0124 - which NaN is not
            gap = next(nans, None)
            if gap is not None:
                places.add(start + gap)
                numbers = [value for value in part if value == value]  # noqa: PLR0124 - the same
                if numbers:
                    places.add(start + part.index(min(numbers)))
                    places.add(start + part.index(max(numbers)))
                continue
        if part:
            places.add(start + part.index(min(part)))
            places.add(start + part.index(max(part)))
    kept = sorted(places)
    no_positions = array("q", bytes(8 * len(kept)))
    kept_columns = _pick(steps, kept), _pick(times, kept), no_positions, _pick(values, kept)
    return Points(*kept_columns, bytes([integers[place] for place in kept] if integers else ()))


def _pick(column: array[Any], indexes: list[int]) -> array[Any]:
    return array(column.typecode, [column[index] for index in indexes])
