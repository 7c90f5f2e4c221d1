"""Define the contract of a journal: the append-only store of every event.

What every journal promises, whatever it is made of (``tests/contracts`` checks each line):

* **Order.** A journal is a total order. Positions only grow, every reader sees the same sequence,
  and ``read(after=p)`` continues exactly behind the event at position ``p`` (0: from the start).
* **Atomicity.** ``append`` adds all of its payloads, in order and contiguous, or none of them.
* **Acknowledgement.** When ``append`` returns, its events survive the death of this process, and
  what ``durability`` says beyond that. When it raises, they were not acknowledged: an error that is
  not a :class:`~track.journals.journal.JournalSyncError` also means that no reader will see them.
* **Sharing.** Any number of threads and processes append and read at once. ``append`` waits for
  nobody's exclusive section. A forked child goes on using the journal it inherited.
* **Decisions.** At most one thread of one process is inside the ``exclusive()`` of an
  :class:`ExclusiveJournal`; what is appended inside it was decided on all that had been appended by
  other exclusive sections.
* **Damage.** A reader yields exactly the intact events, in order, whatever happened to the rest,
  and says once what it skipped.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from math import inf
from typing import Literal, Protocol

from track.errors import BackendError, JournalWriteError
from track.events.codec import STREAM, decode, identify
from track.events.record import Record, payload_of
from track.events.types import Recorded

Batch = tuple[Sequence[int], list[bytes]]
"""Positions and payloads of consecutive events."""

Durability = Literal["process", "interval", "always"]
DURABILITIES = ("process", "interval", "always")
SYNC_INTERVAL_NS = 10**9
"""Time between two syncs under ``durability=interval``."""

DEFAULT_LOCK_TIMEOUT = 30.0
"""Seconds to wait for an exclusive section."""

DEFAULT_TIMEOUT = 30.0
"""Seconds to wait for a server that does not answer."""


class JournalSyncError(JournalWriteError):
    """The events are in the journal, but might not survive a loss of power."""


class PartialDuplicate(JournalWriteError):
    """Some of the events are in the journal already, and some are not; none was added."""


class Journal(ABC):
    """An append-only, totally ordered store of payloads. The module says what it promises.

    A journal appends, reads and closes. All else works on any journal as it is here, and is a
    method for those that know a faster way.
    """

    sync_due_ns: float = inf
    """Wall time, in nanoseconds, from which on a writer should :meth:`sync`; inf for never. A sync
    makes it later; writers need not notice at once."""

    @abstractmethod
    def append(self, payloads: Sequence[bytes]) -> None:
        """Append payloads, all or none.

        Raises
        ------
        JournalWriteError
            they were not appended, or (:class:`JournalSyncError`) not synced
        JournalClosed
            the journal was closed
        JournalUnreachable
            its server does not answer: whether they were appended is not known
        ConcurrentWrite
            in an exclusive section that was lost: somebody else decided something meanwhile
        """

    def event_writer(self, prefix: bytes) -> Callable[[bytes], None]:
        """Return what appends payloads that begin alike, one by one, given the rest of each.

        It does what :meth:`append` does with the whole payload, and raises what that raises. A
        journal overrides it if there is something that it can do once for all of them.
        """
        return lambda rest: self.append((prefix + rest,))

    def append_foreign(self, payloads: Sequence[bytes]) -> None:
        """Append what was recorded before, somewhere else, and was decided by nobody.

        In an exclusive section, too, this is no part of what is decided there.

        Raises
        ------
        PartialDuplicate
            some of it arrived before; a journal that cannot tell appends it again
        JournalError
            as of :meth:`append`
        """
        self.append(payloads)

    def append_records(self, records: Sequence[Record]) -> None:
        """Do what :meth:`append_foreign` does, given whole records as a journal in a file has them.

        A journal that is made of records, or hands them on, writes them as they are.
        """
        self.append_foreign([*map(payload_of, records)])

    @abstractmethod
    def read_batches(self, after: int = 0) -> Iterator[Batch]:
        """Yield what was appended behind a position, all that was there when the reading began.

        What is appended meanwhile may come, too, or with the next reading.
        """

    def sync(self) -> None:  # noqa: B027 - what is as stable as it gets needs nothing
        """Return when all that was appended is on stable storage."""

    def sync_if_interval(self) -> None:  # noqa: B027 - a journal without durabilities has nothing to do
        """Note that what was just appended is worth a sync where ``durability`` is ``interval``."""

    @abstractmethod
    def close(self) -> None:
        """Sync and release what is held. Closing twice is fine; appending afterwards is not."""

    def last_sequence(self, producer: int) -> int:
        """Return the number of a producer's last event in here, 0 when there is none.

        The sequences of a producer grow along the journal, so whoever sends its events again can
        leave out those up to this one. A journal that many producers write to has a faster way.
        """
        sequences = (item.sequence for item in self.read() if item.producer == producer)
        return max(sequences, default=0)

    def cache_source(self) -> CacheSource | None:
        """Return what a cache of this journal is made with, None where there is none."""
        return None

    def read_stream(self, stream: int, after: int = 0) -> Iterator[Batch]:
        """Yield what was appended about one subject behind a position.

        A journal in which that is found without reading all of it has a faster way.
        """
        for batch in self.read_batches(after):
            yield from of_stream(stream, after, batch)

    def read(self, after: int = 0) -> Iterator[Recorded]:
        """Yield the events behind a position, as :meth:`read_batches` does."""
        for positions, payloads in self.read_batches(after):
            yield from map(decode, positions, payloads)

    def head(self) -> int:
        """Return the position of the last event, 0 when there is none."""
        last = 0
        for positions, _ in self.read_batches():
            last = positions[-1]
        return last

    def upper_bound(self) -> int:
        """Return a position that is not before the last event, at little cost."""
        return self.head()

    def tail(
        self, after: int = 0, *, timeout_s: float | None = None, poll_s: float = 0.05
    ) -> Iterator[Recorded]:
        """Yield the events behind a position and then wait for more.

        Parameters
        ----------
        after
            position to continue from
        timeout_s
            stop after this long without a new event; None waits for ever
        poll_s
            how often to look
        """
        quiet_since = time.monotonic()
        for batch in self.follow(after, poll_s=poll_s):
            if batch is not None:
                yield from map(decode, *batch)
                quiet_since = time.monotonic()
            elif timeout_s is not None and time.monotonic() - quiet_since >= timeout_s:
                return

    def follow(self, after: int = 0, *, poll_s: float = 0.05) -> Iterator[Batch | None]:
        """Yield what is behind a position, and then what comes; None when nothing does for a while.

        A journal that is told of news has a better way than to look for them every ``poll_s``.
        """
        while True:
            for batch in self.read_batches(after):
                after = batch[0][-1]
                yield batch
            yield None
            time.sleep(poll_s)


class ExclusiveJournal(Journal):
    """A journal in which decisions can be made, as one process at a time can be alone in it."""

    @abstractmethod
    def exclusive(self) -> AbstractContextManager[None]:
        """Enter the exclusive section; the same thread may enter it again inside.

        Raises
        ------
        LockTimeout
            somebody else stayed inside it for too long
        """


class CacheSource(Protocol):
    """A journal whose contents may be cached in a file of this machine."""

    def cache_path(self) -> str | None:
        """Return where the cache may be, None for nowhere."""

    def fingerprint(self, position: int) -> bytes | None:
        """Return bytes that tell the event at a position from any other one, None for no event."""

    def is_damaged(self) -> bool:
        """Return whether anything was met that may have been an event once."""


def of_stream(stream: int, after: int, batch: Batch) -> Iterator[Batch]:
    """Yield the events of a batch that are of a stream and behind a position, if there are any."""
    found = [
        (position, payload)
        for position, payload in zip(*batch, strict=True)
        if position > after and payload[STREAM] == stream.to_bytes(8, "big") and identify(payload)
    ]
    if found:
        yield [position for position, _ in found], [payload for _, payload in found]


def check_durability(word: str) -> Durability:
    """Return a durability word.

    Raises
    ------
    BackendError
        there is no such durability
    """
    for known in DURABILITIES:
        if word == known:
            return known  # type: ignore[return-value]  # the tuple's items are the literals
    raise BackendError(f"durability={word!r} is not known: use one of {', '.join(DURABILITIES)}")
