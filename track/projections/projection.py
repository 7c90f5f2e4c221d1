"""Define projections, and let them catch up with a journal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Protocol

from track.events.codec import STREAM, decode
from track.events.columns import (
    FEWEST,
    Columns,
    are_metrics,
    changes,
    decode_columns,
    is_metrics,
)
from track.events.types import Recorded
from track.journals.journal import Batch, Journal

_LONGEST_RUN = 2048

_GATHERED = 2**16
"""The least number of events in batches that were joined."""

_SOME = 64
"""The number of first events, and the stride of others, that show whether streams take turns."""

FEWEST_MIXED = 4 * FEWEST
"""The least number of events that are worth sorting by trial."""


class Projection(Protocol):
    """A fold of events, with the position it has reached.

    Applying an event at or before :attr:`position` changes nothing, so replaying is always safe.
    """

    position: int
    """The position of the last event applied."""

    def apply(self, recorded: Recorded) -> None:
        """Apply one event."""

    def apply_columns(self, columns: Columns, positions: Sequence[int]) -> None:
        """Apply many events, given with their positions."""


def catch_up(projection: Projection, journal: Journal) -> None:
    """Apply the events after the position of a projection."""
    fold(projection, journal.read_batches(projection.position))


def fold(projection: Projection, batches: Iterable[Batch]) -> None:
    """Apply the batches of events of a journal."""
    for batch in batches:
        if _take_turns(batch[1]):
            _fold_stretches(projection, *batch)
            continue
        positions, payloads = batch
        for start, end in _runs(payloads):
            piece = positions[start:end], payloads[start:end]
            if not _fold_alike(projection, *piece):
                _fold_stretches(projection, *piece)


def gathered(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Join consecutive batches, since a long one is faster to sort by trial."""
    positions: list[int] = []
    payloads: list[bytes] = []
    for more in batches:
        positions += more[0]
        payloads += more[1]
        if len(payloads) >= _GATHERED:
            yield positions, payloads
            positions, payloads = [], []
    if payloads:
        yield positions, payloads


def _take_turns(payloads: list[bytes]) -> bool:
    """Return whether some of the events, the first ones among them, are of several streams."""
    some = chain(payloads[:_SOME], payloads[::_SOME])
    return len({payload[STREAM] for payload in some}) > 1


def _fold_alike(projection: Projection, positions: Sequence[int], payloads: list[bytes]) -> bool:
    """Apply events if all of them have one shape, and return whether they have."""
    columns = decode_columns(payloads)
    if columns is not None:
        projection.apply_columns(columns, positions)
    return columns is not None


def _fold_stretches(
    projection: Projection, positions: Sequence[int], payloads: list[bytes]
) -> None:
    """Apply events of several shapes: runs of metrics, and the events between them, in order."""
    if len(payloads) < FEWEST_MIXED:
        _fold_each(projection, positions, payloads)
        return
    start = 0
    for end in changes(are_metrics(payloads)):
        fold_them = _fold_sorted if is_metrics(payloads[start]) else _fold_each
        fold_them(projection, positions[start:end], payloads[start:end])
        start = end


def _fold_sorted(projection: Projection, positions: Sequence[int], payloads: list[bytes]) -> None:
    """Apply metrics sorted by trial, as events of different trials may be applied in any order."""
    begin, last = projection.position, positions[-1]
    if len(payloads) >= FEWEST_MIXED:
        places: defaultdict[bytes, list[int]] = defaultdict(list)
        for index, payload in enumerate(payloads):
            places[payload[STREAM]].append(index)
        order = itemgetter(*chain.from_iterable(places.values()))
        positions, payloads = order(positions), [*order(payloads)]
    for start, end in _runs(payloads):
        projection.position = begin
        piece = positions[start:end], payloads[start:end]
        if not _fold_alike(projection, *piece):
            for recorded in map(decode, *piece):
                projection.position = begin
                projection.apply(recorded)
    projection.position = last


def _fold_each(projection: Projection, positions: Sequence[int], payloads: list[bytes]) -> None:
    for recorded in map(decode, positions, payloads):
        projection.apply(recorded)


def _runs(payloads: list[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the bounds of runs of payloads of equal length, limited to the processor's cache."""
    start = first = 0
    for end in changes([*map(len, payloads)]):
        if end - first >= FEWEST:  # fewer are not worth a look at their shape
            if start < first:
                yield start, first
            for begin in range(first, end, _LONGEST_RUN):
                yield begin, min(begin + _LONGEST_RUN, end)
            start = end
        first = end
    if start < first:
        yield start, first
