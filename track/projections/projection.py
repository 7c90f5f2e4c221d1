"""What a projection is, and how it catches up with a journal."""

from __future__ import annotations

from itertools import groupby
from typing import Protocol

from track.events.codec import decode
from track.events.columns import Columns, decode_columns
from track.events.journal import Journal
from track.events.types import Recorded


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
    for positions, payloads in journal.read_batches(projection.position):
        done = 0
        for _, group in groupby(payloads, len):
            run = list(group)
            columns = decode_columns(run)
            end = done + len(run)
            if columns is not None:
                projection.apply_columns(columns, positions[end - 1])
            else:
                for position, payload in zip(positions[done:end], run, strict=True):
                    projection.apply(decode(position, payload))
            done = end
