"""Events -> projects, groups and trials, with the indexes that find them."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from track.aggregators.aggregator import Aggregator, StatAggregator, build
from track.containers.points import Stamp
from track.containers.series import clamped
from track.events.columns import Columns, by_stream
from track.events.types import (
    AggregatorSpec,
    ArgumentsLogged,
    ChronoFinished,
    ChronoStarted,
    GroupCreated,
    GroupMetadataSet,
    Heartbeat,
    MetadataLogged,
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
from track.metrics import accumulate, add_column, add_values, aggregate
from track.projections.attempts import AttemptsOf
from track.projections.query import Query, execute_query
from track.projections.runs import add_runtime, known_failure, started_at
from track.projections.trials import LAST_CHANGE, OWN_METADATA, PART, UPDATE_COUNT, trial_of
from track.structure import Project, Trial, TrialGroup, get_status

FOLDS_VERSION = 7
"""Raised whenever the same events fold into something else than before: old snapshots are void."""

_NS = 1e-9


class ArchivedFrom(NamedTuple):
    """Uids of the projects and groups that show a trial, once it is no longer archived."""

    projects: set[str]
    groups: set[str]


class Objects:
    """Every project, group and trial, as of :attr:`position`.

    The objects in here are the projection's own: hand out copies (:func:`copy_trial` and so on).
    """

    def __init__(self) -> None:
        self.position = 0
        self.events = 0
        """How many events were folded in, or found to mean nothing here."""
        self.projects: dict[str, Project] = {}
        self.groups: dict[str, TrialGroup] = {}
        self.trials: dict[str, Trial] = {}
        self.parts: dict[int, Trial] = {}
        """stream -> what is left of a trial whose creation cannot be read, see :func:`is_part`"""
        self.revisions: dict[str, list[str]] = {}
        """hash -> uids of its trials, oldest first"""
        self.archived: dict[str, ArchivedFrom | None] = {}
        """uid of an archived trial -> where it belongs, None if it was erased; nothing shows it"""
        self.by_group: dict[Any, list[str]] = {}
        """group_id -> uids of the trials made in it, oldest first"""
        self.heartbeats: dict[int, dict[Heartbeat, int]] = {}
        """stream of a trial -> a heartbeat of each process that ran it -> when its last one was"""
        self.failed_events: list[int] = []
        """Positions of events whose values made no sense where they stood."""
        self.by_stream: dict[int, Any] = {}
        """stream -> the project, group or trial it is about"""
        self.started: dict[tuple[int, str | None], int] = {}
        """When trials and chronos started, for those whose end does not know how long they took."""
        self.attempts: dict[int, AttemptsOf] = {}
        """stream -> the attempts at the trial it is about"""
        self.changed: dict[int, Project | TrialGroup | Trial] = {}
        """What changed since somebody emptied it, by ``id``; in the order of the first change"""
        self.stream_of: dict[int, int] = {}
        """The reverse of ``by_stream``, by ``id``"""
        self.unbound: set[int] = set()
        """Streams about nothing that is known here, of which something is known nevertheless"""

    def apply(self, recorded: Recorded) -> None:
        """Fold one event in. Unknown events, and events of unknown subjects, change nothing."""
        if recorded.position <= self.position:
            return
        self.position = recorded.position
        self.events += 1
        try:
            if type(recorded.event) is TrialStarted or recorded.stream in self.attempts:
                self.touch_stream(recorded.stream)
                self.attempts.setdefault(recorded.stream, AttemptsOf()).apply(recorded)
            fold = _FOLDS.get(type(recorded.event))
            if fold is not None:
                fold(self, recorded, recorded.event)
        except Exception:  # noqa: BLE001 - whatever is wrong with one event, the others stay readable
            insort(self.failed_events, recorded.position)

    def apply_columns(self, columns: Columns, positions: Sequence[int]) -> None:
        """Fold in many metrics events at once; the same as applying each, in order."""
        if positions[-1] <= self.position:
            return
        self.position = positions[-1]
        self.events += len(columns.times)
        for stream, rows, places in by_stream(columns, positions):
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

    def touch(self, subject: Project | TrialGroup | Trial | None) -> None:
        """Note that a subject changed."""
        if subject is not None:
            self.changed[id(subject)] = subject

    def touch_stream(self, stream: int) -> None:
        """Note that something about the subject of a stream changed."""
        subject = self.by_stream.get(stream)
        if subject is None:
            self.unbound.add(stream)
        else:
            self.touch(subject)

    def bind(self, stream: int, subject: Project | TrialGroup | Trial) -> None:
        """Note which subject a stream is about from now on."""
        previous = self.by_stream.get(stream)
        if previous is not None:
            del self.stream_of[id(previous)]
            self.touch(previous)
        self.by_stream[stream] = subject
        self.stream_of[id(subject)] = stream
        self.unbound.discard(stream)
        self.touch(subject)

    def trial_on(self, stream: int) -> Any:
        """Return the trial that an event of a trial is about: if it is not known, a part of it."""
        subject = self.by_stream.get(stream)
        if subject is not None:
            return subject
        part = self.parts.get(stream)
        if part is None:
            part = self.parts[stream] = Trial(f"{stream:016x}", PART)
            part.metadata[UPDATE_COUNT] = 0
        return part

    def add_trial(self, trial: Trial) -> None:
        """Add a trial, and index it."""
        uid = trial.uid
        self.trials[uid] = trial
        self.revisions.setdefault(trial.hash, []).append(uid)
        self.by_group.setdefault(trial.group_id, []).append(uid)

    def find_trials(self, query: Query) -> Iterator[Trial]:
        """Yield the trials that match and are not archived, oldest first."""
        found = _find(self.trials, self._candidates(query), query)
        return (trial for trial in found if trial.uid not in self.archived)

    def find_parts(self, query: Query, *, archived: bool = False) -> Iterator[Trial]:
        """Yield what is left of trials whose creation cannot be read, as far as that matches."""
        found = _find({part.uid: part for part in self.parts.values()}, None, query)
        shown = (part for part in found if not self.is_erased(part.uid))
        return (part for part in shown if (part.uid in self.archived) is archived)

    def find_archived(self, query: Query) -> Iterator[Trial]:
        """Yield the archived trials that match, oldest first, but those that were erased."""
        return _find(self.trials, [uid for uid in self.trials if self.archived.get(uid)], query)

    def is_erased(self, uid: str) -> bool:
        """Return whether a trial was erased: nothing is left that a list could show."""
        return uid in self.archived and self.archived[uid] is None

    def archive(self, trial: Trial, *, erased: bool = False) -> None:
        """Have no project and no group show a trial; unless it is erased, note which did."""
        self.touch(trial)
        archived_from = ArchivedFrom(set(), set())
        for project in self.projects.values():
            if trial in project.trials:
                project.trials.remove(trial)
                archived_from.projects.add(project.uid)
        for group in self.groups.values():
            if trial.uid in group.trials:
                group.trials.remove(trial.uid)
                self.touch(group)
                archived_from.groups.add(group.uid)
        self.archived.setdefault(trial.uid, archived_from)
        if erased:
            self.archived[trial.uid] = None

    def find_revisions(self, uid: str) -> list[Trial]:
        """Return the trials that have the hash of one, oldest first; none if that is not shown."""
        if uid not in self.trials or uid in self.archived:
            return []
        uids = self.revisions[self.trials[uid].hash]
        return [self.trials[other] for other in uids if other not in self.archived]

    def find_groups(self, query: Query) -> Iterator[TrialGroup]:
        """Yield the groups that match, oldest first."""
        return _find(self.groups, _uid_condition(query), query)

    def find_projects(self, query: Query) -> Iterator[Project]:
        """Yield the projects that match, oldest first."""
        return _find(self.projects, _uid_condition(query), query)

    def _candidates(self, query: Query) -> Iterable[str] | None:
        """Return uids among which all matching trials are, None when any may match."""
        uids = _uid_condition(query)
        if uids is None and isinstance(query, Mapping) and isinstance(query.get("group_id"), str):
            return self.by_group.get(query["group_id"], ())
        return uids


_Object = TypeVar("_Object", Project, TrialGroup, Trial)


def _find(
    objects: dict[str, _Object], uids: Iterable[str] | None, query: Query
) -> Iterator[_Object]:
    if not isinstance(query, Mapping) and query is not None:
        query = list(query)
    pool = objects.values() if uids is None else (objects[uid] for uid in uids if uid in objects)
    return (item for item in pool if execute_query(item, query))


def _uid_condition(query: Query) -> tuple[str] | None:
    uid = (query.get("uid") or query.get("_uid")) if isinstance(query, Mapping) else None
    return (uid,) if isinstance(uid, str) else None


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
    objects.bind(recorded.stream, trial)
    objects.parts.pop(recorded.stream, None)
    if trial.project_id in objects.projects:
        objects.projects[trial.project_id].trials.add(trial)
    if trial.group_id in objects.groups:
        objects.groups[trial.group_id].trials.add(uid)


def _check_identity(uid: Any, *parents: Any) -> None:
    """Make sure that an object can be found, and sorted among others, before it is anywhere.

    Raises
    ------
    TypeError
        it cannot
    """
    if not isinstance(uid, str):
        raise TypeError(f"a uid is text, not {type(uid).__name__}")
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
    """Make a fold over a trial: find it, count the change, note when it was."""

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
    """Return what accumulates the times of a chrono, made of the plain numbers there may be."""
    chrono = trial.chronos.get(name)
    if isinstance(chrono, Aggregator):
        return chrono
    made = trial.chronos[name] = build_chrono(spec)
    accumulate(made, [] if chrono is None else chrono)
    return made


def build_chrono(spec: AggregatorSpec) -> Aggregator:
    """Return what accumulates the times of a chrono: every time counts unless it says otherwise."""
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
    stamp = Stamp(recorded.at, recorded.position)
    add_values(trial.metrics, event.step, event.values, event.aggregator, stamp)


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
    """Forget what was erased: whoever had seen it ends as whoever reads what is left of it."""
    objects.archive(trial, erased=True)
    trial.name = trial.description = trial.version = None
    trial.tags, trial.parameters, trial.metrics, trial.chronos = {}, {}, {}, {}
    trial.metadata = {UPDATE_COUNT: 1, LAST_CHANGE: recorded.at * _NS}
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
    StatusChanged: _status_changed,
    TrialArchived: _touched(lambda objects, trial, *_: objects.archive(trial)),
    TrialRestored: _trial_restored,
    TrialRedacted: _trial_redacted,
}
