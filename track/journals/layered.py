"""Provide a base for journals in front of another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident

from track.events.record import Record
from track.journals.journal import Batch, CacheSource, Journal
from track.utils.forking import renew_in_children


class LayeredJournal(Journal):
    """Passes all calls to the journal behind it.

    A subclass that appends elsewhere must not do so while a thread :meth:`is_deciding`: what was
    decided is recorded in the journal behind before the call returns.

    Parameters
    ----------
    journal
        the journal behind
    """

    _decider = 0
    """The thread of this process in the exclusive section, 0 for none."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def renew_after_fork(self) -> None:
        self._decider = 0

    def is_deciding(self) -> bool:
        """Return whether this thread is in the exclusive section."""
        return self._decider == get_ident()

    def _before_section(self) -> None:
        """Pass earlier events to the journal behind, or raise."""
        self._behind()

    def _behind(self) -> Journal:
        """Return the journal behind, after it has all events that an answer needs."""
        return self.journal

    def append(self, payloads: Sequence[bytes]) -> None:
        self._behind().append(payloads)

    def append_foreign(self, payloads: Sequence[bytes]) -> None:
        self._behind().append_foreign(payloads)

    def append_records(self, records: Sequence[Record]) -> None:
        self._behind().append_records(records)

    def read_batches(self, after: int = 0) -> Iterator[Batch]:
        return self._behind().read_batches(after)

    def read_stream(self, stream: int, after: int = 0) -> Iterator[Batch]:
        return self._behind().read_stream(stream, after)

    def read_last(self, count: int) -> Iterator[Batch]:
        return self._behind().read_last(count)

    def follow(self, after: int = 0, *, poll_s: float = 0.05) -> Iterator[Batch | None]:
        return self._behind().follow(after, poll_s=poll_s)

    def head(self) -> int:
        return self._behind().head()

    def upper_bound(self) -> int:
        return self._behind().upper_bound()

    def last_sequence(self, producer: int) -> int:
        return self._behind().last_sequence(producer)

    def cache_source(self) -> CacheSource | None:
        return self.journal.cache_source()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        if not self.is_deciding():
            self._before_section()
        renew_in_children(self)  # a forked child is not inside
        with self.journal.exclusive():
            before, self._decider = self._decider, get_ident()
            try:
                yield
            finally:
                self._decider = before
