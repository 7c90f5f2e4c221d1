"""What a projection is, and how it catches up with a journal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Protocol

from track.events.codec import decode
from track.events.columns import FEWEST, Columns, decode_columns
from track.events.types import Recorded
from track.journals.journal import Batch, Journal

_LONGEST_RUN = 2048


class Projection(Protocol):
    """A fold of events, and how far it got.

    Applying an event at or before :attr:`position` changes nothing, so replaying is always safe.
    """

    position: int
    """The checkpoint: position of the last event applied."""

    def apply(self, recorded: Recorded) -> None:
        """Fold one event in."""

    def apply_columns(self, columns: Columns, position: int) -> None:
        """Fold in many events, the last of which is at ``position``."""


def catch_up(projection: Projection, journal: Journal) -> None:
    """Fold in what was appended since the projection's checkpoint."""
    fold(projection, journal.read_batches(projection.position))


def fold(projection: Projection, batches: Iterable[Batch]) -> None:
    """Fold in events, as a journal yields them."""
    for positions, payloads in batches:
        for start, end in _runs(payloads):
            columns = decode_columns(payloads[start:end])
            if columns is not None:
                projection.apply_columns(columns, positions[end - 1])
            else:
                for recorded in map(decode, positions[start:end], payloads[start:end]):
                    projection.apply(recorded)


def _runs(payloads: list[bytes]) -> Iterator[tuple[int, int]]:
    """Yield bounds of payloads of equal length, as long as a cache likes them, and of the rest."""
    start = end = 0
    for _, group in groupby(map(len, payloads)):
        first, end = end, end + len(list(group))
        if end - first < FEWEST:
            continue  # not worth a look at their shape: they join what is around them
        if start < first:
            yield start, first
        for start in range(first, end, _LONGEST_RUN):
            yield start, min(start + _LONGEST_RUN, end)
        start = end
    if start < end:
        yield start, end
