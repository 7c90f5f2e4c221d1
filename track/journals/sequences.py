"""Track the last sequence of each producer, for journals without an index of it."""

from __future__ import annotations

from track.events.codec import identify
from track.journals.journal import Journal
from track.utils.forking import ForkSafeLock


class Sequences:
    """The last sequence of each producer in one journal, found by reading each event once."""

    def __init__(self) -> None:
        self._position = 0
        self._last: dict[int, int] = {}
        self._turn = ForkSafeLock()

    def last(self, journal: Journal, producer: int) -> int:
        """Return the number of a producer's last event, 0 without any."""
        with self._turn:
            for positions, payloads in journal.read_batches(self._position):
                for name, sequence in filter(None, map(identify, payloads)):
                    self._last[name] = max(sequence, self._last.get(name, 0))
                self._position = positions[-1]
            return self._last.get(producer, 0)
