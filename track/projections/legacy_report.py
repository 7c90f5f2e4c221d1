"""Convert the report of an old tracker to the events that produce it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf, isfinite, nan
from typing import Any

from track.errors import EncodingError
from track.events.codec import stream_id
from track.events.types import (
    Event,
    GroupCreated,
    MetricsLogged,
    ProjectCreated,
    TrialAddedToGroup,
    TrialAddedToProject,
    TrialCreated,
)
from track.projections.report import ORPHANS
from track.projections.trials import UPDATE_COUNT
from track.projections.validation import check_dictionaries, check_uid, trial_created
from track.serialization import (
    SerializerProject,
    SerializerStatus,
    SerializerTrial,
    SerializerTrialGroup,
    from_json,
)
from track.structure import Project, Trial, TrialGroup

Record = Callable[[int, Event], None]
"""Records an event of a stream."""

_NUMBERS = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}


def import_report(report: list[Any], record: Record) -> None:
    """Record the events that produce a report.

    Parameters
    ----------
    report
        the projects, as JSON
    record
        records each event

    Raises
    ------
    ValueError
        the report is invalid; the message names the problem and its place
    """
    importer = _Importer(record)
    projects = []
    for number, raw in enumerate(report, start=1):
        with _inside("project", raw.get("name") or raw.get("uid"), number):
            projects.append(importer.import_project(raw))
    # An object may refer to a project that comes later in the file.
    for number, (raw, project) in enumerate(zip(report, projects, strict=True), start=1):
        with _inside("project", project.uid, number):
            importer.import_contents(raw, project)


@contextmanager
def _inside(kind: str, name: Any = None, number: int | None = None) -> Iterator[None]:
    """Add the place in the report to an error in the block."""
    try:
        yield
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        place = kind
        if name is not None:
            place = f"{kind} {name!r}"
        elif number is not None:
            place = f"{kind} number {number}"
        said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{place}: {said}") from error


class _Importer:
    """Records the objects of a report, each once.

    Parameters
    ----------
    record
        records each event
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._seen: dict[tuple[str, str], Any] = {}

    def import_project(self, raw: dict[str, Any]) -> Project:
        """Record a project without its contents, and return it."""
        project = SerializerProject().from_json({**raw, "trials": None, "groups": None})
        uid = check_uid("project", project.uid)
        check_dictionaries("project", project, "metadata")
        if self._is_new("project", uid, [project.description, project.metadata]):
            event = ProjectCreated(uid, project.description, project.metadata)
            self._record(stream_id("project", uid), event)
        return project

    def import_contents(self, raw: dict[str, Any], project: Project) -> None:
        """Record the groups and the trials of a project."""
        groups = []
        for number, one in enumerate(_list_of(raw, "groups"), start=1):
            with _inside("trial group", _uid_in(one), number):
                groups.append(self._import_group(one, project))
        trials = []
        for number, one in enumerate(_list_of(raw, "trials"), start=1):
            with _inside("trial", _uid_in(one), number):
                trials.append((_read_trial(one), one))
        places = {trial.hash: -place for place, (trial, _) in enumerate(reversed(trials))}
        trials.sort(key=lambda read: (places[read[0].hash], _age(read[0])))
        for trial, one in trials:
            with _inside("trial", trial.uid):
                self._import_trial(trial, one, project)
        for group in groups:
            for uid in sorted(group.trials):
                self._record(stream_id("group", group.uid), TrialAddedToGroup(uid))

    def _import_group(self, raw: Any, project: Project) -> TrialGroup:
        _check_dtype(raw, SerializerTrialGroup.dtype)
        listed = raw.get("trials") or []
        if not isinstance(listed, list) or not all(isinstance(uid, str) for uid in listed):
            raise TypeError(f"its trials must be a list of uids, not {listed!r:.60}")
        group = SerializerTrialGroup().from_json(raw)
        uid = check_uid("trial group", group.uid)
        check_dictionaries("trial group", group, "metadata")
        self._is_new("trial group", uid, object())  # equals nothing: only one project may have it
        event = GroupCreated(uid, group.name, group.description, group.metadata, project.uid)
        self._record(stream_id("group", uid), event)
        return group

    def _import_trial(self, trial: Trial, raw: dict[str, Any], project: Project) -> None:
        event = _trial_event(trial, project)
        if self._is_new("trial", trial.uid, raw):
            self._record_trial(stream_id("trial", trial.uid), event)
        if event.project_id != project.uid:
            self._record(stream_id("project", project.uid), TrialAddedToProject(trial.uid))

    def _record_trial(self, stream: int, event: TrialCreated) -> None:
        """Record a trial, with one event per value if it is too large for one event."""
        try:
            self._record(stream, event)
        except EncodingError:
            values = list(_metric_values(event.metrics))
            # These events count as changes, and the final count must be that of the report.
            count = event.metadata.get(UPDATE_COUNT, 0) - len(values)
            metrics = {name: _emptied(metric) for name, metric in event.metrics.items()}
            metadata = {**event.metadata, UPDATE_COUNT: count}
            self._record(stream, event._replace(metrics=metrics, metadata=metadata))
            for name, step, value in values:
                self._record(stream, MetricsLogged(step, {name: value}, None))

    def _is_new(self, kind: str, uid: str, content: Any) -> bool:
        """Return whether an object is new, and note it.

        Raises
        ------
        ValueError
            another object has the same uid
        """
        earlier = self._seen.setdefault((kind, uid), content)
        if earlier is not content and _text(earlier) != _text(content):
            raise ValueError(f"there is another {kind} {uid!r}: rename one, or give it another uid")
        return earlier is content


def _text(content: Any) -> str:
    """Return a text for comparisons, in which NaN equals NaN."""
    return json.dumps(content, sort_keys=True, default=id)


def _list_of(raw: dict[str, Any], key: str) -> list[Any]:
    found = raw.get(key) or []
    if not isinstance(found, list):
        raise TypeError(f"its {key} must be a list, not {type(found).__name__}")
    return found


def _uid_in(raw: Any) -> Any:
    return raw.get("uid") if isinstance(raw, dict) else None


def _check_dtype(raw: Any, dtype: str) -> None:
    if not isinstance(raw, dict):
        raise TypeError(f"a dictionary is required here, not {raw!r:.60}")
    if raw.get("dtype", dtype) != dtype:
        raise ValueError(f"a dictionary of dtype {dtype} is required here, not {raw['dtype']!r}")


def _read_trial(raw: Any) -> Trial:
    _check_dtype(raw, SerializerTrial.dtype)
    # Read each by itself first, so that an error names it.
    if isinstance(chronos := raw.get("chronos"), dict):
        for name, chrono in chronos.items():
            with _inside("chrono", name):
                from_json(chrono)
    if isinstance(status := raw.get("status"), dict):
        with _inside("status"):
            SerializerStatus().from_json(status)
    trial = SerializerTrial().from_json(raw)
    if not isinstance(trial.errors, list):
        raise TypeError(f"its errors must be a list, not {type(trial.errors).__name__}")
    if raw.get("uid") not in (None, trial.uid):
        raise ValueError(f"its uid is not that of its hash and its revision, {trial.uid!r}")
    return trial


def _age(trial: Trial) -> int:
    return int(trial.revision) if str(trial.revision).isdecimal() else 0


def _trial_event(trial: Trial, project: Project) -> TrialCreated:
    event = trial_created(trial, trial.hash, trial.revision)
    home = trial.project_id
    if home is None and project.uid != ORPHANS:
        home = project.uid
    metrics = {name: _revive_metric(metric) for name, metric in trial.metrics.items()}
    return event._replace(project_id=home, metadata=trial.metadata, metrics=metrics)


def _metric_values(metrics: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the name, step and value of every value of metrics."""
    for name, metric in metrics.items():
        if isinstance(metric, dict):
            yield from ((name, step, value) for step, value in metric.items())
        elif isinstance(metric, list):
            yield from ((name, None, value) for value in metric)


def _emptied(metric: Any) -> Any:
    return type(metric)() if isinstance(metric, (dict, list)) else metric


def _revive_metric(metric: Any) -> Any:
    """Restore the steps and non-finite numbers of a metric, which JSON stores as text."""
    if isinstance(metric, list):
        return [_revive_number(value) for value in metric]
    if isinstance(metric, dict):
        steps = [_revive_step(step) for step in metric]
        if len({*steps}) < len(steps):  # texts of the same number: "1" and "1.0"
            steps = [*metric]
        return {
            step: _revive_number(value) for step, value in zip(steps, metric.values(), strict=True)
        }
    return metric


def _revive_step(text: str) -> Any:
    """Return the number that a text represents, else the text."""
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if str(number) == text and isfinite(number):
            return number
    return text


def _revive_number(value: Any) -> Any:
    return _NUMBERS.get(value, value) if isinstance(value, str) else value
