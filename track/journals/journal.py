"""Define the contract of a journal: the append-only store of every event.

Every journal promises the following, on any medium (``tests/contracts`` checks each line):

* **Order.** A journal is a total order. Positions only grow, every reader sees the same sequence,
  and ``read(after=p)`` continues exactly after the event at position ``p`` (0: from the start).
* **Atomicity.** ``append`` adds all of its payloads, in order and contiguous, or none of them.
* **Acknowledgement.** When ``append`` returns, its events survive the death of this process, and
  more according to ``durability``. When it raises, they were not acknowledged: an error that is
  not a :class:`~track.journals.journal.JournalSyncError` also means that no reader will see them.
* **Sharing.** Any number of threads and processes append and read at once. ``append`` never waits
  for an exclusive section. A forked child can continue to use the journal it inherited.
* **Decisions.** At most one thread of one process is inside the ``exclusive()`` of an
  :class:`ExclusiveJournal`; events appended inside it were decided with the knowledge of all events
  of earlier exclusive sections.
* **Damage.** A reader yields exactly the intact events, in order, whatever happened to the others,
  and reports once what it skipped.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from math import inf
from typing import Literal, Protocol

from track.errors import BackendError, JournalWriteError
from track.events.codec import STREAM, are_events, decode, identify
from track.events.record import Record, payload_of
from track.events.types import Recorded

Batch = tuple[Sequence[int], list[bytes]]
"""Positions and payloads of consecutive events."""

Durability = Literal["process", "interval", "always"]
DURABILITIES = ("process", "interval", "always")
SYNC_INTERVAL_NS = 10**9
"""The time between syncs with ``durability=interval``."""

DEFAULT_LOCK_TIMEOUT = 30.0
"""The default time to wait for an exclusive section in seconds."""

DEFAULT_TIMEOUT = 30.0
"""The default time to wait for a server in seconds."""


class JournalSyncError(JournalWriteError):
    """The events are in the journal, but might not survive a loss of power."""


class PartialDuplicate(JournalWriteError):
    """Some of the events, but not all, are in the journal already; none was added."""


class Journal(ABC):
    """An append-only, totally ordered store of payloads. The module documents its promises.

    A journal appends, reads and closes. The other methods work on any journal, and are overridden
    by journals that have a faster way.
    """

    sync_due_ns: float = inf
    """The wall time in nanoseconds after which a writer should :meth:`sync`; inf for never. A sync
    makes it later; writers may notice late."""

    @abstractmethod
    def append(self, payloads: Sequence[bytes]) -> None:
        """Append payloads, all or none.

        Raises
        ------
        JournalWriteError
            the payloads were not appended, or (:class:`JournalSyncError`) not synced
        JournalClosed
            the journal was closed
        JournalUnreachable
            the server does not answer: they may or may not have been appended
        ConcurrentWrite
            the exclusive section was lost, and another process made a decision meanwhile
        """

    def event_writer(self, prefix: bytes) -> Callable[[bytes], None]:
        """Return a function that appends payloads with a common prefix, given the rest of each.

        It does the same as :meth:`append` with the whole payload, and raises the same errors.
        Journals override it to prepare what the payloads share.
        """
        return lambda rest: self.append((prefix + rest,))

    def append_foreign(self, payloads: Sequence[bytes]) -> None:
        """Append events that were recorded elsewhere without a decision.

        In an exclusive section, they do not count as decided there.

        Raises
        ------
        PartialDuplicate
            some of them arrived before; a journal that cannot know appends them again
        JournalError
            as for :meth:`append`
        """
        self.append(payloads)

    def append_records(self, records: Sequence[Record]) -> None:
        """Append foreign events given as whole records, see :meth:`append_foreign`.

        A journal of records, or one that forwards them, writes their bytes unchanged.
        """
        self.append_foreign([*map(payload_of, records)])

    @abstractmethod
    def read_batches(self, after: int = 0) -> Iterator[Batch]:
        """Yield the events after a position that exist when reading begins.

        Events appended meanwhile may be included.
        """

    def exclusive(self) -> AbstractContextManager[None]:
        """Enter the exclusive section, see :class:`ExclusiveJournal`.

        Raises
        ------
        TypeError
            the journal has none
        """
        raise TypeError(
            f"a {type(self).__name__} cannot make decisions: derive it from "
            "track.journals.journal.ExclusiveJournal"
        )

    def sync(self) -> None:  # noqa: B027 - by default, appended events are already as safe as possible
        """Sync all appended events to stable storage."""

    def sync_if_interval(self) -> None:  # noqa: B027 - a journal without durabilities has nothing to do
        """Note that a sync is due now if ``durability`` is ``interval``."""

    @abstractmethod
    def close(self) -> None:
        """Sync and release the journal. It may be closed twice, but not appended to afterwards."""

    def last_sequence(self, producer: int) -> int:
        """Return the number of a producer's last event in this journal, 0 without any.

        The sequences of a producer grow along the journal, so events up to this number can be
        skipped when they are sent again. Journals with many producers have a faster way.
        """
        sequences = (item.sequence for item in self.read() if item.producer == producer)
        return max(sequences, default=0)

    def cache_source(self) -> CacheSource | None:
        """Return the source for a cache of this journal, None if it has no cache."""
        return None

    def read_stream(self, stream: int, after: int = 0) -> Iterator[Batch]:
        """Yield the events of one stream after a position.

        Journals that find them without reading everything have a faster way.
        """
        for batch in self.read_batches(after):
            yield from of_stream(stream, after, batch)

    def read_last(self, count: int) -> Iterator[Batch]:
        """Yield the last events of the journal, at least ``count`` if there are as many.

        Journals that find them without reading everything have a faster way.
        """
        return self.read_batches()

    def read(self, after: int = 0) -> Iterator[Recorded]:
        """Yield the events after a position, see :meth:`read_batches`."""
        for positions, payloads in self.read_batches(after):
            yield from map(decode, positions, payloads)

    def head(self) -> int:
        """Return the position of the last event, 0 without any."""
        last = 0
        for positions, _ in self.read_batches():
            last = positions[-1]
        return last

    def upper_bound(self) -> int:
        """Return a position at or after the last event, at little cost."""
        return self.head()

    def tail(
        self, after: int = 0, *, timeout_s: float | None = None, poll_s: float = 0.05
    ) -> Iterator[Recorded]:
        """Yield the events after a position, and then wait for more.

        Parameters
        ----------
        after
            the position to continue from
        timeout_s
            stop after this long without a new event; None waits for ever
        poll_s
            the time between looks
        """
        quiet_since = time.monotonic()
        for batch in self.follow(after, poll_s=poll_s):
            if batch is not None:
                yield from map(decode, *batch)
                quiet_since = time.monotonic()
            elif timeout_s is not None and time.monotonic() - quiet_since >= timeout_s:
                return

    def follow(self, after: int = 0, *, poll_s: float = 0.05) -> Iterator[Batch | None]:
        """Yield the events after a position, and then new ones; None when there are none for now.

        Journals that are notified of events do not poll every ``poll_s``.
        """
        while True:
            for batch in self.read_batches(after):
                after = batch[0][-1]
                yield batch
            yield None
            time.sleep(poll_s)


class ExclusiveJournal(Journal):
    """A journal with an exclusive section of its own, in which decisions are made."""

    @abstractmethod
    def exclusive(self) -> AbstractContextManager[None]:
        """Enter the exclusive section; the same thread may enter it again inside.

        Raises
        ------
        LockTimeout
            another thread or process stayed inside for too long
        """


class CacheSource(Protocol):
    """A journal whose content may be cached in a local file."""

    def cache_path(self) -> str | None:
        """Return the path for the cache, None for no cache."""

    def fingerprint(self, position: int) -> bytes | None:
        """Return bytes that identify the event at a position, None without an event."""

    def is_damaged(self) -> bool:
        """Return whether damage was found that may have been an event."""


def of_stream(stream: int, after: int, batch: Batch) -> Iterator[Batch]:
    """Yield the events of a batch that belong to a stream and come after a position."""
    positions, payloads = batch
    wanted = stream.to_bytes(8, "big")
    streams = [payload[STREAM] for payload in payloads]
    if positions[0] > after and streams.count(wanted) == len(payloads) and are_events(payloads):
        yield batch  # the usual case in a store with one long trial
        return
    found = [
        (position, payload)
        for position, payload, one in zip(positions, payloads, streams, strict=True)
        if one == wanted and position > after and identify(payload)
    ]
    if found:
        yield [position for position, _ in found], [payload for _, payload in found]


def check_durability(word: str) -> Durability:
    """Return a durability word.

    Raises
    ------
    BackendError
        the durability is unknown
    """
    for known in DURABILITIES:
        if word == known:
            return known  # type: ignore[return-value]  # the tuple's items are the literals
    raise BackendError(f"unknown durability={word!r}: use one of {', '.join(DURABILITIES)}")
