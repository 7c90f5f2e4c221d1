"""Share code among journals on a local disk: locks, syncs, and the paths of their caches."""

from __future__ import annotations

import logging
import os
import time
from abc import abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter

from track.errors import DamageWarning, warn
from track.events.scan import Damage
from track.journals.file_lock import LockedFile
from track.journals.journal import (
    SYNC_INTERVAL_NS,
    Batch,
    CacheSource,
    Durability,
    ExclusiveJournal,
    JournalSyncError,
    of_stream,
)
from track.journals.stretches import Stretch, before_last, of_one
from track.utils.caches import place_of_cache
from track.utils.mounts import LACKING

logger = logging.getLogger(__name__)

CACHE_SUFFIX = ".cache"
CACHE_SUFFIXES = (CACHE_SUFFIX, f"{CACHE_SUFFIX}-journal", ".streams")
"""The suffixes of files beside a journal that may be deleted at any time. The second is SQLite's;
the last is left over from earlier versions."""


class JournalOnDisk(ExclusiveJournal):
    """A journal in one file.

    Parameters
    ----------
    file
        the file
    durability
        ``process``: the kernel decides when to write; ``interval``: also a sync about every
        second while events arrive, and on :meth:`sync`; ``always``: a sync before each return
    """

    unit = "positions"
    """The unit of positions and of the bounds of damage."""

    def __init__(self, file: LockedFile, durability: Durability) -> None:
        self.file = file
        self.path = file.path
        self.durability = durability
        self.damage: list[Damage] = []
        """The damaged ranges found so far, in the order of the journal."""
        self.tells_damage = True
        """Whether to warn of each damaged range."""
        self.index: Callable[[], list[Stretch]] = list
        """Returns the known places of the events of each stream."""
        self._owed = False
        """Whether a sync is due after the exclusive section."""
        if durability == "interval":
            self.sync_due_ns = 0

    def sync(self) -> None:
        if self.durability == "interval":
            self.sync_due_ns = time.time_ns() + SYNC_INTERVAL_NS
        try:
            self._sync_data()
        except OSError as error:
            raise JournalSyncError(
                error.errno,
                f"cannot sync {self.path}: {error.strerror}; check the disk. The last events are "
                "recorded, but might not survive a loss of power",
            ) from error

    def _sync_data(self) -> None:
        try:
            os.fdatasync(self.file.descriptor())
        except OSError as error:
            if error.errno not in LACKING:
                raise
            os.fsync(self.file.descriptor())  # slower, but available everywhere

    def sync_if_interval(self) -> None:
        if self.durability != "interval":
            return
        if self.file.is_inside():
            self._owed = True  # others wait for the section, so sync after it
        else:
            self.sync()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        try:
            with self.file.exclusive():
                yield
        finally:
            if self._owed and not self.file.is_inside():
                self._owed = False
                self.sync()

    def is_current(self) -> bool:
        """Return whether the path still names the open file."""
        return self.file.is_current()

    def close(self) -> None:
        try:
            if self.durability != "process" and self.file.is_open():
                self.sync()
        finally:
            self.file.close()

    def _report(self, piece: Damage) -> None:
        """Note a damaged range, and report it if it is new.

        A later read may find the rest of a range; adjacent ranges are joined.
        """
        whole = piece
        first = bisect_left(self.damage, piece.start, key=attrgetter("end"))
        last = bisect_right(self.damage, piece.end, key=attrgetter("start"))
        for known in self.damage[first:last]:
            if known.start <= piece.start and piece.end <= known.end:
                return
            whole = whole.joined(known)
        self.damage[first:last] = [whole]
        where = f"{self.path}: skipped {self.unit} {piece.start} to {piece.end}, which hold no"
        if piece.reason == "torn":
            logger.warning(
                "%s intact record (cut short by a crash or a full disk, never acknowledged)", where
            )
        elif self.tells_damage:
            warn(f"{where} intact record (damaged): see `track verify`", DamageWarning)

    def lost(self) -> list[Damage]:
        """Return the damaged ranges found so far.

        Torn ranges are not included, since their events were never acknowledged.
        """
        return [piece for piece in self.damage if piece.reason == "corrupt"]

    @abstractmethod
    def salvage(self, piece: Damage) -> list[bytes]:
        """Return possible payloads in a damaged range."""

    def unsettled(self, head: int) -> Damage | None:
        """Return the range after the last event at ``head``, if it is not empty."""
        return None

    @abstractmethod
    def read_batches(self, after: int = 0, last: int | None = None) -> Iterator[Batch]:
        """Yield the events after a position, and up to another one if it is given."""

    def read_stream(self, stream: int, after: int = 0) -> Iterator[Batch]:
        for begin, last in of_one(self.index(), stream, after):
            for batch in self.read_batches(begin, last):
                yield from of_stream(stream, after, batch)

    def read_last(self, count: int) -> Iterator[Batch]:
        return self.read_batches(before_last(self.index(), count))

    def cache_source(self) -> CacheSource:
        return self

    @abstractmethod
    def fingerprint(self, position: int) -> bytes | None:
        """Return bytes that identify the event at a position, None without an event."""

    def cache_path(self) -> str | None:
        """Return the path for the cache, None for no cache."""
        return place_of_cache(self.path + CACHE_SUFFIX)

    def is_damaged(self) -> bool:
        """Return whether damage was found that may have been an event."""
        return bool(self.lost())
