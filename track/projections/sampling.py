"""Choose the points of a series that show all its extremes."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from typing import Any

from track.containers.points import Chunk, Extreme, Points, Summary
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


def bucketed(chunks: Sequence[Chunk], buckets: int) -> Points:
    """Return both ends of a series, and the extremes and the first NaN of each bucket.

    Only the points of one chunk are in memory at a time.
    """
    sample = Points.empty()
    lengths = [chunk.summary.length for chunk in chunks]
    ends = [end * buckets // sum(lengths) for end in accumulate(lengths)]
    for chunk, first, last in zip(chunks, [0, *ends], ends, strict=False):
        points = chunk.without_positions()
        places = _shown(points.values, max(1, last - first), chunk.summary.gap is not None)
        if chunk is chunks[0]:
            places.add(0)
        if chunk is chunks[-1]:
            places.add(len(points.values) - 1)
        sample.add(_pick(points, sorted(places)))
    return sample


def _shown(values: array[float], buckets: int, has_gaps: bool) -> set[int]:
    """Return the indexes of the extremes and of the first NaN of each bucket of values."""
    places: set[int] = set()
    for bucket in range(buckets):
        start = bucket * len(values) // buckets
        # A list creates the object of each number once instead of in each of these calls.
        numbers = part = values[start : (bucket + 1) * len(values) // buckets].tolist()
        if has_gaps:
            numbers = [value for value in part if value == value]  # noqa: PLR0124 - NaN is not
            gaps = (place for place, value in enumerate(part) if value != value)  # noqa: PLR0124 - the same
            places.update(start + gap for gap in islice(gaps, 1))
        if numbers:
            places.add(start + part.index(min(numbers)))
            places.add(start + part.index(max(numbers)))
    return places


def _pick(points: Points, places: list[int]) -> Points:
    """Return some points without their positions."""
    integers = points.integers
    return Points(
        array("q", [points.steps[place] for place in places]),
        array("q", [points.times[place] for place in places]),
        array("q", bytes(8 * len(places))),
        array("d", [points.values[place] for place in places]),
        bytes([integers[place] for place in places] if integers else ()),
    )
