"""A journal and the objects it tells of: kept up to date, and kept for the next process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from track.errors import JournalError
from track.journals.journal import Journal
from track.journals.producer import Producer
from track.projections import snapshot
from track.projections.objects import Objects
from track.projections.projection import catch_up
from track.utils.forking import renew_in_children

logger = logging.getLogger(__name__)

FEWEST_NEW_EVENTS = 4096
"""Fewer events than this are replayed as fast as a snapshot of them is written."""

ONE_NEW_IN = 64
"""A snapshot costs as much as the store is large, so it waits for one new event in so many."""


class Store:
    """A journal, and the objects as of its last event.

    Parameters
    ----------
    journal
        where the events are
    producer
        who records events here; signal handlers that want to wait while it is busy
    """

    def __init__(self, journal: Journal, producer: Producer) -> None:
        self.journal = journal
        self._producer = producer
        self._objects = Objects()
        self._kept: int | None = None
        """How many events the snapshot covers, as far as is known; None before anybody looked."""
        self._state = threading.RLock()
        renew_in_children(self)

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
        with self._producer.busy(), self.journal.exclusive(), self.read_state() as objects:
            yield objects

    @contextmanager
    def as_last_seen(self) -> Iterator[Objects]:
        """Give the objects as they were when somebody looked last."""
        with self._producer.busy(), self._state:
            yield self._objects

    def _catch_up(self) -> None:
        if self._kept is None:
            self._load_snapshot()
        catch_up(self._objects, self.journal)
        new = self._objects.events - (self._kept or 0)
        if new >= max(FEWEST_NEW_EVENTS, self._objects.events // ONE_NEW_IN):
            self._save_snapshot()

    def close(self) -> None:
        """Leave a snapshot to whoever opens the journal next, if it is worth one."""
        with self.read_state():
            pass

    # Snapshots are caches: what is wrong with one is a reason to do without, and to say so

    def _load_snapshot(self) -> None:
        self._kept = 0
        try:
            kept = self.journal.load_snapshot()
            if kept is not None:
                with kept:
                    self._objects = snapshot.unpack_objects(kept, self.journal.fingerprint)
                self._kept = self._objects.events
        except (snapshot.Refused, OSError) as error:
            logger.info("the snapshot of the journal is not used: %s", error)

    def _save_snapshot(self) -> None:
        self._kept = self._objects.events
        try:
            self.journal.save_snapshot(snapshot.pack(self._objects, self.journal.fingerprint))
        except (snapshot.Refused, JournalError, OSError) as error:
            logger.info("no snapshot of the journal was written: %s", error)
