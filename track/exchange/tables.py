"""Convert trials to rows: one for each value of a metric, or one for each trial."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, NamedTuple

from track.aggregators.aggregator import Aggregator
from track.containers.points import Points
from track.containers.series import StepSeries
from track.projections.report import plain
from track.projections.series import Series
from track.projections.times import TrialTimes
from track.projections.trials import OWN_METADATA
from track.structure import Trial, TrialGroup

METRIC_COLUMNS = ("trial", "project", "group", "metric", "step", "index", "value", "time")
"""The column names of a table of :class:`MetricRow`."""

TIMES = ("start", "end")
"""The columns of a table of trials that hold times in nanoseconds since 1970-01-01 UTC."""

_STATISTICS = {"avg", "min", "max", "sd", "count"}
"""The steps of a metric that holds statistics."""

_FIRST = ("uid", "name", "revision", "project", "group", "status", *TIMES, "runtime")

TimesByUid = Mapping[str, TrialTimes]

_LARGE = 2**63
"""Integers beyond this size, in either direction, take the general path of :func:`cell`."""


class MetricRow(NamedTuple):
    """One value of a metric.

    Attributes
    ----------
    trial, project, group
        the uid of the trial, the name of its project, and the name (else the uid) of its group
    metric
        the name of the metric
    step
        the step, or the name of a statistic (``avg``); None for the values of a list
    place
        the index in a list; None otherwise
    value
        the logged value
    time
        the time of logging in nanoseconds since 1970-01-01 UTC, None if unknown; for a statistic,
        the time of its last value
    """

    trial: str
    project: Any
    group: Any
    metric: str
    step: Any
    place: int | None
    value: Any
    time: int | None = None


def metric_rows(
    trials: Iterable[Trial], groups: Iterable[TrialGroup] = (), times: TimesByUid | None = None
) -> Iterator[MetricRow]:
    """Yield every value of every metric, in the order of the trials and of logging.

    Parameters
    ----------
    trials
        as ``fetch_trials`` returns them
    groups
        the groups, to show their names instead of their uids
    times
        the times of values by trial uid, as :meth:`track.reader.Reader.times` returns them
    """
    for metric in logged_metrics(trials, groups, times):
        yield from metric.rows()


class LoggedMetric(NamedTuple):
    """A metric of a trial, to be read as rows or as columns.

    Attributes
    ----------
    labels
        the first cells of its rows: trial, project, group and metric
    values
        its values, as the trial has them
    times
        the times of the trial
    """

    labels: tuple[str, Any, Any, str]
    values: Any
    times: TrialTimes

    def chunks(self) -> Iterator[Points] | None:
        """Return its points a few thousand at a time, None if they are not in columns."""
        chunks = self.values.chunks() if isinstance(self.values, Series) else None
        return None if chunks is None else (chunk.without_positions() for chunk in chunks)

    def rows(self) -> Iterator[MetricRow]:
        """Yield a row for each value."""
        chunks = self.chunks()
        if chunks is None:
            points = [*_points(self.values)]
            times = self.times.along(self.labels[-1], points)
            for (step, place, value), time in zip(points, times, strict=True):
                yield MetricRow(*self.labels, step, place, value, time)
            return
        for part in chunks:
            for step, at, value in zip(part.steps, part.times, part.exact_values(), strict=True):
                yield MetricRow(*self.labels, step, None, value, at or None)


def logged_metrics(
    trials: Iterable[Trial], groups: Iterable[TrialGroup] = (), times: TimesByUid | None = None
) -> Iterator[LoggedMetric]:
    """Yield the metrics of trials, see :func:`metric_rows`."""
    names = group_names(groups)
    for trial in trials:
        group = names.get(trial.group_id, trial.group_id)
        known = (times or {}).get(trial.uid) or TrialTimes()
        for metric, values in trial.metrics.items():
            yield LoggedMetric((trial.uid, trial.project_id, group, metric), values, known)


def trial_rows(
    trials: Iterable[Trial], groups: Iterable[TrialGroup] = (), times: TimesByUid | None = None
) -> tuple[list[str], list[dict[str, Any]]]:
    """Return a dictionary by column for each trial, and the names of all columns.

    The columns are uid, name, revision, project, group, status, start and end (in nanoseconds since
    1970-01-01 UTC) and runtime (in seconds), then ``parameters.<name>`` with dots for nested
    parameters, ``tags.<name>``, ``metadata.<name>``, and ``metrics.<name>`` with the last value
    (``metrics.<name>.avg`` and so on for statistics).
    """
    names = group_names(groups)
    rows = [_trial_row(trial, names, (times or {}).get(trial.uid)) for trial in trials]
    columns = dict.fromkeys(_FIRST)
    for section in ("parameters", "tags", "metadata", "metrics"):
        for row in rows:
            columns.update((name, None) for name in row if name.partition(".")[0] == section)
    return [*columns], rows


def group_names(groups: Iterable[TrialGroup]) -> dict[Any, str]:
    """Return the names of groups by uid."""
    return {group.uid: group.name for group in groups if group.name is not None}


def flatten(name: str, value: Any) -> dict[str, Any]:
    """Return the items of a value by dotted name; a value without names is a single item."""
    if not isinstance(value, Mapping) or not value:
        return {name: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat.update(flatten(f"{name}.{cell(key)}", item))
    return flat


def flat_parameters(parameters: Mapping[Any, Any]) -> dict[str, Any]:
    """Return parameters by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in parameters.items():
        flat.update(flatten(cell(name), value))
    return flat


def cell(value: Any) -> str:
    r"""Convert a value to the text of one cell.

    None becomes empty, text stays as it is, and everything else is written as in the report JSON:
    ``0.5``, ``true``, ``NaN``, ``-Infinity``, ``[1, 2]``. Characters that many programs cannot read
    are escaped: lone surrogates
    (``\ud800``) and NUL (``\x00``).
    """
    # The fast path for nearly all cells of a long table.
    if type(value) is float and isfinite(value):
        return repr(value)
    if type(value) is int and -_LARGE < value < _LARGE:
        return repr(value)
    if type(value) is str and value.isascii() and "\0" not in value:
        return value
    value = None if value is None else plain(value)
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", r"\x00")


def _points(values: Any) -> Iterator[tuple[Any, int | None, Any]]:
    """Yield the step, the index and the value of each point of a metric."""
    if isinstance(values, Aggregator):
        values = values.to_json(short=True)
    if isinstance(values, (Mapping, StepSeries)):
        yield from ((step, None, value) for step, value in values.items())
    elif isinstance(values, (list, tuple)):
        yield from ((None, index, value) for index, value in enumerate(values))
    else:
        yield None, None, values


def _trial_row(trial: Trial, names: dict[Any, str], times: TrialTimes | None) -> dict[str, Any]:
    runtime = trial.chronos.get("runtime")
    row = {
        "uid": trial.uid,
        "name": trial.name,
        "revision": trial.revision,
        "project": trial.project_id,
        "group": names.get(trial.group_id, trial.group_id),
        "status": None if trial.status is None else trial.status.name,
        "start": None if times is None else times.started_at,
        "end": None if times is None else times.finished_at,
        "runtime": runtime if isinstance(runtime, (int, float)) else None,
    }
    if trial.parameters:
        row.update(flatten("parameters", trial.parameters))
    row.update(_section("tags", trial.tags))
    row.update(_section("metadata", trial.metadata))
    for metric, values in trial.metrics.items():
        row.update(_last(f"metrics.{cell(metric)}", values))
    return row


def _section(name: str, values: Any) -> dict[str, Any]:
    """Return what was logged by name, without the storage's own entries."""
    if not isinstance(values, Mapping):
        return {name: values} if values else {}
    return {
        f"{name}.{cell(key)}": value.to_json(short=True) if isinstance(value, Aggregator) else value
        for key, value in values.items()
        if key not in OWN_METADATA
    }


def _last(name: str, values: Any) -> dict[str, Any]:
    """Return what a row shows of a metric: its last value or its statistics."""
    if isinstance(values, Series) and values.chunks() is not None:
        return {name: values.last}
    points = [*_points(values)]
    if {step for step, _, _ in points} >= _STATISTICS:
        return {f"{name}.{cell(step)}": value for step, _, value in points}
    return {name: points[-1][2] if points else None}
