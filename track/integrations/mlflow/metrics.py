"""Metrics in MLflow's form: points with a timestamp in milliseconds and an integer step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from track.containers.series import StepSeries
from track.events.types import MetricsLogged, Recorded, TrialCreated
from track.projections.series import Series
from track.projections.trials import measured_at

MS = 10**6
"""Nanoseconds in a millisecond."""


class Point(NamedTuple):
    """One value of a metric. The order of points is MLflow's: the greatest one is the latest."""

    step: int
    timestamp: int
    value: float


def is_number(value: Any) -> bool:
    """Return whether MLflow can store a value in a metric."""
    return isinstance(value, (int, float))


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

    def add(name: str, step: Any, at: int, value: Any) -> None:
        points = found.setdefault(name, [])
        if is_number(value):
            points.append(Point(_whole(step, len(points)), at // MS, float(value)))

    for recorded in events:
        event = recorded.event
        if isinstance(event, MetricsLogged):
            at = measured_at(recorded, event)
            for name, value in event.values.items():
                add(name, event.step, at, value)
        elif isinstance(event, TrialCreated):
            for name, metric in event.metrics.items():
                for step, value in _items(metric):
                    add(name, step, recorded.at, value)
    return {name: points for name, points in found.items() if points}


def _items(metric: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(metric, dict):
        return metric.items()
    return enumerate(metric if isinstance(metric, list) else [metric])


def _whole(step: Any, otherwise: int) -> int:
    """Return a step as an integer, the only kind that MLflow supports."""
    try:
        return int(step)
    except (TypeError, ValueError, OverflowError):
        return otherwise
