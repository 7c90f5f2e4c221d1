"""Who appends: an identity, a running number and a clock, in front of a journal."""

from __future__ import annotations

import os
import threading
from time import time_ns
from typing import Any

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

    recorded: int
    """How many events were recorded under this identity: the last sequence."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.renew_after_fork()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        self._begin()
        self._encode = Encoder().encode
        self.lock = threading.Lock()

    def record(self, stream: int, event: Event) -> None:
        """Append one event, stamped with the present time.

        Raises
        ------
        EncodingError
            a value cannot be logged; nothing was appended
        JournalError
            see :meth:`track.events.journal.Journal.append`
        """
        self.record_fields(stream, type(event), [*event])

    def record_fields(self, stream: int, kind: type[Event], fields: list[Any]) -> None:
        """Do what :meth:`record` does, for an event in pieces: all that a training loop waits for.

        Parameters
        ----------
        stream
            whom the event is about
        kind
            its class
        fields
            its fields, in order
        """
        with self.lock:
            # A number is spent even if the append fails: a failed write may have reached the disk.
            self.recorded = sequence = self.recorded + 1
            at = time_ns()
            self.journal.append((self._encode(kind, fields, stream, self.id, sequence, at),))
            if at >= self.journal.sync_due_ns:
                self.journal.sync()
            if sequence == MAX_SEQUENCE:
                self._begin()

    def _begin(self) -> None:
        self.id = int.from_bytes(os.urandom(8), "big") >> 1
        self.recorded = 0
