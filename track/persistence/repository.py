"""Who decides and answers: the store itself, here or behind a server.

A decision is an event that is recorded only if what is expected of the store holds at that moment:
a trial does not exist yet, or it is the first one that matches a query.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from math import inf
from typing import Any, Literal, NamedTuple

from track.containers.points import Points
from track.containers.series import StepSeries
from track.errors import ItemNotFound, JournalClosed
from track.events.codec import stream_id
from track.events.types import Event
from track.journals.journal import Journal
from track.journals.producer import Producer
from track.persistence.cache import Cache
from track.persistence.cache_format import Busy, Foreign, Moved, Unusable
from track.persistence.liveness import derive_status
from track.persistence.protocol import Query
from track.projections.copies import copy_group, copy_project, copy_trial, to_plain
from track.projections.objects import Objects
from track.projections.projection import catch_up, fold
from track.projections.trials import stream_of
from track.structure import AnyStatus, Trial
from track.utils.forking import renew_in_children

logger = logging.getLogger(__name__)

FEWEST_NEW_EVENTS = 4096
"""Fewer events than this are replayed as fast as they are kept."""

MOST_NEW_EVENTS = 2**17
"""More events than this are not folded before they are kept: their values need not be in memory."""

RECENTLY_S = 1.0
"""What comes in such a time is soon read: who was up to date then need not be before a decision."""

Kind = Literal["project", "group", "trial", "archived"]
"""What there is; trials that are archived are only found when they are asked for."""

Expected = Literal["absent", "present", "first"]


class Precondition(NamedTuple):
    """What must hold for an event to be recorded."""

    kind: Kind
    uid: Any
    expected: Expected
    """There is none of this uid; there is one; it is the first of those that match the query."""
    query: Query = None


COPY: Mapping[Kind, Callable[[Any], Any]] = {
    "project": copy_project,
    "group": copy_group,
    "trial": copy_trial,
    "archived": copy_trial,
}
"""How to make a fresh object of each kind, for somebody who may change it."""


class Repository(ABC):
    """Decides what is recorded, and answers what was."""

    @abstractmethod
    def append_if(
        self, stream: int, event: Event, preconditions: Iterable[Precondition]
    ) -> Precondition | None:
        """Record an event if all that is expected holds, in one step.

        Returns
        -------
        The first expectation that does not hold; None when the event was recorded.
        """

    @abstractmethod
    def update(self, kind: Kind, query: Query, event_of: Callable[[int], Event]) -> Any:
        """Update the first object that matches, in one step.

        Parameters
        ----------
        kind, query
            which trial or group
        event_of
            gives the event to record, from the stream of the object

        Returns
        -------
        A fresh copy of what was updated.

        Raises
        ------
        ItemNotFound
            nothing matches
        """

    @abstractmethod
    def find(self, kind: Kind, query: Query) -> list[Any]:
        """Return fresh copies of the objects that match, oldest first."""

    @abstractmethod
    def knows(self, kind: Kind, uid: Any) -> bool:
        """Return whether there is an object with a uid, or part of one."""

    @abstractmethod
    def revisions(self, uid: str) -> list[Any] | None:
        """Return all trials with the hash of a trial, oldest first; None when it does not exist."""

    @abstractmethod
    def next_revision(self, digest: str) -> int:
        """Return a revision that no trial with a hash has yet."""

    @abstractmethod
    def status_of(self, uid: str, stream: int) -> AnyStatus | None:
        """Return the status of a trial, see :func:`track.persistence.liveness.derive_status`."""

    @abstractmethod
    def status_in(self, objects: Objects, trial: Trial) -> AnyStatus | None:
        """Return the status of a trial among the current objects, see :meth:`status_of`."""

    @abstractmethod
    def metrics(self, uid: str) -> dict[str, Any]:
        """Return the metrics of a trial, in plain containers."""

    @abstractmethod
    def exclusive_state(self) -> AbstractContextManager[Objects]:
        """Give every object as it is now; nobody else decides anything meanwhile."""

    @abstractmethod
    def read_state(self) -> AbstractContextManager[Objects]:
        """Give every object as it is now; nobody else touches them meanwhile."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held."""


class LocalRepository(Repository):
    """The store itself, whose journal this process opened.

    Parameters
    ----------
    journal
        where the events go
    producer
        who records them
    """

    def __init__(self, journal: Journal, producer: Producer) -> None:
        self.journal = journal
        self._producer = producer
        self._objects = Objects()
        self._kept: int | None = None
        """How many events the cache covers, as far as is known; None before anybody looked."""
        self._cache: Cache | None = None
        self._refused: str | None = None
        """The path of a file that is not ours, and was said to be in the way."""
        self._caught_up_at = -inf
        """When the objects were as new as the journal, in the time of the monotonic clock."""
        self._state = threading.RLock()
        renew_in_children(self)

    def append_if(
        self, stream: int, event: Event, preconditions: Iterable[Precondition]
    ) -> Precondition | None:
        with self.exclusive_state() as objects:
            unmet = first_unmet(objects, preconditions)
            if unmet is None:
                self._producer.record(stream, event)
            return unmet

    def update(self, kind: Kind, query: Query, event_of: Callable[[int], Event]) -> Any:
        with self.exclusive_state() as objects:
            uid = first_match(objects, kind, query)
            stream = stream_id(kind, uid)
            self._producer.record(stream, event_of(stream))
            catch_up(objects, self.journal)
            return COPY[kind](table(objects, kind)[uid])

    def find(self, kind: Kind, query: Query) -> list[Any]:
        with self.read_state() as objects:
            return [COPY[kind](found) for found in matches(objects, kind, query)]

    def knows(self, kind: Kind, uid: Any) -> bool:
        with self.read_state() as objects:
            is_part = kind == "trial" and stream_of(uid) in objects.parts
            return is_part or uid in table(objects, kind)

    def revisions(self, uid: str) -> list[Any] | None:
        with self.read_state() as objects:
            return [*map(copy_trial, objects.find_revisions(uid))] or None

    def next_revision(self, digest: str) -> int:
        with self.read_state() as objects:
            taken = [objects.trials[uid].revision for uid in objects.revisions.get(digest, ())]
        numbers = (int(revision) for revision in taken if str(revision).isdecimal())
        return 1 + max(numbers, default=-1)

    def status_of(self, uid: str, stream: int) -> AnyStatus | None:
        with self.read_state() as objects:
            found = objects.trials.get(uid) or objects.parts.get(stream)
            return None if found is None else self.status_in(objects, found)

    def status_in(self, objects: Objects, trial: Trial) -> AnyStatus | None:
        return derive_status(trial, objects.heartbeats.get(stream_of(trial.uid), {}))

    def metrics(self, uid: str) -> dict[str, Any]:
        try:
            with self.read_state() as objects:
                return _metrics_of(objects, uid)
        except JournalClosed:
            # Closing brought the objects up to date.
            with self._producer.busy(), self._state:
                if uid not in self._objects.trials:
                    raise
                return _metrics_of(self._objects, uid)

    def close(self) -> None:
        """Leave a cache to whoever opens the journal next, if it is worth one."""
        with self.read_state():
            pass
        if self._cache is not None:
            self._cache.release()

    def renew_after_fork(self) -> None:
        # Was some thread of the parent in the middle of a fold? Then start over.
        if not self._state.acquire(blocking=False):
            self._objects, self._kept = Objects(), None
        self._state = threading.RLock()

    @contextmanager
    def read_state(self) -> Iterator[Objects]:
        """Give the objects as they are now; nobody else touches them meanwhile."""
        with self._producer.busy(), self._state:
            self._catch_up()
            yield self._objects

    @contextmanager
    def exclusive_state(self) -> Iterator[Objects]:
        """Give the objects as they are now; no other process decides anything meanwhile."""
        with self._producer.busy():
            if time.monotonic() - self._caught_up_at > RECENTLY_S:
                # Others wait for whoever is inside, and need not wait for all that is read here.
                with self.read_state():
                    pass
            with self.journal.exclusive(), self.read_state() as objects:
                yield objects

    def _catch_up(self) -> None:
        if self._kept is None:
            self._load()
        for batch in self.journal.read_batches(self._objects.position):
            fold(self._objects, [batch])
            if self._cache is not None and self._new_events() >= MOST_NEW_EVENTS:
                self._save()
        self._caught_up_at = time.monotonic()
        # Somebody else may have kept something meanwhile, and all subjects are loaded then.
        subjects = len(self._objects.trials)
        due = max(FEWEST_NEW_EVENTS, subjects if FEWEST_NEW_EVENTS > 1 else 0)
        if self._cache is not None and self._new_events() >= due:
            self._save()

    def _new_events(self) -> int:
        return self._objects.events - (self._kept or 0)

    # What is wrong with a cache is a reason to do without, and to say so

    def _load(self) -> None:
        self._kept = 0
        path = self.journal.cache_path()
        if path is not None and path != self._refused:
            self._cache = Cache(path, partial(_replay, self.journal))
            self._load_cache(self._cache)

    def _load_cache(self, cache: Cache) -> None:
        try:
            objects = cache.load(self.journal.fingerprint)
            if objects is not None:
                self._objects, self._kept = objects, objects.events
        except Foreign as error:
            self._refused, self._cache = cache.path, None
            logger.warning("%s is left as it is, and not used as a cache: %s", cache.path, error)
        except Unusable as error:
            logger.info("the cache %s is not used: %s", cache.path, error)
            if not isinstance(error, Busy):
                cache.discard()

    def _save(self) -> None:
        assert self._cache is not None
        try:
            self._save_to(self._cache)
        except Moved as error:
            # Go on with what somebody else kept, or from nothing.
            logger.info("the cache %s is loaded again: %s", self._cache.path, error)
            self._objects, self._cache = Objects(), None
            self._load()
            for batch in self.journal.read_batches(self._objects.position):
                fold(self._objects, [batch])
            if self._cache is not None and self._new_events() >= FEWEST_NEW_EVENTS:
                with suppress(Moved):
                    self._save_to(self._cache)

    def _save_to(self, cache: Cache) -> None:
        self._kept = self._objects.events
        try:
            if self.journal.is_damaged():
                raise Unusable("the journal is damaged, and it would hide that")  # noqa: TRY301
            cache.save(self._objects, self.journal.fingerprint)
        except Moved:
            raise
        except (Unusable, ValueError, TypeError, AttributeError) as error:
            logger.info("the cache %s was not written: %s", cache.path, error)


def _replay(journal: Journal, uid: str, name: str) -> Points | None:
    """Return the points of a metric of a trial, without what is kept of them."""
    objects = Objects()
    fold(objects, journal.read_stream(stream_of(uid)))
    trial = objects.trials.get(uid) or objects.parts.get(stream_of(uid))
    series = None if trial is None else trial.metrics.get(name)
    return series.points() if isinstance(series, StepSeries) else None


def _metrics_of(objects: Objects, uid: str) -> dict[str, Any]:
    return dict(to_plain(objects.trials[uid].metrics))


def table(objects: Objects, kind: Kind) -> dict[str, Any]:
    """Return the objects of a kind, by uid."""
    tables: dict[Kind, dict[str, Any]] = {
        "project": objects.projects,
        "group": objects.groups,
        "trial": objects.trials,
        "archived": objects.trials,
    }
    return tables[kind]


def matches(objects: Objects, kind: Kind, query: Query) -> Iterator[Any]:
    """Yield the objects of a kind that match a query, oldest first."""
    find: dict[Kind, Callable[[Query], Iterator[Any]]] = {
        "project": objects.find_projects,
        "group": objects.find_groups,
        "trial": objects.find_trials,
        "archived": objects.find_archived,
    }
    return find[kind](query)


def first_match(objects: Objects, kind: Kind, query: Query) -> str:
    """Return the uid of the first object that matches.

    Raises
    ------
    ItemNotFound
        nothing does
    """
    found = next(matches(objects, kind, query), None)
    if found is None:
        raise ItemNotFound(f"no {kind} matches {query!r}")
    uid: str = found.uid
    return uid


def first_unmet(objects: Objects, preconditions: Iterable[Precondition]) -> Precondition | None:
    """Return the first expectation that does not hold, None when all do."""
    for precondition in preconditions:
        kind, uid, expected, query = precondition
        if expected == "first":
            first = next(matches(objects, kind, query), None)
            met = first is not None and first.uid == uid
        else:
            met = (uid in table(objects, kind)) == (expected == "present")
        if not met:
            return precondition
    return None
