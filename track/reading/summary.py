"""Summarise trials for lists, and filter and sort the summaries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from track.aggregators.aggregator import Aggregator
from track.containers.series import StepSeries
from track.errors import QueryError
from track.projections.copies import to_plain
from track.projections.definitions import summary_of
from track.projections.index import Known
from track.projections.paths import BRACKETS, Key, hint, look_up, parse_path
from track.projections.query import check_path, check_paths, execute_query
from track.projections.rows import changed_at, logged_in, summed_up
from track.projections.series import Series
from track.projections.trials import is_part
from track.structure import AnyStatus, Trial

_NAMES = rf"(?:{BRACKETS}|(?!{BRACKETS})[^\s=!<>~])+"
_CONDITION = re.compile(rf"\s*({_NAMES})\s*(==|!=|<=|>=|!~|=|<|>|~)\s*(.*?)\s*", re.DOTALL)
_PATH = re.compile(rf"\s*(!?)\s*({_NAMES})\s*")
_COLUMN = re.compile(rf"(?:{BRACKETS}|[^,])+")
Condition = str | tuple[str, Any]
"""A text, as for ``track ls --where``, or a path with a condition of the query language."""

_OPERATORS = {"!=": "$ne", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte", "~": "$regex"}


class TrialSummary:
    """Summarises a trial for lists.

    Attributes
    ----------
    uid, name, description, project, group, revision, version
        the identity of the trial
    status
        the status as text; ``lost`` for a trial recorded as running whose process is gone
    tags, parameters, metadata
        the logged values
    metrics
        the value that summarises each metric by name: its statistics if it is aggregated, else
        the last one, unless ``define_metric`` chose another
    curves
        a :class:`MetricSummary` of each metric by name
    created, changed
        the times of creation and of the last change, in seconds since 1970-01-01; None if unknown
    start, end
        when the first attempt started and the last one ended, None if unknown
    runtime
        the duration in seconds, None if unknown
    alerts
        the latest alerts that the trial raised, see :class:`track.containers.alerts.Alert`
    failure
        the exception that ended the last attempt, in one line; None if there was none
    archived, partial
        whether the trial is archived, and whether only part of it is readable: see
        :class:`~track.reader.Reader`
    """

    def __init__(
        self,
        trial: Trial,
        status: AnyStatus | None,
        group: str | None,
        *,
        archived: bool = False,
    ) -> None:
        runtime = trial.chronos.get("runtime")
        self.uid, self.name, self.description = trial.uid, trial.name, trial.description
        self.project, self.group = trial.project_id, group or trial.group_id
        self.group_id = trial.group_id
        self.revision, self.version = trial.revision, trial.version
        self.status = None if status is None else str(status)
        self.tags, self.parameters, self.metadata = trial.tags, trial.parameters, trial.metadata
        self.metrics = sums_of(trial)
        self.curves = {name: summarize_metric(values) for name, values in trial.metrics.items()}
        self.created: float | None = None
        self.changed = changed_at(trial)
        self.runtime = runtime if isinstance(runtime, (int, float)) else None
        self.start: float | None = None
        self.end: float | None = None
        self.failure, self.alerts = first_line_of(trial.failure), trial.alerts
        self.archived, self.partial = archived, is_part(trial)


def set_times(summary: TrialSummary, known: Known) -> None:
    """Set the times when the trial of a summary was created, first started and last ended."""
    found = [] if known.attempts is None else known.attempts.found
    times = (found[0].started_at, found[-1].finished_at) if found else (None, None)
    summary.created, summary.start, summary.end = map(_seconds, (known.created, *times))


def _seconds(at: int | None) -> float | None:
    return None if at is None else at * 1e-9


def detach(summary: TrialSummary) -> None:
    """Copy the values of a summary, because its trial may change."""
    summary.tags, summary.parameters = to_plain(summary.tags), to_plain(summary.parameters)
    summary.metadata, summary.metrics = to_plain(summary.metadata), to_plain(summary.metrics)


def first_line_of(failure: Mapping[str, Any] | None) -> str | None:
    """Return the type and the message of the exception that ended a trial, in one line."""
    lines = str((failure or {}).get("message") or "").splitlines()
    return lines[0] if lines else None


def last_value(values: Any) -> Any:
    """Return the last value of a metric, or its statistics if it is aggregated."""
    if isinstance(values, Series):
        return values.last
    if isinstance(values, StepSeries):
        last = values.last_item()
        return None if last is None else last[1]
    if isinstance(values, Mapping):
        return next(reversed(list(values.values())), None)
    if isinstance(values, list):
        return values[-1] if values else None
    return values.to_json(short=True) if isinstance(values, Aggregator) else values


def sums_of(trial: Trial) -> dict[str, Any]:
    """Return the value that summarises each metric of a trial, as chosen with ``define_metric``."""
    return {
        name: sum_of(values, summary_of(trial.metadata, name))
        for name, values in trial.metrics.items()
    }


def sum_of(values: Any, summary: str | None) -> Any:
    """Return the value that summarises a metric: its ``min`` or ``max``, else the last one."""
    if summary is None or isinstance(values, Aggregator):
        return last_value(values)
    found = summarize_metric(values)
    value = found.minimum if summary == "min" else found.maximum
    return found.last if value is None else value


class MetricSummary(NamedTuple):
    """Summarises the values of a metric.

    Attributes
    ----------
    last
        the last value; for statistics, the mean
    minimum, maximum
        the extremes of the numbers among the values, None without any
    length
        the number of values
    step
        the step of the last value, None without steps
    """

    last: Any
    minimum: float | None = None
    maximum: float | None = None
    length: int = 1
    step: Any = None


def summarize_metric(values: Any) -> MetricSummary:
    """Summarise the values of a metric without reading the points of long ones."""
    if isinstance(values, StepSeries):
        step, last = values.last_item() or (None, None)
        return MetricSummary(last, *values.extremes(), len(values), step)
    if isinstance(values, Aggregator):
        values = values.to_json(short=True)
        if isinstance(values, Mapping):
            extremes = values.get("min"), values.get("max")
            return MetricSummary(values.get("avg"), *extremes, values.get("count", 1))
    if isinstance(values, (Mapping, list)):
        return _of_items(values if isinstance(values, Mapping) else dict(enumerate(values)))
    return MetricSummary(values)


def _of_items(items: Mapping[Any, Any]) -> MetricSummary:
    numbers = [v for v in items.values() if isinstance(v, (int, float)) and v == v]  # noqa: PLR0124 - false for NaN
    step = next(reversed([*items]), None)
    low, high = min(numbers, default=None), max(numbers, default=None)
    return MetricSummary(items.get(step), low, high, len(items), step)


_FIELDS = tuple(vars(TrialSummary(Trial(""), None, None)))
"""The names of the attributes of a summary."""


class UnreadSummary(TrialSummary):
    """A summary of a trial whose parts are read on demand.

    It becomes an ordinary summary as soon as a part of the trial's body is used.

    Parameters
    ----------
    known
        the trial, which must not change, and what else is known about it
    group
        the name of its group, None without one
    status
        returns the status of the trial
    """

    def __init__(
        self, known: Known, group: str | None, status: Callable[[], AnyStatus | None]
    ) -> None:
        trial = known.trial
        self._known, self._group, self._status = known, group, status
        self.uid, self.name, self.revision = trial.uid, trial.name, trial.revision
        self.project, self.group = trial.project_id, group or trial.group_id
        self.group_id = trial.group_id
        self.created, self.changed = _seconds(known.created), changed_at(trial)
        self.archived, self.partial = bool(known.is_archived), is_part(trial)

    def __getattr__(self, name: str) -> Any:
        if name not in _FIELDS:
            raise AttributeError(f"a trial has no attribute {name!r}")
        known, own = self._known, self.__dict__
        if name == "status":
            status = self._status()
            own["status"] = None if status is None else str(status)
        elif name == "metrics":
            trial, found = known.trial, summed_up(known.trial)
            if found is None:
                found = sums_of(trial)
            own["metrics"] = found
        elif name in ("tags", "parameters"):
            own["tags"], own["parameters"] = logged_in(known.trial)
        elif name == "curves":
            metrics = known.trial.metrics.items()
            own["curves"] = {name: summarize_metric(item) for name, item in metrics}
        else:
            self._read()
        return getattr(self, name)

    def _read(self) -> None:
        known, group, status = self._known, self._group, self._status()
        self.__dict__.clear()
        self.__class__ = TrialSummary  # type: ignore[assignment]
        self.__init__(known.trial, status, group, archived=bool(known.is_archived))  # type: ignore[misc]
        set_times(self, known)


def matching(
    summaries: Iterable[TrialSummary],
    conditions: Iterable[Condition],
    known: Collection[TrialSummary] | None = None,
) -> Iterator[TrialSummary]:
    """Yield the trials that meet all conditions: texts, see :func:`to_condition`, or pairs.

    Parameters
    ----------
    summaries, conditions
        the trials to choose from, and the conditions
    known
        trials among which the paths of conditions must exist; by default the same trials

    Raises
    ------
    QueryError
        a condition is malformed, or names a field that no trial has
    """
    query = [to_condition(one) if isinstance(one, str) else one for one in conditions]
    summaries = [*summaries]
    check_paths(query, "trial", summaries if known is None else known)
    return (summary for summary in summaries if execute_query(summary, query))


def to_condition(text: str) -> tuple[str, Any]:
    """Translate a condition into the query language.

    Parameters
    ----------
    text
        ``path=value``, or with ``!=``, ``<``, ``<=``, ``>``, ``>=``; ``path~regex``, or ``!~``;
        ``path`` if a value must exist, ``!path`` if it must not. Quote a name with blanks or
        operators: ``metrics["loss<0.1"]``. A value is parsed as JSON if possible, otherwise it is
        text; ``=`` and ``!=`` accept several, separated by commas

    Raises
    ------
    QueryError
        the text is not a condition
    """
    if found := _CONDITION.fullmatch(text):
        path, operator, value = found.groups()
        if operator in ("=", "==", "!="):
            return path, {"$nin" if operator == "!=" else "$in": [*map(_value, value.split(","))]}
        if operator in ("~", "!~"):
            _check_pattern(value)
            matches = {"$regex": value}
            return path, {"$not": matches} if operator == "!~" else matches
        return path, {_OPERATORS[operator]: _value(value)}
    if found := _PATH.fullmatch(text):
        negated, path = found.groups()
        return path, {"$exists": not negated}
    raise QueryError(
        f"invalid condition {text!r}: write e.g. status=completed, metrics.loss<0.1 or name~base, "
        'and quote names with blanks or operators: metrics["a name"]<0.1'
    )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def _check_pattern(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise QueryError(f"invalid regular expression {text!r}: {error}") from error


def split_paths(text: str) -> list[str]:
    """Split a text into paths at commas."""
    return [path.strip() for path in _COLUMN.findall(text) if path.strip()]


def value_at(summary: TrialSummary, path: str) -> Any:
    """Return the value at a path such as ``metrics.loss``, None if there is none."""
    first, *keys = parse_path(path)
    return look_up(getattr(summary, first.text, None), keys)[1]


def check_field(path: str) -> None:
    """Check that a path begins with an attribute of summaries, whatever trials there are.

    Raises
    ------
    QueryError
        there is no such attribute
    """
    field = parse_path(path)[0].text
    if field not in _FIELDS:
        raise QueryError(f"unknown field {field!r} of a trial: use one of {', '.join(_FIELDS)}")


def check_column(path: str, what: str, summaries: Collection[TrialSummary]) -> None:
    """Check that some trial has a value at a path.

    Parameters
    ----------
    path
        for example ``metrics.loss``
    what
        the beginning of the error message
    summaries
        all trials; every path is accepted if there are none

    Raises
    ------
    QueryError
        no trial has one; the message suggests similar paths
    """
    field = parse_path(path)[0].text
    if any(not hasattr(summary, field) for summary in summaries):
        raise QueryError(f"{what}: {hint(path, summaries)}")
    check_path(path, what, summaries)


def sort_trials(
    summaries: list[TrialSummary], path: str, known: Collection[TrialSummary]
) -> list[TrialSummary]:
    """Sort trials by the value at a path, largest first if the path begins with ``-``.

    Trials without a value there, or with NaN, come last.

    Parameters
    ----------
    summaries, path
        the trials to sort, and the path
    known
        trials of which at least one must have a value at the path

    Raises
    ------
    QueryError
        no known trial has a value at the path
    """
    column = path.lstrip("-")
    check_column(column, f"trials cannot be sorted by {column!r}", known)
    first, *names = parse_path(column)
    values = {one.uid: _below(getattr(one, first.text, None), names) for one in summaries}
    keys = {uid: _sort_key(value) for uid, value in values.items()}
    there = [summary for summary in summaries if not keys[summary.uid][0]]
    there.sort(key=lambda summary: keys[summary.uid], reverse=path.startswith("-"))
    return there + [summary for summary in summaries if keys[summary.uid][0]]


def _below(value: Any, keys: Sequence[Key]) -> Any:
    name = keys[0].text if len(keys) == 1 else None
    if name is not None and type(value) is dict and name in value:
        return value[name]  # the usual case
    return look_up(value, keys)[1]


def _sort_key(value: Any) -> tuple[bool, Any]:
    if isinstance(value, (int, float)) and value == value:  # noqa: PLR0124 - false for NaN
        return False, (0, value, "")
    return (value is None or isinstance(value, float)), (1, 0, str(value))
