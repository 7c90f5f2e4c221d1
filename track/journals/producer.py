"""Who appends: an identity, a running number and a clock, in front of a journal."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from time import time_ns
from typing import Any

from track.events.codec import MAX_SEQUENCE, Encoder, fields_of
from track.events.types import Event
from track.journals.journal import Journal
from track.utils.forking import renew_in_children

Append = Callable[[tuple[bytes]], None]


class _Identity:
    """One producer: a random id, and how many events it has recorded."""

    __slots__ = ("append", "busy", "decider", "deferred", "encode", "id", "recorded")

    def __init__(self, append: Append) -> None:
        self.append = append
        """Where what it records goes."""
        self.id = int.from_bytes(os.urandom(8), "big") >> 1
        self.recorded = 0
        self.encode = Encoder().encode
        self.busy = 0
        """How many calls of this thread are under way, one inside the other."""
        self.deferred: list[Callable[[], None]] = []
        self.decider: _Identity | None = None
        """Who the thread is in events that somebody else appends."""


class Producer:
    """Appends events to a journal, each thread under an identity of its own.

    The pair of producer and sequence is unique for ever, and the sequences of one producer grow
    along the journal: a receiver that remembers each producer's last one can drop what it has
    already. Since no two threads share an identity, none waits for another; a forked child takes
    new ones.
    """

    def __init__(self, journal: Journal) -> None:
        self.changed = False
        """Whether anything was recorded since somebody last set this to False."""
        self.write_to(journal)
        self.stop_reminding()
        renew_in_children(self)

    def write_to(self, journal: Journal) -> None:
        """Append to a journal from now on, under new identities."""
        self.journal = journal
        self._threads = threading.local()

    def renew_after_fork(self) -> None:
        self.changed = False
        self.stop_reminding()
        self._threads = threading.local()

    def remind(self, at_ns: int, callback: Callable[[], None]) -> None:
        """Have a function called behind the first event from a wall time on, in its thread."""
        self._reminder_ns: float = at_ns
        self._remind = callback

    def stop_reminding(self) -> None:
        """Call no function any more."""
        self._reminder_ns, self._remind = inf, _nothing

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Have what a signal handler wants from this thread wait until the block ends."""
        identity = self._identity()
        identity.busy += 1
        try:
            yield
        finally:
            identity.busy -= 1
            if identity.deferred and not identity.busy:
                _run_deferred(identity)

    def encode(self, stream: int, event: Event) -> bytes:
        """Return the payload of an event that another process appends, stamped with the time.

        It has an identity of its own: whoever gets it must not conclude that all that this thread
        recorded before has arrived there.

        Raises
        ------
        EncodingError
            a value cannot be logged
        """
        usual = self._identity()
        if usual.decider is None or usual.decider.recorded == MAX_SEQUENCE:
            usual.decider = _Identity(self.journal.append)
        identity = usual.decider
        identity.recorded += 1
        return identity.encode(
            type(event), [*event], stream, identity.id, identity.recorded, time_ns()
        )

    def when_idle(self, callback: Callable[[], None]) -> None:
        """Call a function now, or once this thread is done with what it does here.

        A signal handler comes between any two steps of its thread: what it records then could get
        ahead of an event that is numbered but not yet written.
        """
        identity = self._identity()
        if identity.busy:
            identity.deferred.append(callback)
        else:
            callback()

    def record(self, stream: int, event: Event) -> None:
        """Append one event, stamped with the present time.

        Raises
        ------
        EncodingError
            a value cannot be logged; nothing was appended
        JournalError
            see :meth:`track.journals.journal.Journal.append`
        """
        self.record_fields(stream, type(event), fields_of(event))

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
        try:
            identity = self._threads.identity
        except AttributeError:
            identity = self._identity()
        identity.busy += 1
        self.changed = True
        try:
            # A number is spent even if the append fails: a failed write may have reached the disk.
            identity.recorded = sequence = identity.recorded + 1
            if sequence == MAX_SEQUENCE:
                del self._threads.identity
            at = time_ns()
            identity.append((identity.encode(kind, fields, stream, identity.id, sequence, at),))
            if at >= self.journal.sync_due_ns:
                self.journal.sync()
            if at >= self._reminder_ns:
                self._remind()
        finally:
            identity.busy -= 1
            if identity.deferred and not identity.busy:
                _run_deferred(identity)

    def append_encoded(self, payloads: Sequence[bytes], *, decided: bool) -> None:
        """Append what others recorded, as it is. It is in the journal when this returns.

        Parameters
        ----------
        payloads
            of the events
        decided
            whether they are what is decided in the exclusive section that this thread is in

        Raises
        ------
        JournalError
            see :meth:`track.journals.journal.Journal.append`
        """
        self.changed = True
        (self.journal.append if decided else self.journal.append_foreign)(payloads)
        if time_ns() >= self.journal.sync_due_ns:
            self.journal.sync()

    def _identity(self) -> _Identity:
        """Return who this thread is, made when it records for the first time."""
        if not hasattr(self._threads, "identity"):
            self._threads.identity = _Identity(self.journal.append)
        identity: _Identity = self._threads.identity
        return identity


def _nothing() -> None:
    """Do what there is to do when nobody wants to be reminded."""


def _run_deferred(identity: _Identity) -> None:
    while identity.deferred:
        identity.deferred.pop(0)()
