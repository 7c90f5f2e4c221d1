"""Define projections, and let them catch up with a journal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, count, islice
from operator import ne
from typing import Protocol

from track.events.codec import STREAM, decode
from track.events.columns import FEWEST, Columns, are_metrics, decode_columns, is_metrics
from track.events.types import Recorded
from track.journals.journal import Batch, Journal

_LONGEST_RUN = 2048

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
    for positions, payloads in batches:
        for start, end in _runs(payloads):
            piece = positions[start:end], payloads[start:end]
            if not _fold_alike(projection, *piece):
                for stretch in _stretches(*piece):
                    _fold_mixed(projection, *stretch)


def _fold_alike(projection: Projection, positions: Sequence[int], payloads: list[bytes]) -> bool:
    """Apply events if all of them have one shape, and return whether they have."""
    columns = decode_columns(payloads)
    if columns is not None:
        projection.apply_columns(columns, positions)
    return columns is not None


def _stretches(
    positions: Sequence[int], payloads: list[bytes]
) -> Iterator[tuple[Sequence[int], list[bytes]]]:
    """Yield runs of consecutive metrics events and the events between them, in order."""
    if len(payloads) < FEWEST_MIXED:
        yield positions, payloads
        return
    start = 0
    for end in _changes(are_metrics(payloads)):
        yield positions[start:end], payloads[start:end]
        start = end


def _fold_mixed(projection: Projection, positions: Sequence[int], payloads: list[bytes]) -> None:
    """Apply events of several shapes.

    Metrics of several trials are sorted by trial and applied together, since events of different
    trials may be applied in any order.
    """
    if len(payloads) >= FEWEST_MIXED and is_metrics(payloads[0]):
        by_stream: defaultdict[bytes, list[int]] = defaultdict(list)
        for index, payload in enumerate(payloads):
            by_stream[payload[STREAM]].append(index)
        if len(by_stream) > 1:
            begin = projection.position
            for indexes in by_stream.values():
                places = [positions[index] for index in indexes]
                found_payloads = [payloads[index] for index in indexes]
                projection.position = begin
                for start, end in _runs(found_payloads):
                    piece = places[start:end], found_payloads[start:end]
                    if not _fold_alike(projection, *piece):
                        _fold_each(projection, *piece)
            projection.position = positions[-1]
            return
    _fold_each(projection, positions, payloads)


def _fold_each(projection: Projection, positions: Sequence[int], payloads: list[bytes]) -> None:
    for recorded in map(decode, positions, payloads):
        projection.apply(recorded)


def _runs(payloads: list[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the bounds of runs of payloads of equal length, limited to the processor's cache."""
    start = first = 0
    for end in _changes([*map(len, payloads)]):
        if end - first >= FEWEST:  # fewer are not worth a look at their shape
            if start < first:
                yield start, first
            for begin in range(first, end, _LONGEST_RUN):
                yield begin, min(begin + _LONGEST_RUN, end)
            start = end
        first = end
    if start < first:
        yield start, first


def _changes(values: list[int] | list[bool]) -> list[int]:
    """Return where a value differs from the one before, and the end."""
    differ = map(ne, values, islice(values, 1, None))
    return [*compress(count(1), differ), len(values)]
