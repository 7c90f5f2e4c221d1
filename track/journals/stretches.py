"""Note where in a journal the events of each stream are, so that they are found again."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from track.events.codec import STREAM

EVENTS = 4096
"""A stretch grows until it has so many."""

_PIECE = 256
"""Of so many events, the first and the last one of each stream are noted."""

_MOST_PARTS = 512
"""Where more of these are noted in a stretch, only the first and the last of them are kept."""

_FEW = 16
"""Up to so many streams, it is faster to look for each than to look at each event."""

_stream_in = itemgetter(STREAM)
_Columns = tuple[list[Any], list[Any], list[Any]]
_last_of = attrgetter("last")
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
        what each piece of them is about, in order
    begins
        behind which position, counted from ``after``, the first event of a stream in a piece is
    ends
        at which position, counted likewise, the last one in the piece is
    """

    after: int
    last: int
    events: int
    streams: array[int]
    begins: array[int]
    ends: array[int]

    def ranges(self, stream: int) -> Iterator[tuple[int, int]]:
        """Yield behind and up to which positions the events of a stream are."""
        start = bisect_left(self.streams, stream)
        end = bisect_right(self.streams, stream, start)
        for begin, last in zip(self.begins[start:end], self.ends[start:end], strict=True):
            yield self.after + begin, self.after + last


def typecode_of(after: int, last: int) -> str:
    """Return the type code of the positions in a stretch, counted from its beginning."""
    return "I" if last - after < 2**32 else "Q"


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
        self._columns: _Columns = [], [], []

    def add(self, positions: Sequence[int], payloads: list[bytes]) -> None:
        """Add the next events; those that were added before change nothing."""
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
        """Let the last stretch grow no more."""
        self._whole = self.known()
        self._begin()

    def known(self) -> list[Stretch]:
        """Return the stretches, in their order."""
        if not self._events:
            return [*self._whole]
        many = len(self._columns[0]) > _MOST_PARTS
        parts = zip(*(_of_each(*self._columns) if many else self._columns), strict=True)
        # What is shorter is no event.
        entries = sorted(one for one in parts if len(one[0]) == _STREAM_BYTES)
        streams = array("Q", [int.from_bytes(one, "big") for one, _, _ in entries])
        typecode = typecode_of(self._after, self.position)
        begins = array(typecode, [begin - self._after for _, begin, _ in entries])
        ends = array(typecode, [end - self._after for _, _, end in entries])
        last = Stretch(self._after, self.position, self._events, streams, begins, ends)
        return [*self._whole, last]


def _of_each(streams: list[bytes], begins: Sequence[int], ends: Sequence[int]) -> _Columns:
    """Return each stream with where it begins first, and where it ends last."""
    distinct = set(streams)
    if len(distinct) <= _FEW:
        firsts = [*map(streams.index, distinct)]
        backwards = streams[::-1]
        lasts = [~backwards.index(one) for one in distinct]
        return [*distinct], [begins[place] for place in firsts], [ends[place] for place in lasts]
    # Of several values for one key, a dictionary keeps the last one.
    first = dict(zip(reversed(streams), reversed(begins), strict=True))
    last = dict(zip(streams, ends, strict=True))
    return [*first], [*first.values()], [*map(last.__getitem__, first)]


def of_one(known: Sequence[Stretch], stream: int, after: int) -> list[tuple[int, int | None]]:
    """Return where the events of a stream behind a position may be: behind what, and up to what.

    What is between two ranges is longer than the first of them, or else they are joined: to read on
    is faster than to begin anew. What is behind the stretches that are known has no end.
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
    """Return a position behind which at least so many of the events in stretches are, or all."""
    for one in reversed(known):
        if count <= 0:
            return one.last
        count -= one.events
    return 0
