"""Map times to positions of events, and find where trials begin and end."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, NamedTuple

from track.events.codec import AT, TAG, envelope
from track.events.types import CATALOGUE, TrialCreated, TrialFinished, TrialRedacted, TrialStarted
from track.journals.journal import Batch

_STRETCH = 2048
"""The number of events in a stretch."""

_KINDS: dict[int, type[Any]] = {
    CATALOGUE[kind].tag: kind for kind in (TrialCreated, TrialStarted, TrialFinished)
}
_REDACTED = CATALOGUE[TrialRedacted].tag
_WATCHED = {*_KINDS, _REDACTED}


class Stretch(NamedTuple):
    """Consecutive events.

    Attributes
    ----------
    after, last
        the position after which they begin, and the position of the last one
    events
        the number of events
    earliest, latest
        the extremes of their times, since clocks may go backwards
    """

    after: int
    last: int
    events: int
    earliest: int
    latest: int


class Mark(NamedTuple):
    """An event that created, started or ended a trial.

    Attributes
    ----------
    position, at
        the position of the event, and its time in nanoseconds since 1970-01-01 UTC
    kind
        the class of the event
    stream
        the stream of the trial
    """

    position: int
    at: int
    kind: type[Any]
    stream: int


class Timeline:
    """The positions and times of the events of a journal."""

    def __init__(self) -> None:
        self.position = 0
        self.stretches: list[Stretch] = []
        self.marks: list[Mark] = []
        self.erased: set[int] = set()
        """The streams of erased trials"""
        self.first = self.last = (0, 0)
        """The position and time of the first and the last event; 0 without any"""

    def add(self, batch: Batch) -> None:
        """Add the next events."""
        positions, payloads = batch
        for start in range(0, len(payloads), _STRETCH):
            self._add(positions[start : start + _STRETCH], payloads[start : start + _STRETCH])

    def _add(self, positions: Any, payloads: list[bytes]) -> None:
        ends = [found for found in (envelope(payloads[0]), envelope(payloads[-1])) if found]
        if ends:
            self.first = self.first if self.first[0] else (positions[0], ends[0].at)
            self.last = positions[-1], ends[-1].at
        # Big-endian bytes sort like numbers. Payloads that are not events have no time; bounds that
        # are too wide are harmless.
        times = [payload[AT] for payload in payloads]
        bounds = int.from_bytes(min(times), "big"), int.from_bytes(max(times), "big")
        new = Stretch(self.position, positions[-1], len(payloads), *bounds)
        last = self.stretches[-1] if self.stretches else None
        if last is not None and last.events + new.events <= _STRETCH:
            earliest, latest = min(last.earliest, new.earliest), max(last.latest, new.latest)
            events = last.events + new.events
            self.stretches[-1] = Stretch(last.after, new.last, events, earliest, latest)
        else:
            self.stretches.append(new)
        self.position = positions[-1]
        tags = [payload[TAG] for payload in payloads]
        for index, tag in enumerate(tags):
            if tag and tag[0] in _WATCHED and (found := envelope(payloads[index])) is not None:
                if found.tag == _REDACTED:
                    self.erased.add(found.stream)
                else:
                    kind = _KINDS[found.tag]
                    self.marks.append(Mark(positions[index], found.at, kind, found.stream))

    def before(self, position: int) -> int:
        """Return the last stretch boundary at or before a position."""
        index = bisect_right(self.stretches, position, key=attrgetter("last"))
        if index < len(self.stretches):
            return self.stretches[index].after
        return self.position

    def backwards(self, position: int) -> Iterator[Stretch]:
        """Yield the stretches with events up to a position, the last one first."""
        index = bisect_left(self.stretches, position, key=attrgetter("last"))
        yield from reversed(self.stretches[: index + 1])

    def up_to(self, at_ns: int) -> tuple[int, int]:
        """Return two positions between which the events up to a time end.

        Returns
        -------
        The position up to which all events were recorded by then, and the position after which
        none was. Some of the events in between may have been.
        """
        whole = 0
        for stretch in self.stretches:
            if stretch.latest > at_ns:
                break
            whole = stretch.last
        some = whole
        for stretch in reversed(self.stretches):
            if stretch.last <= whole:
                break
            if stretch.earliest <= at_ns:
                some = stretch.last
                break
        return whole, some
