"""Trials at a glance: what a list of them shows, and conditions on it as people write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from track.aggregators.aggregator import Aggregator
from track.containers.series import StepSeries
from track.errors import QueryError
from track.projections.objects import LAST_CHANGE
from track.projections.query import execute_query
from track.structure import AnyStatus, Trial

_CONDITION = re.compile(r"\s*([^\s=!<>~]+)\s*(==|!=|<=|>=|!~|=|<|>|~)\s*(.*?)\s*", re.DOTALL)
_PATH = re.compile(r"\s*(!?)\s*([^\s=!<>~]+)\s*")
_OPERATORS = {"!=": "$ne", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte", "~": "$regex"}


class TrialSummary:
    """What a list shows of a trial.

    Attributes
    ----------
    uid, name, description, project, group, revision, version
        what it is
    status
        as text, ``lost`` for a trial that is said to run and whose process is gone
    tags, parameters, metadata
        as they were logged
    metrics
        name -> the last value; of a metric that is aggregated, its statistics
    changed
        when it was last changed, in seconds since 1970-01-01; None if it never was
    runtime
        how long it took, in seconds; None while that is not known
    """

    def __init__(self, trial: Trial, status: AnyStatus | None, group: str | None) -> None:
        runtime = trial.chronos.get("runtime")
        self.uid, self.name, self.description = trial.uid, trial.name, trial.description
        self.project, self.group = trial.project_id, group or trial.group_id
        self.revision, self.version = trial.revision, trial.version
        self.status = None if status is None else str(status)
        self.tags, self.parameters, self.metadata = trial.tags, trial.parameters, trial.metadata
        self.metrics = {name: last_value(values) for name, values in trial.metrics.items()}
        self.changed: float | None = trial.metadata.get(LAST_CHANGE)
        self.runtime = runtime if isinstance(runtime, (int, float)) else None


def last_value(values: Any) -> Any:
    """Return the last value of a metric; what is aggregated as its statistics."""
    if isinstance(values, StepSeries):
        values = values.to_dict()
    if isinstance(values, Mapping):
        return next(reversed(list(values.values())), None)
    if isinstance(values, list):
        return values[-1] if values else None
    return values.to_json(short=True) if isinstance(values, Aggregator) else values


def matching(
    summaries: Iterable[TrialSummary], conditions: Iterable[str]
) -> Iterator[TrialSummary]:
    """Yield the trials for which all conditions hold, see :func:`to_condition`."""
    query = [to_condition(text) for text in conditions]
    return (summary for summary in summaries if execute_query(summary, query))


def to_condition(text: str) -> tuple[str, Any]:
    """Return what a condition means in the query language.

    Parameters
    ----------
    text
        ``path=value``, or with ``!=``, ``<``, ``<=``, ``>``, ``>=``; ``path~regex``, or ``!~``;
        ``path`` or ``!path`` for something that is there, or not. A value is JSON, else text;
        several are separated by commas after ``=`` and ``!=``

    Raises
    ------
    QueryError
        it is none of these
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
        f"{text!r} is no condition: write one as status=completed, metrics.loss<0.1 or name~base"
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
        raise QueryError(f"{text!r} is no regular expression: {error}") from error


def sort_key(summary: TrialSummary, path: str) -> tuple[bool, Any]:
    """Return what trials are sorted by: those without a value come last.

    Raises
    ------
    QueryError
        nothing is called so
    """
    value: Any = summary
    for index, name in enumerate(path.split(".")):
        if index == 0:
            if not hasattr(summary, name):
                known = ", ".join(vars(summary))
                raise QueryError(f"trials cannot be sorted by {name!r}: use one of {known}")
            value = getattr(summary, name)
        else:
            value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, (int, float)) and value == value:  # noqa: PLR0124 - not a number is not
        return False, (0, value, "")
    return (value is None or isinstance(value, float)), (1, 0, str(value))
