"""Deliver events that were recorded elsewhere to a journal, exactly once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from track.events.codec import identify as identify_payload
from track.journals.journal import Journal, PartialDuplicate
from track.utils.forking import ForkSafeLock

_LATE_ARRIVALS = 5
"""The number of retries after a part of a batch has arrived meanwhile."""

_Item = TypeVar("_Item")
Identify = Callable[[_Item], "tuple[int, int] | None"]
"""Returns the producer and the sequence of an event, None if it is not an event."""


def deliver(
    target: Journal,
    batch: Sequence[_Item],
    identify: Identify[_Item],
    append: Callable[[Sequence[_Item]], None],
    *,
    is_new: bool = False,
    turn: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> int:
    """Append the events of a batch that a journal lacks, and return their number.

    Parameters
    ----------
    target
        the journal
    batch
        events in order, in any form
    identify
        returns the producer and the sequence of one
    append
        appends events to the target as for :meth:`~track.journals.journal.Journal.append_foreign`
    is_new
        whether no event of the batch can have arrived before
    turn
        excludes other deliveries to the same target, if it does not do so itself

    Raises
    ------
    JournalError
        the batch was not delivered completely: deliver it again
    """
    late_arrivals = 0
    while True:
        try:
            with turn():
                lacking = batch if is_new else missing(batch, identify, target.last_sequence)
                append(lacking)
                return len(lacking)
        except PartialDuplicate:  # noqa: PERF203 - each attempt may fail
            # Data of a lost connection may arrive after the check for it.
            late_arrivals += 1
            if late_arrivals > _LATE_ARRIVALS:
                raise
            is_new = False


def missing(
    batch: Sequence[_Item], identify: Identify[_Item], last_sequence: Callable[[int], int]
) -> list[_Item]:
    """Return the events of a batch that have not arrived, without duplicates.

    The sequences of a producer grow along a journal, so a target has all events up to the last one.
    """
    found = []
    last: dict[int, int] = {}
    for item in batch:
        identity = identify(item)
        if identity is not None:
            producer, sequence = identity
            if producer not in last:
                last[producer] = last_sequence(producer)
            if sequence <= last[producer]:
                continue
            last[producer] = sequence
        found.append(item)
    return found


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
                for name, sequence in filter(None, map(identify_payload, payloads)):
                    self._last[name] = max(sequence, self._last.get(name, 0))
                self._position = positions[-1]
            return self._last.get(producer, 0)
