"""What happened to one trial, and how things stood at some moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from track.events.codec import stream_id
from track.events.types import Recorded
from track.projections.objects import Objects


def trial_events(events: Iterable[Recorded], uid: str) -> Iterator[Recorded]:
    """Yield the events of one trial, in order."""
    stream = stream_id("trial", uid)
    return (recorded for recorded in events if recorded.stream == stream)


def until(
    events: Iterable[Recorded], *, position: int | None = None, at_ns: int | None = None
) -> Iterator[Recorded]:
    """Yield the events up to a position, or those recorded up to a time, both included.

    Parameters
    ----------
    events
        in the order of a journal
    position
        of the last event wanted
    at_ns
        wall time in nanoseconds since 1970-01-01 UTC. Clocks of several producers may disagree, so
        a later event can be left out while one behind it is taken.
    """
    for recorded in events:
        if position is not None and recorded.position > position:
            return
        if at_ns is None or recorded.at <= at_ns:
            yield recorded


def as_of(
    events: Iterable[Recorded], *, position: int | None = None, at_ns: int | None = None
) -> Objects:
    """Return every object as it stood at a position or a time, see :func:`until`."""
    objects = Objects()
    for recorded in until(events, position=position, at_ns=at_ns):
        objects.apply(recorded)
    return objects
