"""Note in which stretches of a journal each stream has events, so that these are found again."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from track.events.codec import STREAM

EVENTS = 4096
"""A stretch grows until it has so many."""

_stream_in = itemgetter(STREAM)
_STREAM_BYTES = STREAM.stop - STREAM.start


class Stretch(NamedTuple):
    """Consecutive events.

    Attributes
    ----------
    after, last
        the position behind which they are, and that of the last one
    events
        how many there are
    streams
        what they are about
    """

    after: int
    last: int
    events: int
    streams: array[int]


class Stretches:
    """All stretches of a journal, up to a position.

    Parameters
    ----------
    known
        the first ones
    """

    def __init__(self, known: Iterable[Stretch] = ()) -> None:
        self._whole = [*known]
        self.position = self._whole[-1].last if self._whole else 0
        """Up to here all events were added."""
        self._begin()

    def _begin(self) -> None:
        self._after, self._events = self.position, 0
        self._streams: set[bytes] = set()

    def add(self, positions: Sequence[int], payloads: list[bytes]) -> None:
        """Add the next events; those that were added before change nothing."""
        for start in range(bisect_right(positions, self.position), len(payloads), EVENTS):
            piece = payloads[start : start + EVENTS]
            self._streams.update(map(_stream_in, piece))
            self._events += len(piece)
            self.position = positions[start + len(piece) - 1]
            if self._events >= EVENTS:
                self.end()

    def end(self) -> None:
        """Let the last stretch grow no more."""
        self._whole = self.known()
        self._begin()

    def known(self) -> list[Stretch]:
        """Return the stretches, in their order."""
        if not self._events:
            return [*self._whole]
        # What is shorter is no event.
        events = (one for one in self._streams if len(one) == _STREAM_BYTES)
        streams = array("Q", sorted(int.from_bytes(one, "big") for one in events))
        return [*self._whole, Stretch(self._after, self.position, self._events, streams)]


def of_one(known: Sequence[Stretch], stream: int, after: int) -> list[tuple[int, int | None]]:
    """Return where the events of a stream behind a position may be: behind what, and up to what.

    What is behind the stretches that are known has no end.
    """
    found: list[tuple[int, int | None]] = []
    for one in known:
        if one.last > after and stream in one.streams:
            begin = max(after, one.after)
            if found and found[-1][1] == begin:
                begin = found.pop()[0]
            found.append((begin, one.last))
    end = max(after, known[-1].last if known else 0)
    if found and found[-1][1] == end:
        end = found.pop()[0]
    return [*found, (end, None)]


def before_last(known: Sequence[Stretch], count: int) -> int:
    """Return a position behind which at least so many of the events in stretches are, or all."""
    for one in reversed(known):
        if count <= 0:
            return one.last
        count -= one.events
    return 0
