"""Add logged values to metrics.

A metric is a list of values, a :class:`~track.containers.series.StepSeries` (or a dictionary) of
values by step, or an aggregator: the first value logged under its name decides.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any

from track.aggregators.aggregator import Aggregator, build
from track.containers.points import Stamp
from track.containers.series import StepSeries
from track.events.types import AggregatorSpec


def add_values(
    metrics: dict[str, Any],
    step: Any,
    values: Mapping[str, Any],
    spec: AggregatorSpec = None,
    stamp: Stamp = Stamp(),  # noqa: B008 - a tuple
) -> None:
    """Add one value to each of some metrics.

    Parameters
    ----------
    metrics
        name -> metric
    step
        the step of the values; None appends to a list
    values
        name -> value
    spec
        the aggregator to add the values to instead
    stamp
        the time and position of the event
    """
    for name, value in values.items():
        metric = metrics.get(name)
        if type(metric) is StepSeries and step is not None and spec is None:
            metric.put(step, value, stamp)  # most metrics are series
        elif isinstance(metric, Aggregator):
            _accumulate(metric, value)
        elif spec is not None:
            aggregate(metrics, name, value, spec)
        elif metric is None:
            metrics[name] = [value] if step is None else StepSeries([(step, value)], stamp)
        elif isinstance(metric, list):
            if step is None:
                metric.append(value)
            else:
                # Its items, since columns would have to know the times of the earlier values.
                items = [(place, earlier, stamp) for place, earlier in enumerate(metric)]
                metrics[name] = StepSeries.of_items(items)
                metrics[name].put(step, value, stamp)
        elif not isinstance(metric, MutableMapping):  # may be a bare number
            metrics[name] = [metric]
            add_values(metrics, step, {name: value}, None, stamp)
        else:
            step = _step_after(metric) if step is None else step
            if isinstance(metric, StepSeries):
                metric.put(step, value, stamp)
            else:
                metric[step] = value


def add_column(
    metrics: dict[str, Any],
    name: str,
    steps: Sequence[Any],
    values: Sequence[Any],
    stamps: tuple[Sequence[int], Sequence[int]],
) -> None:
    """Add many values to one metric in order, as :func:`add_values` does for each.

    Parameters
    ----------
    metrics, name
        the metrics by name, and the name of the metric
    steps, values
        the columns to add
    stamps
        the times and the positions of the events
    """
    metric = metrics.get(name)
    if metric is None and steps:
        metric = metrics[name] = StepSeries()
    if isinstance(metric, StepSeries):
        metric.extend_points(steps, values, *stamps)
    else:
        for step, value, *stamp in zip(steps, values, *stamps, strict=True):
            add_values(metrics, step, {name: value}, None, Stamp(*stamp))


def aggregate(values: dict[str, Any], name: str, value: Any, spec: list[Any]) -> None:
    """Add a value to an aggregator, created from the earlier values if there is none."""
    current = values.get(name)
    if not isinstance(current, Aggregator):
        earlier = current
        current = values[name] = build(*spec)
        if earlier is not None:
            accumulate(current, earlier)
    _accumulate(current, value)


def accumulate(aggregator: Aggregator, earlier: Any) -> None:
    """Add earlier values to an aggregator: a list, a mapping of steps, or a single value."""
    if isinstance(earlier, (StepSeries, dict)):
        earlier = earlier.values()
    elif not isinstance(earlier, list):
        earlier = [earlier]
    for value in earlier:
        _accumulate(aggregator, value)


def _accumulate(aggregator: Aggregator, value: Any) -> None:
    """Add a value to an aggregator, unless it is of a type (such as text) that it cannot take."""
    with suppress(TypeError, ValueError, OverflowError):
        aggregator.append(value)


def _step_after(metric: Mapping[Any, Any]) -> int:
    """Return the step for a value without one in a metric that has steps."""
    if isinstance(metric, StepSeries) and metric.unstored() is not None:
        last = metric.last_item()  # the largest, since steps grow
        return 1 + max(-1, -1 if last is None else last[0])
    return 1 + max((step for step in metric if isinstance(step, int)), default=-1)
