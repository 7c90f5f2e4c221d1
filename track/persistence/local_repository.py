"""Make decisions and answer queries on a journal that this process has open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from math import inf
from typing import Any, Literal, TypeVar
from weakref import ref

from track.errors import ConcurrentWrite, JournalClosed
from track.events.codec import stream_id
from track.events.types import Event
from track.journals.journal import Journal
from track.journals.local import JournalOnDisk
from track.journals.producer import Producer
from track.journals.stretches import Stretch
from track.persistence.protocol import Query
from track.persistence.repository import (
    COPY,
    Kind,
    Precondition,
    Repository,
    first_match,
    first_unmet,
    matches,
    table,
)
from track.projections.copies import copy_trial, to_plain
from track.projections.history import as_of
from track.projections.later import copy_group_later, copy_project_later
from track.projections.objects import Objects
from track.projections.trials import stream_of
from track.provenance.liveness import derive_status
from track.read_model.state import State
from track.structure import AnyStatus, Trial
from track.utils.forking import renew_in_children

RECENTLY_S = 1.0
"""Objects read within this time are recent enough to begin a decision."""

_LOST_SECTIONS = 4
"""The number of times that a decision is repeated after losing its exclusive section."""

_Decision = TypeVar("_Decision")


class LocalRepository(Repository):
    """The repository of a journal that this process has open.

    Parameters
    ----------
    journal
        the journal of the events
    producer
        the producer of new events
    """

    def __init__(self, journal: Journal, producer: Producer) -> None:
        self._producer = producer
        self._now = State(journal)
        self._caught_up_at = -inf
        """The monotonic time of the last catch-up."""
        self._reopen: Callable[[], Journal] | None = None
        self._state = threading.RLock()
        if isinstance(source := journal.cache_source(), JournalOnDisk):
            this = ref(self)  # a weak reference, so that it is freed as soon as it is unused
            source.index = lambda: [] if (here := this()) is None else here.stretches()
        renew_in_children(self)

    @property
    def journal(self) -> Journal:
        """Return the journal that keeps the events."""
        return self._now.journal

    @journal.setter
    def journal(self, journal: Journal) -> None:
        self._now.journal = journal

    def append_if(
        self, stream: int, event: Event, preconditions: Iterable[Precondition]
    ) -> Precondition | None:
        expected = tuple(preconditions)

        def decide(objects: Objects) -> Precondition | None:
            unmet = first_unmet(objects, expected)
            if unmet is None:
                self._producer.record(stream, event)
            return unmet

        if self._is_behind():
            with self.read_state() as objects:
                unmet = first_unmet(objects, expected)
            if unmet is not None:
                return unmet  # without entering the exclusive section
        return self._decide(decide)

    def update(self, kind: Kind, query: Query, event_of: Callable[[int], Event]) -> Any:
        def decide(objects: Objects) -> Any:
            uid = first_match(objects, kind, query)
            stream = stream_id(kind, uid)
            self._producer.record(stream, event_of(stream))
            with self.read_state() as updated:
                return COPY[kind](table(updated, kind)[uid])

        return self._decide(decide)

    def _decide(self, decide: Callable[[Objects], _Decision]) -> _Decision:
        """Make a decision in a section; repeat it if the section was lost before recording."""
        for _ in range(_LOST_SECTIONS):
            with suppress(ConcurrentWrite), self.exclusive_state() as objects:
                return decide(objects)
        with self.exclusive_state() as objects:
            return decide(objects)

    def find(self, kind: Kind, query: Query) -> list[Any]:
        with self.read_state() as objects:
            return [COPY[kind](found) for found in matches(objects, kind, query)]

    def home(self, kind: Literal["project", "group"], uid: Any) -> Any:
        def read() -> Any:
            with self.read_state() as now:
                if now.position == position:
                    return super(LocalRepository, self).home(kind, uid)
            then = as_of(self.journal.read_batches(), position=position)
            return COPY[kind](table(then, kind)[uid])

        with self.read_state() as objects:
            position = objects.position
            found = table(objects, kind).get(uid)
            if found is None:
                return None
            later: Callable[..., Any] = (
                copy_project_later if kind == "project" else copy_group_later
            )
            return later(found, read)

    def knows(self, kind: Kind, uid: Any) -> bool:
        with self.read_state() as objects:
            is_part = kind == "trial" and stream_of(uid) in objects.parts
            return is_part or uid in table(objects, kind)

    def revisions(self, uid: str) -> list[Any] | None:
        with self.read_state() as objects:
            return [*map(copy_trial, objects.find_revisions(uid))] or None

    def next_revision(self, digest: str) -> int:
        with self.read_state() as objects:
            taken = [objects.trials[uid].revision for uid in objects.with_hash(digest)]
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
            if self._reopen is not None:
                with closing(self._reopen()) as journal:
                    return LocalRepository(journal, Producer(journal)).metrics(uid)
            # Closing also brings the objects up to date.
            with self._producer.busy(), self._state:
                objects = self._now.objects
                if uid not in objects.trials:
                    raise
                return _metrics_of(objects, uid)

    def stretches(self) -> list[Stretch]:
        """Return the places of the events of each stream, except for the last events."""
        with nullcontext() if self._now.is_used() else self.read_state(), self._state:
            return self._now.stretches.known()

    def close(self) -> None:
        """Write the cache for the next process, if that saves time."""
        with self.read_state():
            pass
        self._now.release()

    def leave(self, reopen: Callable[[], Journal]) -> None:
        """Release all objects and the cache, because other processes still use the store.

        Parameters
        ----------
        reopen
            opens the journal again to answer later queries
        """
        self._reopen = reopen
        self._now.release()

    def renew_after_fork(self) -> None:
        # If a thread of the parent was in the middle of a fold, start over.
        if not self._state.acquire(blocking=False):
            self._now.forget()
        self._state = threading.RLock()

    @contextmanager
    def read_state(self) -> Iterator[Objects]:
        """Give the current objects for exclusive use."""
        with self._producer.busy(), self._state:
            objects = self._now.enter()
            self._caught_up_at = time.monotonic()
            try:
                yield objects
            finally:
                self._now.leave()

    def _is_behind(self) -> bool:
        return time.monotonic() - self._caught_up_at > RECENTLY_S

    @contextmanager
    def exclusive_state(self) -> Iterator[Objects]:
        """Give the current objects; no other process makes decisions meanwhile."""
        with self._producer.busy():
            if self._is_behind():
                # Catch up before entering, since others wait for the section.
                with self.read_state():
                    pass
            with self.journal.exclusive(), self.read_state() as objects:
                yield objects


def _metrics_of(objects: Objects, uid: str) -> dict[str, Any]:
    return dict(to_plain(objects.trials[uid].metrics))
