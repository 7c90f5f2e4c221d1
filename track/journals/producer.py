"""Give appended events an identity, a running number and a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from math import inf
from time import time_ns
from typing import Any
from weakref import WeakSet

from track.events.codec import (
    MAX_SEQUENCE,
    NUMBER_AND_TIME,
    UINT64,
    Encoder,
    fields_of,
    prefix_of,
)
from track.events.types import Event
from track.journals.journal import Journal
from track.utils.forking import renew_in_children

Record = Callable[[list[Any]], None]
"""Appends an event, given its fields in order."""


class _Identity:
    """A producer: a random id, and the number of events it has recorded.

    As a context manager, it defers the recording of signal handlers until the end.
    """

    __slots__ = ("busy", "decider", "deferred", "encoder", "id", "recorded")

    def __init__(self) -> None:
        self.id = int.from_bytes(os.urandom(8), "big") >> 1
        self.recorded = 0
        self.encoder = Encoder()
        self.busy = 0
        """The nesting depth of the current calls of this thread."""
        self.deferred: list[Callable[[], None]] = []
        self.decider: _Identity | None = None
        """The identity of the thread in events that another process appends."""

    def encode(self, stream: int, event: Event, at: int) -> bytes:
        """Return the payload of the next event."""
        kind, fields = type(event), fields_of(event)
        sequence = self.recorded + 1
        payload = self.encoder.encode(kind, fields, stream, self.id, sequence, at)
        # A number is spent even if the append fails: a failed write may have reached the disk. A
        # value that cannot be logged spends none: its gap would look like a lost event.
        self.recorded = sequence
        return payload

    def is_used_up(self) -> bool:
        """Return whether all sequence numbers are used."""
        return self.recorded >= MAX_SEQUENCE

    def __enter__(self) -> None:
        self.busy += 1

    def __exit__(self, *_: object) -> None:
        self.busy -= 1
        if self.deferred and not self.busy:
            self.run_deferred()

    def run_deferred(self) -> None:
        """Call the functions that were deferred until the thread is idle."""
        while self.deferred:
            self.deferred.pop(0)()


class Producer:
    """Appends events to a journal, with a separate identity for each thread.

    The pair of producer and sequence is unique for ever, and the sequences of a producer grow along
    the journal. So a receiver that remembers the last one of each producer can drop duplicates.
    Threads have different identities, so they never wait for each other; a forked child takes new
    ones.
    """

    def __init__(self, journal: Journal) -> None:
        self.changed = False
        """Whether anything was recorded since this was last set to False."""
        self._recorders: WeakSet[_Recorder] = WeakSet()
        self.write_to(journal)
        self.stop_reminding()
        renew_in_children(self)

    def write_to(self, journal: Journal) -> None:
        """Append to another journal from now on, with new identities."""
        self.journal = journal
        self.forget_threads()

    def renew_after_fork(self) -> None:
        self.changed = False
        self.stop_reminding()
        self.forget_threads()

    def forget_threads(self) -> None:
        """Give each thread a new identity."""
        self._threads = threading.local()
        for recorder in list(self._recorders):
            recorder.threads = threading.local()

    def remind(self, at_ns: float, callback: Callable[[], None]) -> None:
        """Call a function after the first event after a wall time, in the thread of the event."""
        self._reminder_ns = at_ns
        self._remind = callback
        self.due_ns: float = 0
        """The wall time after which there may be work after an event."""

    def stop_reminding(self) -> None:
        """Cancel the reminder."""
        self.remind(inf, _nothing)

    def busy(self) -> AbstractContextManager[None]:
        """Defer the recording of signal handlers of this thread until the end of the block."""
        return self.identity()

    def encode(self, stream: int, event: Event) -> bytes:
        """Return the payload of an event that another process appends, stamped with the time.

        It has a separate identity, so that its receiver does not conclude that all earlier events
        of this thread have arrived.

        Raises
        ------
        EncodingError
            a value cannot be logged
        """
        usual = self.identity()
        if usual.decider is None or usual.decider.is_used_up():
            usual.decider = _Identity()
        return usual.decider.encode(stream, event, time_ns())

    def when_idle(self, callback: Callable[[], None]) -> None:
        """Call a function now, or when this thread has finished its current call.

        A signal handler may interrupt any step of its thread, and must not record anything before
        an event that has a number but is not written yet.
        """
        identity = self.identity()
        if identity.busy:
            identity.deferred.append(callback)
        else:
            callback()

    def record(self, stream: int, event: Event) -> None:
        """Append one event with the current time.

        Raises
        ------
        EncodingError
            a value cannot be logged; nothing was appended
        JournalError
            see :meth:`track.journals.journal.Journal.append`
        """
        with (identity := self.identity()):
            self.changed = True
            at = time_ns()
            payload = identity.encode(stream, event, at)
            if identity.is_used_up():
                self.forget_threads()
            self.journal.append((payload,))
            if at >= self.due_ns:
                self.do_what_is_due(at)

    def recorder(self, stream: int, kind: type[Event]) -> Record:
        """Return a function that records events of one kind and stream, as :meth:`record` does.

        Parameters
        ----------
        stream
            the stream of the events
        kind
            their class in the catalogue
        """
        recorder = _Recorder(self, stream, kind)
        self._recorders.add(recorder)
        return recorder.record

    def append_records(self, records: Sequence[bytes]) -> None:
        """Append foreign records unchanged; they are in the journal when this returns.

        Raises
        ------
        JournalError
            see :meth:`track.journals.journal.Journal.append_records`
        """
        self._append_for_others(self.journal.append_records, records)

    def append_decided(self, payloads: Sequence[bytes]) -> None:
        """Append events decided for others in the exclusive section of this thread.

        Raises
        ------
        JournalError
            see :meth:`track.journals.journal.Journal.append`
        """
        self._append_for_others(self.journal.append, payloads)

    def _append_for_others(
        self, append: Callable[[Sequence[bytes]], None], events: Sequence[bytes]
    ) -> None:
        self.changed = True
        append(events)
        if time_ns() >= self.journal.sync_due_ns:
            self.journal.sync()

    def do_what_is_due(self, at: int) -> None:
        """Sync the journal and call the reminder if they are due, and note the next time."""
        if at >= self.journal.sync_due_ns:
            self.journal.sync()
        if at >= self._reminder_ns:
            self._remind()
        self.due_ns = min(self.journal.sync_due_ns, self._reminder_ns)
        # Another thread may have set a reminder meanwhile.
        self.due_ns = min(self.due_ns, self._reminder_ns)

    def identity(self) -> _Identity:
        """Return the identity of this thread, created when it first records."""
        try:
            identity: _Identity = self._threads.identity
        except AttributeError:
            identity = self._threads.identity = _Identity()
        return identity


class _Recorder:
    """Records events of one kind and stream, as fast as training loops need.

    What these events share is prepared once per thread.
    """

    __slots__ = ("__weakref__", "_kind", "_producer", "_stream", "threads")

    def __init__(self, producer: Producer, stream: int, kind: type[Event]) -> None:
        self._producer, self._stream, self._kind = producer, stream, kind
        self.threads = threading.local()

    def record(self, fields: list[Any]) -> None:
        try:
            identity, encode, write = self.threads.ready
        except AttributeError:
            identity, encode, write = self._get_ready()
        producer = self._producer
        identity.busy += 1
        producer.changed = True
        try:
            body = encode(self._kind, fields)
            # As in _Identity.encode, a failed append spends a number, but a refused value does not.
            identity.recorded = sequence = identity.recorded + 1
            if sequence == MAX_SEQUENCE:
                producer.forget_threads()
            at = time_ns()
            write(_number_and_time(sequence, UINT64, at) + body)
            if at >= producer.due_ns:
                producer.do_what_is_due(at)
        finally:
            identity.busy -= 1
            if identity.deferred and not identity.busy:
                identity.run_deferred()

    def _get_ready(self) -> tuple[_Identity, Callable[..., bytes], Callable[[bytes], None]]:
        """Prepare the parts that events of this thread share."""
        identity = self._producer.identity()
        prefix = prefix_of(self._kind, self._stream, identity.id)
        write = self._producer.journal.event_writer(prefix)
        self.threads.ready = ready = identity, identity.encoder.body, write
        return ready


_number_and_time = NUMBER_AND_TIME.pack


def _nothing() -> None:
    """Do nothing: the reminder of a producer without one."""
