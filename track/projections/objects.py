"""Fold events into projects, groups and trials, with their indexes."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from typing import Any

from track.aggregators.aggregator import Aggregator, StatAggregator, build
from track.containers.alerts import ALERTS, Alert, with_alert
from track.containers.points import Stamp, Unusable
from track.containers.series import clamped
from track.events.columns import Columns, by_stream
from track.events.types import (
    AggregatorSpec,
    AlertRaised,
    ArgumentsLogged,
    ArtifactLogged,
    ArtifactUsed,
    ChronoFinished,
    ChronoStarted,
    GroupCreated,
    GroupMetadataSet,
    Heartbeat,
    MetadataLogged,
    MetricDefined,
    MetricsLogged,
    ProjectCreated,
    Recorded,
    StatusChanged,
    TagsAdded,
    TrialAddedToGroup,
    TrialAddedToProject,
    TrialArchived,
    TrialCreated,
    TrialFinished,
    TrialRedacted,
    TrialRestored,
    TrialStarted,
)
from track.projections.artifacts import ARTIFACTS, erased, with_logged, with_used
from track.projections.attempts import AttemptsOf
from track.projections.definitions import DEFINITIONS
from track.projections.index import Index
from track.projections.metrics import accumulate, add_column, add_values, aggregate
from track.projections.runs import add_runtime, known_failure, started_at
from track.projections.trials import (
    LAST_CHANGE,
    OWN_METADATA,
    UPDATE_COUNT,
    measured_at,
    trial_of,
)
from track.structure import Project, Trial, TrialGroup, get_status

FOLDS_VERSION = 9
"""The version of the folds; increment it when the same events give another result."""

_NS = 1e-9


class Objects(Index):
    """All projects, groups and trials as of :attr:`position`.

    The objects belong to the projection: give only copies (:func:`copy_trial`, …) to callers.
    """

    def apply(self, recorded: Recorded) -> None:
        """Apply one event. Unknown events, and events of unknown subjects, change nothing."""
        if recorded.position <= self.position:
            return
        self.find_stream(recorded.stream)
        self.position = recorded.position
        self.events += 1
        try:
            if type(recorded.event) is TrialStarted or recorded.stream in self.attempts:
                self.touch_stream(recorded.stream)
                self.attempts.setdefault(recorded.stream, AttemptsOf()).apply(recorded)
            fold = _FOLDS.get(type(recorded.event))
            if fold is not None:
                fold(self, recorded, recorded.event)
        except Unusable:
            raise
        except Exception:  # noqa: BLE001 - an invalid event must not make the others unreadable
            insort(self.failed_events, recorded.position)

    def apply_columns(self, columns: Columns, positions: Sequence[int]) -> None:
        """Apply many events with metrics at once, with the same result as one by one."""
        if positions[-1] <= self.position:
            return
        parts = [*by_stream(columns, positions)]
        for stream, _, _ in parts:
            self.find_stream(stream)
        self.position = positions[-1]
        self.events += len(columns.times)
        for stream, rows, places in parts:
            if stream in self.attempts:
                self.attempts[stream].apply_many(rows.producers, rows.times)
                self.touch_stream(stream)
            trial = self.trial_on(stream)
            if isinstance(trial, Trial):
                self.touch(trial)
                _touch(trial, rows.times[-1], len(rows.times))
                stamps = clamped(rows.times), clamped(places)
                for name, values in rows.metrics.items():
                    add_column(trial.metrics, name, rows.steps, values, stamps)

    def find_stream(self, stream: int) -> None:
        """Load the subject of a stream if it is kept in storage."""


# Folds: one function per event type, (objects, recorded, event) -> None.


def _project_created(objects: Objects, recorded: Recorded, event: ProjectCreated) -> None:
    _check_identity(event.name)
    if event.name not in objects.projects:
        project = Project(name=event.name, description=event.description, metadata=event.metadata)
        objects.projects[event.name] = project
        objects.bind(recorded.stream, project)


def _group_created(objects: Objects, recorded: Recorded, event: GroupCreated) -> None:
    uid, name, description, metadata, project_id = event
    _check_identity(uid, project_id)
    if uid in objects.groups:
        return
    group = TrialGroup(uid, name, description, dict(metadata), project_id=project_id)
    objects.groups[uid] = group
    objects.bind(recorded.stream, group)
    if project_id in objects.projects:
        objects.projects[project_id].groups.add(group)
        objects.touch(objects.projects[project_id])


def _trial_created(objects: Objects, recorded: Recorded, event: TrialCreated) -> None:
    trial = trial_of(event, Stamp(recorded.at, recorded.position))
    uid = trial.uid
    _check_identity(uid, trial.group_id, trial.project_id)
    if uid in objects.trials:
        return
    objects.add_trial(trial)
    objects.created[uid] = recorded.at
    objects.bind(recorded.stream, trial)
    part = objects.parts.pop(recorded.stream, None)
    if part is not None:  # it is not indexed elsewhere, and no cache keeps it
        objects.archived.pop(part.uid, None)
    if trial.project_id in objects.projects:
        objects.projects[trial.project_id].trials.add(trial)
    if trial.group_id in objects.groups:
        objects.groups[trial.group_id].trials.add(uid)


def _check_identity(uid: Any, *parents: Any) -> None:
    """Check that an object can be indexed and sorted, before it is added.

    Raises
    ------
    TypeError
        a uid has the wrong type
    """
    if not isinstance(uid, str):
        raise TypeError(f"a uid must be a text, not {type(uid).__name__}")
    hash(parents)


def _trial_added_to_project(
    objects: Objects, recorded: Recorded, event: TrialAddedToProject
) -> None:
    project, trial = objects.by_stream.get(recorded.stream), objects.trials.get(event.trial_uid)
    if not isinstance(project, Project) or trial is None:
        return
    objects.touch(trial)
    if trial.uid not in objects.archived:
        project.trials.add(trial)
    elif (archived_from := objects.archived[trial.uid]) is not None:
        archived_from.projects.add(project.uid)


def _trial_added_to_group(objects: Objects, recorded: Recorded, event: TrialAddedToGroup) -> None:
    group = objects.by_stream.get(recorded.stream)
    if not isinstance(group, TrialGroup):
        return
    _check_identity(event.trial_uid)
    objects.touch(objects.trials.get(event.trial_uid, group))
    if event.trial_uid not in objects.archived:
        group.trials.add(event.trial_uid)
    elif (archived_from := objects.archived[event.trial_uid]) is not None:
        archived_from.groups.add(group.uid)


def _group_metadata_set(objects: Objects, recorded: Recorded, event: GroupMetadataSet) -> None:
    group = objects.by_stream.get(recorded.stream)
    if isinstance(group, TrialGroup):
        objects.touch(group)
        group.metadata.update(event.values)


def _heartbeat(objects: Objects, recorded: Recorded, event: Heartbeat) -> None:
    objects.heartbeats.setdefault(recorded.stream, {})[event] = recorded.at
    objects.touch_stream(recorded.stream)


def _touched(fold: Callable[[Objects, Trial, Recorded, Any], None]) -> Callable[..., None]:
    """Make a fold over a trial that finds it, counts the change and notes its time."""

    def touch_and_fold(objects: Objects, recorded: Recorded, event: Any) -> None:
        trial = objects.trial_on(recorded.stream)
        if isinstance(trial, Trial):
            objects.touch(trial)
            _touch(trial, recorded.at, 1)
            fold(objects, trial, recorded, event)

    return touch_and_fold


def _touch(trial: Trial, at: int, changes: int) -> None:
    metadata = trial.metadata
    metadata[UPDATE_COUNT] = metadata.get(UPDATE_COUNT, 0) + changes
    metadata[LAST_CHANGE] = at * _NS


@_touched
def _trial_started(objects: Objects, trial: Trial, recorded: Recorded, event: TrialStarted) -> None:
    objects.started[recorded.stream, None] = started_at(recorded, event)
    trial.failure = None


@_touched
def _trial_finished(
    objects: Objects, trial: Trial, recorded: Recorded, event: TrialFinished
) -> None:
    elapsed = _elapsed(objects, recorded, None, event.elapsed)
    trial.failure = known_failure(event.failure)
    if elapsed is not None:
        add_runtime(trial, elapsed)


@_touched
def _chrono_started(
    objects: Objects, trial: Trial, recorded: Recorded, event: ChronoStarted
) -> None:
    objects.started[recorded.stream, event.name] = recorded.at
    _chrono_of(trial, event.name, event.aggregator)


@_touched
def _chrono_finished(
    objects: Objects, trial: Trial, recorded: Recorded, event: ChronoFinished
) -> None:
    elapsed = _elapsed(objects, recorded, event.name, event.elapsed)
    if elapsed is None:
        return
    _chrono_of(trial, event.name, None).append(elapsed)


def _chrono_of(trial: Trial, name: str, spec: AggregatorSpec) -> Aggregator:
    """Return the aggregator of a chrono, created from its plain numbers if necessary."""
    chrono = trial.chronos.get(name)
    if isinstance(chrono, Aggregator):
        return chrono
    made = trial.chronos[name] = build_chrono(spec)
    accumulate(made, [] if chrono is None else chrono)
    return made


def build_chrono(spec: AggregatorSpec) -> Aggregator:
    """Return a new aggregator of a chrono; by default it counts all times."""
    return StatAggregator(skip_obs=0) if spec is None else build(*spec)


def _elapsed(
    objects: Objects, recorded: Recorded, name: str | None, measured: float | None
) -> float | None:
    started = objects.started.pop((recorded.stream, name), None)
    if measured is not None or started is None:
        return measured
    return (recorded.at - started) * _NS


@_touched
def _arguments_logged(
    objects: Objects, trial: Trial, recorded: Recorded, event: ArgumentsLogged
) -> None:
    trial.parameters.update(event.values)


@_touched
def _tags_added(objects: Objects, trial: Trial, recorded: Recorded, event: TagsAdded) -> None:
    if isinstance(trial.tags, dict):
        trial.tags.update(event.values)
    else:
        earlier = trial.tags if isinstance(trial.tags, (list, tuple)) else [trial.tags]
        trial.tags = {**{str(tag): None for tag in earlier if tag is not None}, **event.values}


@_touched
def _metadata_logged(
    objects: Objects, trial: Trial, recorded: Recorded, event: MetadataLogged
) -> None:
    for name, value in event.values.items():
        if name in OWN_METADATA:
            continue
        if event.aggregator is None:
            trial.metadata[name] = value
        else:
            aggregate(trial.metadata, name, value, event.aggregator)


@_touched
def _metrics_logged(
    objects: Objects, trial: Trial, recorded: Recorded, event: MetricsLogged
) -> None:
    stamp = Stamp(measured_at(recorded, event), recorded.position)
    add_values(trial.metrics, event.step, event.values, event.aggregator, stamp)


@_touched
def _artifact_logged(
    objects: Objects, trial: Trial, recorded: Recorded, event: ArtifactLogged
) -> None:
    trial.metadata[ARTIFACTS] = with_logged(trial.metadata, recorded, event)


@_touched
def _artifact_used(objects: Objects, trial: Trial, recorded: Recorded, event: ArtifactUsed) -> None:
    trial.metadata[ARTIFACTS] = with_used(trial.metadata, recorded, event)


@_touched
def _alert_raised(objects: Objects, trial: Trial, recorded: Recorded, event: AlertRaised) -> None:
    trial.metadata[ALERTS] = with_alert(trial.metadata, Alert(recorded.at, *event))


@_touched
def _metric_defined(
    objects: Objects, trial: Trial, recorded: Recorded, event: MetricDefined
) -> None:
    known = trial.metadata.get(DEFINITIONS)
    others = known if isinstance(known, dict) else {}
    # The latest definition comes last, since the latest pattern takes precedence.
    others = {name: said for name, said in others.items() if name != event.name}
    trial.metadata[DEFINITIONS] = {**others, event.name: event.summary}


@_touched
def _status_changed(
    objects: Objects, trial: Trial, recorded: Recorded, event: StatusChanged
) -> None:
    trial.status = get_status(event.name, event.value)
    if event.error is not None:
        trial.errors.append(event.error)


@_touched
def _trial_restored(
    objects: Objects, trial: Trial, recorded: Recorded, event: TrialRestored
) -> None:
    archived_from = objects.archived.get(trial.uid)
    if archived_from is None:
        return
    del objects.archived[trial.uid]
    for uid in archived_from.projects:
        objects.projects[uid].trials.add(trial)
    for uid in archived_from.groups:
        objects.groups[uid].trials.add(trial.uid)
        objects.touch(objects.groups[uid])


@_touched
def _trial_redacted(
    objects: Objects, trial: Trial, recorded: Recorded, event: TrialRedacted
) -> None:
    """Remove the erased values; the result equals a replay of the redacted events."""
    objects.archive(trial, erased=True)
    trial.name = trial.description = trial.version = None
    trial.tags, trial.parameters, trial.metrics, trial.chronos = {}, {}, {}, {}
    left = erased(trial.metadata)
    trial.metadata = {UPDATE_COUNT: 1, LAST_CHANGE: recorded.at * _NS, **left}
    trial.errors, trial.failure = [], None
    for key in [key for key in objects.started if key[0] == recorded.stream]:
        del objects.started[key]


_FOLDS: dict[type[Any], Callable[..., None]] = {
    ProjectCreated: _project_created,
    GroupCreated: _group_created,
    TrialCreated: _trial_created,
    TrialAddedToProject: _trial_added_to_project,
    TrialAddedToGroup: _trial_added_to_group,
    GroupMetadataSet: _group_metadata_set,
    Heartbeat: _heartbeat,
    TrialStarted: _trial_started,
    TrialFinished: _trial_finished,
    ChronoStarted: _chrono_started,
    ChronoFinished: _chrono_finished,
    ArgumentsLogged: _arguments_logged,
    TagsAdded: _tags_added,
    MetadataLogged: _metadata_logged,
    MetricsLogged: _metrics_logged,
    ArtifactLogged: _artifact_logged,
    ArtifactUsed: _artifact_used,
    AlertRaised: _alert_raised,
    MetricDefined: _metric_defined,
    StatusChanged: _status_changed,
    TrialArchived: _touched(lambda objects, trial, *_: objects.archive(trial)),
    TrialRestored: _trial_restored,
    TrialRedacted: _trial_redacted,
}
