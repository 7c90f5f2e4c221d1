"""Who appends: an identity, a running number and a clock, in front of a journal."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable

from track.events.codec import MAX_SEQUENCE, Encoder
from track.events.forking import renew_in_children
from track.events.journal import Journal
from track.events.types import Event


class Producer:
    """Appends events to a journal under an identity of its own.

    The pair of :attr:`id` and sequence is unique for ever, and sequences of one producer grow along
    the journal: a receiver that remembers each producer's last one can drop what it already has.
    Threads share a producer; a forked child becomes a new one.
    """

    id: int
    """63 random bits."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.renew_after_fork()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        self.id = int.from_bytes(os.urandom(8), "big") >> 1
        self._sequence = 0
        self._encoder = Encoder()
        self.lock = threading.Lock()

    @property
    def recorded(self) -> int:
        """How many events this producer has made; it only changes when one is recorded."""
        return self._sequence

    def record(self, stream: int, event: Event) -> None:
        """Append one event, stamped with the present time.

        Raises
        ------
        EncodingError
            a value cannot be logged; nothing was appended
        JournalError
            see :meth:`track.events.journal.Journal.append`
        """
        with self.lock:
            self.journal.append((self._encode(stream, event),))

    def record_all(self, events: Iterable[tuple[int, Event]]) -> None:
        """Append the events of several streams, all or none. Raises as :meth:`record`."""
        with self.lock:
            self.journal.append([self._encode(stream, event) for stream, event in events])

    def _encode(self, stream: int, event: Event) -> bytes:
        if self._sequence == MAX_SEQUENCE:
            self._sequence, self.id = 0, int.from_bytes(os.urandom(8), "big") >> 1
        # A number is spent even if the append fails: a failed write may have reached the disk.
        self._sequence += 1
        return self._encoder.encode(event, stream, self.id, self._sequence, time.time_ns())
