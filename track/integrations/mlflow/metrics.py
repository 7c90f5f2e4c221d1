"""Metrics in MLflow's form: points with a timestamp in milliseconds and an integer step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from track.containers.series import StepSeries
from track.events.types import Recorded
from track.projections.series import Series
from track.projections.trials import calls_in

MS = 10**6
"""Nanoseconds in a millisecond."""


class Point(NamedTuple):
    """One value of a metric. The order of points is MLflow's: the greatest one is the latest."""

    step: int
    timestamp: int
    value: float


def series_of(metric: Any) -> Series | None:
    """Return a metric as a series, None unless its steps are known and logged once each."""
    if not isinstance(metric, StepSeries) or metric.unstored() is None or metric.is_rewritten:
        return None
    return Series.of(metric)


def latest_of(series: Series) -> Point | None:
    """Return the last point of a series, without reading earlier chunks."""
    chunks = series.chunks()
    if not chunks:
        return None
    last = chunks[-1].summary.last
    return Point(last.step, last.at // MS, float(last.value))


def points_of(series: Series) -> list[Point]:
    """Return all points of a series."""
    columns = zip(series.steps, series.times, series.values, strict=True)
    return [Point(step, at // MS, float(value)) for step, at, value in columns]


def grouped(metrics: Iterable[Any]) -> Iterator[tuple[int, int, dict[str, float]]]:
    """Yield step, time and values, grouping consecutive metrics of the same step and time."""
    when, values = (0, 0), dict[str, float]()
    for metric in metrics:
        moment = int(metric.step), int(metric.timestamp)
        if values and (moment != when or metric.key in values):
            yield *when, values
            values = {}
        when = moment
        values[metric.key] = float(metric.value)
    if values:
        yield *when, values


def points_in(events: Iterable[Recorded]) -> dict[str, list[Point]]:
    """Return all points logged to a trial, in order, by metric name.

    Values that MLflow cannot store, such as texts, are left out; missing steps are counted up.
    """
    found: dict[str, list[Point]] = {}
    for recorded in events:
        for at, step, values in calls_in(recorded):
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    points = found.setdefault(name, [])
                    points.append(Point(_whole(step, len(points)), at // MS, float(value)))
    return found


def _whole(step: Any, otherwise: int) -> int:
    """Return a step as an integer, the only kind that MLflow supports."""
    try:
        return int(step)
    except (TypeError, ValueError, OverflowError):
        return otherwise
