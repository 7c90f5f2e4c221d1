"""Index the places of the events of each stream in a journal."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from track.events.codec import STREAM

EVENTS = 4096
"""The number of events at which a stretch is full."""

_PIECE = 256
"""The number of events in a piece, of which the first and last event of each stream are noted."""

_MOST_PARTS = 512
"""The number of entries beyond which a stretch keeps one entry per stream for all its pieces."""

_FEW = 16
"""The number of streams up to which searching for each is faster than a loop over the events."""

_stream_in = itemgetter(STREAM)
_Columns = tuple[list[Any], list[Any], list[Any]]
_last_of = attrgetter("last")
_STREAM_BYTES = STREAM.stop - STREAM.start


class Stretch(NamedTuple):
    """Holds the places of the streams in a range of consecutive events.

    Attributes
    ----------
    after, last
        the position before the first event, and that of the last one
    events
        the number of events
    streams
        the stream of each entry, in order
    begins
        for each entry, the position before its first event, relative to ``after``
    ends
        for each entry, the position of its last event, relative to ``after``
    """

    after: int
    last: int
    events: int
    streams: array[int]
    begins: array[int]
    ends: array[int]

    def ranges(self, stream: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges that hold events of a stream: the position before each, and its end."""
        start = bisect_left(self.streams, stream)
        end = bisect_right(self.streams, stream, start)
        for begin, last in zip(self.begins[start:end], self.ends[start:end], strict=True):
            yield self.after + begin, self.after + last


def typecode_of(after: int, last: int) -> str:
    """Return the type code of an array for the relative positions in a stretch."""
    return "I" if last - after < 2**32 else "Q"


class Stretches:
    """Builds the stretches of a journal up to a position.

    Parameters
    ----------
    known
        the stretches built earlier
    """

    def __init__(self, known: Iterable[Stretch] = ()) -> None:
        self._whole = [*known]
        self.position = self._whole[-1].last if self._whole else 0
        """The position up to which all events were added."""
        self._begin()

    def _begin(self) -> None:
        self._after, self._events = self.position, 0
        self._columns: _Columns = [], [], []

    def add(self, positions: Sequence[int], payloads: list[bytes]) -> None:
        """Add the next events, skipping those that were added before."""
        for start in range(bisect_right(positions, self.position), len(payloads), _PIECE):
            streams = [*map(_stream_in, payloads[start : start + _PIECE])]
            ends = positions[start : start + _PIECE]
            begins = [self.position, *ends[:-1]]
            for column, more in zip(self._columns, _of_each(streams, begins, ends), strict=True):
                column.extend(more)
            self._events += len(streams)
            self.position = ends[-1]
            if self._events >= EVENTS:
                self.end()

    def end(self) -> None:
        """Close the last stretch, so that further events begin a new one."""
        self._whole = self.known()
        self._begin()

    def known(self) -> list[Stretch]:
        """Return the stretches in order."""
        if not self._events:
            return [*self._whole]
        many = len(self._columns[0]) > _MOST_PARTS
        parts = zip(*(_of_each(*self._columns) if many else self._columns), strict=True)
        # A shorter payload is not an event.
        entries = sorted(one for one in parts if len(one[0]) == _STREAM_BYTES)
        streams = array("Q", [int.from_bytes(one, "big") for one, _, _ in entries])
        typecode = typecode_of(self._after, self.position)
        begins = array(typecode, [begin - self._after for _, begin, _ in entries])
        ends = array(typecode, [end - self._after for _, _, end in entries])
        last = Stretch(self._after, self.position, self._events, streams, begins, ends)
        return [*self._whole, last]


def _of_each(streams: list[bytes], begins: Sequence[int], ends: Sequence[int]) -> _Columns:
    """Return each stream once, with its first begin and its last end."""
    distinct = set(streams)
    if len(distinct) <= _FEW:
        firsts = [*map(streams.index, distinct)]
        backwards = streams[::-1]
        lasts = [~backwards.index(one) for one in distinct]
        return [*distinct], [begins[place] for place in firsts], [ends[place] for place in lasts]
    # A dictionary keeps the last of several values for a key.
    first = dict(zip(reversed(streams), reversed(begins), strict=True))
    last = dict(zip(streams, ends, strict=True))
    return [*first], [*first.values()], [*map(last.__getitem__, first)]


def of_one(known: Sequence[Stretch], stream: int, after: int) -> list[tuple[int, int | None]]:
    """Return the ranges after a position that may hold events of a stream.

    Each range is the position before it and its end, None for the rest of the journal after the
    known stretches. Two ranges are joined if the gap is no longer than the first of them, because
    reading on is then faster than seeking.
    """
    later = known[bisect_right(known, after, key=_last_of) :]
    found: list[tuple[int, int | None]] = []
    reached, length = after, -1
    for begin, last in chain.from_iterable(one.ranges(stream) for one in later):
        if last > after:
            begins = max(after, begin)
            is_joined = begins - reached <= length
            found.append((found.pop()[0] if is_joined else begins, last))
            reached, length = last, last - begins
    end = max(after, known[-1].last if known else 0)
    begins = found.pop()[0] if end - reached <= length else end
    return [*found, (begins, None)]


def before_last(known: Sequence[Stretch], count: int) -> int:
    """Return a position followed by at least a number of the events in stretches, or by all."""
    for one in reversed(known):
        if count <= 0:
            return one.last
        count -= one.events
    return 0
