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
    """Uids of the projects and groups that show a trial, once it is no longer archived."""

    projects: set[str]
    groups: set[str]


class Known(NamedTuple):
    """A trial among all objects, and what else is known of it.

    Attributes
    ----------
    trial
        the projection's own
    heartbeats, attempts, created
        see :class:`Objects`
    is_archived
        whether it is archived; None if so, and nothing is left of it
    """

    trial: Trial
    heartbeats: Mapping[Heartbeat, int]
    attempts: AttemptsOf | None
    created: int | None
    is_archived: bool | None


class Index:
    """Every project, group and trial, as of :attr:`position`, and what finds them."""

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
        self.created: dict[str, int] = {}
        """uid of a trial -> when it was created, in nanoseconds since 1970-01-01 UTC"""
        self.attempts: dict[int, AttemptsOf] = {}
        """stream -> the attempts at the trial it is about"""
        self.changed: dict[int, Project | TrialGroup | Trial] = {}
        """What changed since somebody emptied it, by ``id``; in the order of the first change"""
        self.stream_of: dict[int, int] = {}
        """The reverse of ``by_stream``, by ``id``"""
        self.unbound: set[int] = set()
        """Streams about nothing that is known here, of which something is known nevertheless"""

    def subjects(self) -> Iterator[Project | TrialGroup | Trial]:
        """Yield everything that there is, each kind oldest first."""
        yield from self.projects.values()
        yield from self.groups.values()
        yield from self.trials.values()
        yield from self.parts.values()

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
        uids = self.with_hash(self.trials[uid].hash)
        return [self.trials[other] for other in uids if other not in self.archived]

    def with_hash(self, trial_hash: str) -> list[str]:
        """Return the uids of the trials with a hash, oldest first."""
        return self.revisions.get(trial_hash, [])

    def known_trials(self) -> Iterator[Known]:
        """Yield all trials, oldest first, and then parts of others; they are not kept for it."""
        return map(self.known, (*self.trials.values(), *self.parts.values()))

    def known(self, trial: Trial) -> Known:
        """Return a trial, and what else is known of it."""
        stream, uid = stream_of(trial.uid), trial.uid
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
