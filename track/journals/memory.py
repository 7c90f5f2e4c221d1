"""Keep a journal in memory, as the reference of the contract and for temporary runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from track.errors import JournalClosed
from track.journals.delivery import Sequences
from track.journals.journal import Batch, ExclusiveJournal
from track.utils.forking import ForkSafeLock

_BATCH = 4096


class MemoryJournal(ExclusiveJournal):
    """A journal in a list; positions count the payloads from 1. It ends with the process.

    A forked child has a copy.
    """

    def __init__(self) -> None:
        self._payloads: list[bytes] = []
        self._section = ForkSafeLock(threading.RLock)
        self._sequences = Sequences()
        self._closed = False

    def append(self, payloads: Sequence[bytes]) -> None:
        if self._closed:
            raise JournalClosed("this memory journal was closed: open a new one to log more")
        # Extending a list is one step for every other thread, so no lock is needed.
        self._payloads.extend(payloads)

    def exclusive(self) -> AbstractContextManager[None]:
        return self._section

    def read_batches(self, after: int = 0) -> Iterator[Batch]:
        while batch := self._payloads[after : after + _BATCH]:
            yield range(after + 1, after + 1 + len(batch)), batch
            after += len(batch)

    def head(self) -> int:
        return len(self._payloads)

    def last_sequence(self, producer: int) -> int:
        return self._sequences.last(self, producer)

    def close(self) -> None:
        self._closed = True
