"""How logged values become metrics.

A metric is a list of values, a :class:`~track.containers.series.StepSeries` (or a dictionary) of
values by step, or an aggregator: whatever the first value logged under its name made it.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any

from track.aggregators.aggregator import Aggregator, build
from track.containers.series import StepSeries
from track.events.types import AggregatorSpec


def add_values(
    metrics: dict[str, Any], step: Any, values: Mapping[str, Any], spec: AggregatorSpec = None
) -> None:
    """Add one value to each of some metrics.

    Parameters
    ----------
    metrics
        name -> metric
    step
        of the values; None appends to a list
    values
        name -> value
    spec
        aggregator to give the values to instead
    """
    for name, value in values.items():
        metric = metrics.get(name)
        if isinstance(metric, Aggregator):
            _accumulate(metric, value)
        elif spec is not None:
            aggregate(metrics, name, value, spec)
        elif metric is None:
            metrics[name] = [value] if step is None else StepSeries([(step, value)])
        elif isinstance(metric, list):
            if step is None:
                metric.append(value)
            else:
                metrics[name] = StepSeries([*enumerate(metric), (step, value)])
        elif not isinstance(metric, MutableMapping):  # a trial was made with a bare number
            metrics[name] = [metric]
            add_values(metrics, step, {name: value})
        else:
            metric[_step_after(metric) if step is None else step] = value


def add_column(
    metrics: dict[str, Any], name: str, steps: Sequence[Any], values: Sequence[Any]
) -> None:
    """Add many values to one metric, in order; as :func:`add_values` with each."""
    metric = metrics.get(name)
    if metric is None and steps:
        metric = metrics[name] = StepSeries()
    if isinstance(metric, StepSeries):
        metric.extend(steps, values)
    else:
        for step, value in zip(steps, values, strict=True):
            add_values(metrics, step, {name: value})


def aggregate(values: dict[str, Any], name: str, value: Any, spec: list[Any]) -> None:
    """Give a value to the aggregator of a name, made when there is none out of what there was."""
    current = values.get(name)
    if not isinstance(current, Aggregator):
        earlier = current
        current = values[name] = build(*spec)
        if earlier is not None:
            accumulate(current, earlier)
    _accumulate(current, value)


def accumulate(aggregator: Aggregator, earlier: Any) -> None:
    """Give an aggregator what there was before it: values in a list, by step, or a single one."""
    if isinstance(earlier, (StepSeries, dict)):
        earlier = earlier.values()
    elif not isinstance(earlier, list):
        earlier = [earlier]
    for value in earlier:
        _accumulate(aggregator, value)


def _accumulate(aggregator: Aggregator, value: Any) -> None:
    """Give a value to an aggregator, unless it is of a kind (a text, say) that it cannot take."""
    with suppress(TypeError, ValueError, OverflowError):
        aggregator.append(value)


def _step_after(metric: Mapping[Any, Any]) -> int:
    """Return the step of a value that was given none, in a metric that has some."""
    return 1 + max((step for step in metric if isinstance(step, int)), default=-1)
