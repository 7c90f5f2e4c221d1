"""Hold projects, groups and trials with the indexes that find them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from track.events.types import Heartbeat
from track.projections.attempts import AttemptsOf
from track.projections.query import Query, execute_query
from track.projections.trials import PART, UPDATE_COUNT, stream_of
from track.structure import Project, Trial, TrialGroup


class ArchivedFrom(NamedTuple):
    """The uids of the projects and groups of an archived trial, for its restoration."""

    projects: set[str]
    groups: set[str]


class Known(NamedTuple):
    """A trial and everything else known about it.

    Attributes
    ----------
    trial
        the trial, which belongs to the projection
    heartbeats, attempts, created
        see :class:`Objects`
    is_archived
        whether the trial is archived; None if it is also erased
    """

    trial: Trial
    heartbeats: Mapping[Heartbeat, int]
    attempts: AttemptsOf | None
    created: int | None
    is_archived: bool | None


class Index:
    """All projects, groups and trials as of :attr:`position`, and their indexes."""

    def __init__(self) -> None:
        self.position = 0
        self.events = 0
        """The number of events that were folded or skipped."""
        self.projects: dict[str, Project] = {}
        self.groups: dict[str, TrialGroup] = {}
        self.trials: dict[str, Trial] = {}
        self.parts: dict[int, Trial] = {}
        """Partial trials, whose creation cannot be read, by stream: see :func:`is_part`"""
        self.revisions: dict[str, list[str]] = {}
        """The uids of the trials with a hash, oldest first"""
        self.archived: dict[str, ArchivedFrom | None] = {}
        """The places of archived trials by uid, None for erased ones"""
        self.by_group: dict[Any, list[str]] = {}
        """The uids of the trials created in a group by its uid, oldest first"""
        self.heartbeats: dict[int, dict[Heartbeat, int]] = {}
        """The time of the last heartbeat of each process by stream of the trial"""
        self.failed_events: list[int] = []
        """The positions of events that could not be applied."""
        self.by_stream: dict[int, Any] = {}
        """The project, group or trial of each stream"""
        self.started: dict[tuple[int, str | None], int] = {}
        """The start times of trials and chronos, for ends without a duration."""
        self.created: dict[str, int] = {}
        """The times of creation in nanoseconds since 1970-01-01 UTC by uid of the trial"""
        self.attempts: dict[int, AttemptsOf] = {}
        """The attempts at a trial by its stream"""
        self.changed: dict[int, Project | TrialGroup | Trial] = {}
        """The changed subjects by ``id``, in order of the first change"""
        self.stream_of: dict[int, int] = {}
        """The reverse of ``by_stream``, by ``id``"""
        self.unbound: set[int] = set()
        """Streams without a known subject that have other state, such as heartbeats"""

    def subjects(self) -> Iterator[Project | TrialGroup | Trial]:
        """Yield all projects, groups and trials, each kind oldest first."""
        yield from self.projects.values()
        yield from self.groups.values()
        yield from self.trials.values()
        yield from self.parts.values()

    def touch(self, subject: Project | TrialGroup | Trial | None) -> None:
        """Note that a subject changed."""
        if subject is not None:
            self.changed[id(subject)] = subject

    def touch_stream(self, stream: int) -> None:
        """Note that the subject of a stream changed."""
        subject = self.by_stream.get(stream)
        if subject is None:
            self.unbound.add(stream)
        else:
            self.touch(subject)

    def bind(self, stream: int, subject: Project | TrialGroup | Trial) -> None:
        """Set the subject of a stream."""
        previous = self.by_stream.get(stream)
        if previous is not None:
            del self.stream_of[id(previous)]
            self.touch(previous)
        self.by_stream[stream] = subject
        self.stream_of[id(subject)] = stream
        self.unbound.discard(stream)
        self.touch(subject)

    def trial_on(self, stream: int) -> Any:
        """Return the trial of a stream, creating a partial one if it is unknown."""
        subject = self.by_stream.get(stream)
        if subject is not None:
            return subject
        part = self.parts.get(stream)
        if part is None:
            part = self.parts[stream] = Trial(f"{stream:016x}", PART)
            part.metadata[UPDATE_COUNT] = 0
        return part

    def add_trial(self, trial: Trial) -> None:
        """Add a trial to the objects and indexes."""
        uid = trial.uid
        self.trials[uid] = trial
        self.revisions.setdefault(trial.hash, []).append(uid)
        self.by_group.setdefault(trial.group_id, []).append(uid)

    def find_trials(self, query: Query) -> Iterator[Trial]:
        """Yield the trials that match and are not archived, oldest first."""
        found = _find(self.trials, self._candidates(query), query)
        return (trial for trial in found if trial.uid not in self.archived)

    def find_parts(self, query: Query, *, archived: bool = False) -> Iterator[Trial]:
        """Yield the partial trials that match."""
        found = _find({part.uid: part for part in self.parts.values()}, None, query)
        shown = (part for part in found if not self.is_erased(part.uid))
        return (part for part in shown if (part.uid in self.archived) is archived)

    def find_archived(self, query: Query) -> Iterator[Trial]:
        """Yield the archived trials that match, oldest first, without erased ones."""
        return _find(self.trials, [uid for uid in self.trials if self.archived.get(uid)], query)

    def is_erased(self, uid: str) -> bool:
        """Return whether a trial was erased."""
        return uid in self.archived and self.archived[uid] is None

    def archive(self, trial: Trial, *, erased: bool = False) -> None:
        """Remove a trial from its projects and groups, noting them unless it is erased."""
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
        """Return the revisions of a trial, oldest first, or none if the trial is not shown."""
        if uid not in self.trials or uid in self.archived:
            return []
        uids = self.with_hash(self.trials[uid].hash)
        return [self.trials[other] for other in uids if other not in self.archived]

    def with_hash(self, trial_hash: str) -> list[str]:
        """Return the uids of the trials with a hash, oldest first."""
        return self.revisions.get(trial_hash, [])

    def known_trials(self) -> Iterator[Known]:
        """Yield all trials, oldest first, then partial ones, without loading them for good."""
        return map(self.known, (*self.trials.values(), *self.parts.values()))

    def known(self, trial: Trial) -> Known:
        """Return a trial with everything else known about it."""
        uid, stream = trial.uid, self.stream_of.get(id(trial))
        if stream is None:
            stream = stream_of(uid)
        beats, attempts = self.heartbeats.get(stream, {}), self.attempts.get(stream)
        is_archived = None if self.is_erased(uid) else uid in self.archived
        return Known(trial, beats, attempts, self.created.get(uid), is_archived)

    def find_groups(self, query: Query) -> Iterator[TrialGroup]:
        """Yield the groups that match, oldest first."""
        return _find(self.groups, _uid_condition(query), query)

    def find_projects(self, query: Query) -> Iterator[Project]:
        """Yield the projects that match, oldest first."""
        return _find(self.projects, _uid_condition(query), query)

    def _candidates(self, query: Query) -> Iterable[str] | None:
        """Return uids that include all matching trials, None if any trial may match."""
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
