"""Deliver events that were recorded elsewhere to a journal, exactly once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from track.journals.journal import Journal, PartialDuplicate

_LATE_ARRIVALS = 5
"""How often a part of a batch may turn out to have arrived meanwhile."""

_Item = TypeVar("_Item")
Identify = Callable[[_Item], "tuple[int, int] | None"]
"""Returns the producer and the sequence of an event; None when it is no event."""


def deliver(
    target: Journal,
    batch: Sequence[_Item],
    identify: Identify[_Item],
    append: Callable[[Sequence[_Item]], None],
    *,
    is_new: bool = False,
    turn: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> int:
    """Have a journal take what it lacks of a batch, and return how many events that were.

    Parameters
    ----------
    target
        the journal
    batch
        events in their order, in any form
    identify
        tells who recorded one
    append
        appends events to the target as of :meth:`~track.journals.journal.Journal.append_foreign`
    is_new
        whether nothing of the batch can have arrived
    turn
        keeps others out who deliver to the same target, if it does not do so itself

    Raises
    ------
    JournalError
        it was not delivered, or not as a whole: deliver it again
    """
    late_arrivals = 0
    while True:
        try:
            with turn():
                lacking = batch if is_new else missing(batch, identify, target.last_sequence)
                append(lacking)
                return len(lacking)
        except PartialDuplicate:  # noqa: PERF203 - one more attempt for each
            # What a connection carried that was lost may arrive after it was looked for.
            late_arrivals += 1
            if late_arrivals > _LATE_ARRIVALS:
                raise
            is_new = False


def missing(
    batch: Sequence[_Item], identify: Identify[_Item], last_sequence: Callable[[int], int]
) -> list[_Item]:
    """Return the events of a batch that have not arrived, each once; what is no event may have.

    The sequences of a producer grow along a journal, so what has arrived ends with the last one.
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
