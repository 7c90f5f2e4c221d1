"""Write the report JSON from state, piece by piece.

The report is a list of projects with their groups and trials in the form of
:mod:`track.serialization`. It is valid JSON for any logged values: NaN and the infinities become
the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.
"""

from __future__ import annotations

import json
from array import array
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import lru_cache
from itertools import islice
from math import isfinite
from typing import Any, NamedTuple

from track.containers.series import StepSeries
from track.projections.copies import to_plain
from track.projections.objects import Objects
from track.projections.rows import twin_of
from track.projections.series import Series
from track.serialization import to_json
from track.structure import Project, Trial

ORPHANS = "orphan"
"""The project of trials without one in the report."""

_MOST_BITS = 10_000
"""The size of integers above which Python refuses to convert them to text."""

_BLOCK = 4096
"""The number of items of a list or series that are written at a time."""


class _Order(NamedTuple):
    """The ranks of objects in the order of creation."""

    trials: dict[str, int]
    groups: dict[str, int]


def render_report(objects: Objects) -> Iterator[str]:
    """Yield the text of the report, with projects, groups and trials in the order of creation."""
    order = _Order(
        {uid: index for index, uid in enumerate(objects.trials)},
        {uid: index for index, uid in enumerate(objects.groups)},
    )
    shown = [project for _, project in objects.projects.items()]
    orphans = set(objects.find_trials({"project_id": None}))
    if orphans and ORPHANS in objects.projects:
        home = objects.projects[ORPHANS]
        shown[shown.index(home)] = Project(
            name=ORPHANS,
            description=home.description,
            metadata=home.metadata,
            groups=home.groups,
            trials=home.trials | orphans,
        )
    elif orphans:
        shown.append(Project(name=ORPHANS, trials=orphans))
    yield "["
    for index, project in enumerate(shown):
        yield ",\n" if index else "\n"
        yield from _render_project(project, order)
    yield "\n]\n" if shown else "]\n"


def _render_project(project: Project, order: _Order) -> Iterator[str]:
    head = to_json(Project(name=project.name, description=project.description))
    head["metadata"] = to_json(project.metadata)
    del head["trials"], head["groups"]
    yield dumps(head)[:-1] + ', "trials": ['
    trials = sorted(project.trials, key=lambda trial: order.trials[trial.uid])
    for index, trial in enumerate(trials):
        yield ",\n  " if index else "\n  "
        yield from render_trial(trial)
    groups = sorted(project.groups, key=lambda group: order.groups[group.uid])
    yield '], "groups": ' + dumps([to_json(group) for group in groups]) + "}"


def render_trial(trial: Trial) -> Iterator[str]:
    """Yield the text of a whole trial."""
    trial = twin_of(trial)
    metrics = trial.metrics
    head = to_json(_without_metrics(trial))
    tail = {key: head.pop(key) for key in ("chronos", "errors", "status", "failure") if key in head}
    del head["metrics"]
    yield dumps(head)[:-1] + ', "metrics": {'
    for index, (name, metric) in enumerate(metrics.items()):
        yield (", " if index else "") + json.dumps(str(name)) + ": "
        yield from _render_metric(metric)
    yield "}, " + dumps(tail)[1:]


def _without_metrics(trial: Trial) -> Trial:
    head = copy(trial)
    head.metrics, head.metadata = {}, to_plain(trial.metadata)
    return head


def _render_metric(metric: Any) -> Iterator[str]:
    """Yield the text of a metric in pieces."""
    chunks = metric.chunks() if isinstance(metric, (StepSeries, Series)) else None
    if chunks is not None:
        yield "{"
        separator = ""
        for chunk in chunks:
            points = chunk.without_positions()
            steps, values = points.steps, points.exact_values()
            for start in range(0, len(steps), _BLOCK):
                stop = start + _BLOCK
                yield separator + _text_of(steps[start:stop], values[start:stop])
                separator = ", "
        yield "}"
        return
    if isinstance(metric, (StepSeries, Series, dict)):
        items = (
            (str(step), value if type(value) is float else to_json(value))
            for step, value in metric.items()
        )
        blocks: Iterable[Any] = _blocks(items, dict)
        brackets = "{}"
    elif isinstance(metric, list):
        blocks, brackets = _blocks(metric, list), "[]"
    else:
        yield dumps(to_json(metric, short=True))
        return
    yield brackets[0]
    for index, block in enumerate(blocks):
        yield (", " if index else "") + dumps(block)[1:-1]
    yield brackets[1]


def _text_of(steps: array[int], values: Sequence[float]) -> str:
    """Write points as items of a JSON object, several times as fast as by way of a dictionary."""
    if not isfinite(sum(values)):
        return dumps(dict(zip(map(str, steps), values, strict=True)))[1:-1]
    return _template(steps.tobytes()) % tuple(values)


@lru_cache(maxsize=64)
def _template(steps: bytes) -> str:
    """Return the text of steps with places for their values; metrics often share their steps."""
    numbers = array("q", steps)
    return ('"%d": %%r, ' * len(numbers) % tuple(numbers))[:-2]


def _blocks(items: Iterable[Any], make: type[Any]) -> Iterator[Any]:
    iterator = iter(items)
    while block := make(islice(iterator, _BLOCK)):
        yield block


def dumps(value: Any, indent: int | None = None) -> str:
    """Write any value as valid JSON text."""
    try:
        # Most values are plain, and converting the others first would cost more than the text.
        return json.dumps(value, allow_nan=False, indent=indent)
    except (ValueError, TypeError):
        return json.dumps(plain(value), allow_nan=False, indent=indent)


def plain(value: Any) -> Any:
    """Convert a value to one that JSON can represent."""
    value = to_json(value) if not isinstance(value, Mapping) else value
    if isinstance(value, float):
        return value if isfinite(value) else _NOT_FINITE.get(value, "NaN")
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value.bit_length() < _MOST_BITS else hex(value)
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return str(value)


def _key(key: Any) -> str:
    if isinstance(key, bool) or key is None:
        return json.dumps(key)
    return key if isinstance(key, str) else str(plain(key))


_NOT_FINITE = {float("inf"): "Infinity", float("-inf"): "-Infinity"}
