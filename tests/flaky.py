"""Provide a remote journal that fails on request, as one behind a network does."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from track.errors import JournalUnreachable
from track.events.codec import identify
from track.journals.memory import MemoryJournal


class FlakyJournal(MemoryJournal):
    """Keeps received events in memory; ``contents`` outlives its client.

    Attributes
    ----------
    away
        whether to refuse everything
    fail_after
        the number of next appends that are recorded, but not acknowledged
    fail_before
        the number of next appends that are not recorded
    """

    def __init__(self, contents: list[bytes] | None = None) -> None:
        super().__init__()
        if contents is not None:
            self._payloads = contents
        self.away = False
        self.fail_after = self.fail_before = 0
        self.appends = 0
        self.blocked = threading.Event()
        self.blocked.set()
        self._once = threading.Lock()

    def append(self, payloads: Sequence[bytes]) -> None:
        self.blocked.wait()
        self._look()
        self.appends += 1
        if self.fail_before:
            self.fail_before -= 1
            raise JournalUnreachable("the connection was lost before the append")
        with self._once:
            known = set(map(identify, self._payloads)) - {None}
            assert not known & set(map(identify, payloads)), "an event was sent twice"
            super().append(payloads)
        if self.fail_after:
            self.fail_after -= 1
            raise JournalUnreachable("the connection was lost after the append")

    def last_sequence(self, producer: int) -> int:
        self._look()
        return super().last_sequence(producer)

    def read_batches(self, after: int = 0):
        self._look()
        return super().read_batches(after)

    def _look(self) -> None:
        if self.away:
            raise JournalUnreachable("the far journal is away")
