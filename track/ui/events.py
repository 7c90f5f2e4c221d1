"""Endpoints for events and for the timeline."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from track.events.codec import TAG, decode
from track.events.types import CATALOGUE, ProcessDescribed, Recorded
from track.journals.journal import Batch, Journal
from track.moment import to_moment
from track.projections.history import between, ends_by, is_within
from track.projections.streams import streams_of
from track.projections.timeline import Mark, Stretch, Timeline
from track.projections.trials import stream_of
from track.structure import Project, Trial, TrialGroup
from track.ui.answers import BadRequest, Parameters, answer, cut
from track.ui.store import Store

_EVENTS, _MOST_EVENTS = 200, 1000
_MOST_READ = 500_000
"""The most events read for one response; clients ask again for more."""

_AT_ONCE = 1000
_MOST_STRETCHES = 64
_MOST_MARKS = 500
_TAGS = {kind.__name__: known.tag for kind, known in CATALOGUE.items()}

_LABELS = {"TrialCreated": "created", "TrialStarted": "started", "TrialFinished": "finished"}


class Wanted(NamedTuple):
    """A filter of events by position, streams (all if none is given) and kind.

    After the position ``whole``, it admits events only up to the ends of their streams.
    """

    after: int
    before: int
    streams: tuple[int, ...]
    tags: frozenset[bytes]
    whole: int
    ends: Mapping[int, int]

    def has(self, position: int, payload: bytes) -> bool:
        """Return whether an event passes the filter."""
        is_there = self.after < position < self.before
        if not is_there or (self.tags and payload[TAG] not in self.tags):
            return False
        return position <= self.whole or is_within(self.ends, position, payload)


def get_events(store: Store, request: Request) -> Response:
    """Return events of the store or of a trial, oldest first."""
    known = Parameters(request.query_params, "after", "before", "limit", "trial", "kind", "at")
    limit = known.integer("limit", _EVENTS, least=1, most=_MOST_EVENTS)
    kinds = known.texts("kind", len(_TAGS))
    if unknown := [kind for kind in kinds if kind not in _TAGS]:
        raise BadRequest(f"unknown kind {unknown[0]!r}: use {', '.join(sorted(_TAGS))}")
    until, which = to_moment(known.text("at")), known.text("trial")
    is_forward = known.text("after") is not None
    with store.timeline() as (timeline, objects):
        streams = () if which is None else streams_of(store.find(objects, which).uid)
        before = known.integer("before", timeline.position + 1)
        if until.position is not None:
            before = min(before, until.position + 1)
        journal, whole, ends = store.reader.protocol.journal, timeline.position, dict[int, int]()
        if until.at_ns is not None:
            whole, some = timeline.up_to(until.at_ns)
            before = min(before, some + 1)
            ends = ends_by(between(journal, whole, some), until.at_ns)
        tags = frozenset(bytes((_TAGS[kind],)) for kind in kinds)
        wanted = Wanted(known.integer("after", 0), before, streams, tags, whole, ends)
        found = (_forwards if is_forward else _backwards)(journal, timeline, wanted, limit)
        events = [event(store.subjects.find(objects, one.stream), one) for one in found.events]
    return answer({"events": events, "first": found.first, "last": found.last, "more": found.more})


class _Found(NamedTuple):
    """Events, their first and last position, and whether there may be more in that direction."""

    events: list[Recorded]
    first: int | None
    last: int | None
    more: bool


def _backwards(journal: Journal, timeline: Timeline, wanted: Wanted, limit: int) -> _Found:
    """Return the last events that pass the filter, searching backwards from the end."""
    found: list[Recorded] = []
    window: list[Stretch] = []
    size, read = 1, 0
    begin = min(wanted.before - 1, timeline.position)
    for stretch in timeline.backwards(begin):
        window.append(stretch)
        if len(window) < size and stretch.after:
            continue  # read several at once: most may hold no events of the trial
        begin = stretch.after
        missing = limit + 1 - len(found)
        found = [*_between(journal, wanted, begin, window[0].last, missing), *found]
        read += sum(one.events for one in window)
        if len(found) > limit or read >= _MOST_READ:
            break
        window, size = [], min(2 * size, _MOST_STRETCHES)
    events = found[-limit:]
    last = events[-1].position if events else None
    if len(found) <= limit and begin:  # there may be more before what was read
        return _Found(events, begin + 1, last, more=True)
    return _Found(events, events[0].position if events else None, last, more=len(found) > limit)


def _forwards(journal: Journal, timeline: Timeline, wanted: Wanted, limit: int) -> _Found:
    """Return the first events that pass the filter."""
    found: list[Recorded] = []
    last, read = wanted.after, 0
    for positions, payloads in _read(journal, wanted, timeline.before(wanted.after)):
        found += _decoded(wanted, positions, payloads)
        last, read = max(last, positions[-1]), read + len(payloads)
        if len(found) > limit or read >= _MOST_READ or last >= wanted.before:
            break
    events = found[:limit]
    first = events[0].position if events else None
    if len(found) > limit:
        return _Found(events, first, events[-1].position, more=True)
    last = min(last, wanted.before - 1)
    return _Found(events, first, last if events or read else None, more=read >= _MOST_READ)


def _read(journal: Journal, wanted: Wanted, after: int) -> Iterator[Batch]:
    if not wanted.streams:
        return journal.read_batches(after)
    return merged([journal.read_stream(stream, after) for stream in wanted.streams])


def merged(streams: Iterable[Iterable[Batch]]) -> Iterator[Batch]:
    """Yield the events of several streams in order of position."""
    begun = [(first, rest) for rest in map(iter, streams) if (first := next(rest, None))]
    read = [chain([first], rest) for first, rest in begun]
    if len(read) == 1:  # most trials have a single stream
        yield from read[0]
        return
    events = heapq.merge(
        *(chain.from_iterable(zip(*one, strict=True) for one in batches) for batches in read)
    )
    while some := [*islice(events, _AT_ONCE)]:
        yield [position for position, _ in some], [payload for _, payload in some]


def _decoded(wanted: Wanted, positions: Any, payloads: list[bytes]) -> list[Recorded]:
    some = (pair for pair in zip(positions, payloads, strict=True) if wanted.has(*pair))
    return [decode(*pair) for pair in some]


def _between(journal: Journal, wanted: Wanted, after: int, last: int, most: int) -> list[Recorded]:
    """Return the last events that pass the filter within a range of positions."""
    found: deque[tuple[int, bytes]] = deque(maxlen=most)
    for positions, payloads in _read(journal, wanted, after):
        pairs = zip(positions, payloads, strict=True)
        found.extend(pair for pair in pairs if pair[0] <= last and wanted.has(*pair))
        if positions[-1] >= last:
            break
    return [decode(*pair) for pair in found]


def event(about: Project | TrialGroup | Trial | None, recorded: Recorded) -> dict[str, Any]:
    """Return an event and its subject in the form that the page shows."""
    return {
        "position": recorded.position,
        "time": recorded.at / 1e6,
        "kind": type(recorded.event).__name__,
        "subject": subject(about) or _process(recorded),
        "producer": str(recorded.producer),
        "payload": {name: cut(value) for name, value in recorded.event._asdict().items()},
    }


def subject(found: Project | TrialGroup | Trial | None) -> dict[str, Any] | None:
    """Return what identifies a project, group or trial, None if there is none."""
    if found is None:
        return None
    kind = "trial" if isinstance(found, Trial) else "group"
    if isinstance(found, Project):
        kind = "project"
    return {"kind": kind, "uid": found.uid, "name": cut(found.name)}


def _process(recorded: Recorded) -> dict[str, Any] | None:
    """Return the process that an event describes, None for other events."""
    if not isinstance(recorded.event, ProcessDescribed):
        return None
    name = f"{recorded.event.host} {recorded.event.pid}"
    return {"kind": "process", "uid": f"{recorded.stream:016x}", "name": cut(name)}


def get_moments(store: Store, request: Request) -> Response:
    """Return the ends of the time slider and its marks: the starts and ends of trials."""
    known = Parameters(request.query_params, "trial")
    which = known.text("trial")
    with store.timeline(makes_way=True) as (timeline, objects):
        marks = timeline.marks
        first, last = timeline.first, timeline.last
        if which is not None:
            stream = stream_of(store.find(objects, which).uid)
            marks = [mark for mark in marks if mark.stream == stream]
            end = timeline.position
            wanted = Wanted(0, end + 1, (stream,), frozenset(), end, {})
            ends = _backwards(store.reader.protocol.journal, timeline, wanted, 1).events
            if marks and ends:
                first = marks[0].position, marks[0].at
                last = ends[0].position, ends[0].at
        shown = [
            _mark(store.subjects.find(objects, mark.stream), mark)
            for mark in thinned(marks, _MOST_MARKS)
        ]
    store.prepare()
    return answer({"first": _place(*first), "last": _place(*last), "marks": shown})


def thinned(marks: list[Mark], most: int) -> list[Mark]:
    """Return at most `most` marks, spread evenly over all of them."""
    if len(marks) <= most:
        return marks
    return [marks[index * (len(marks) - 1) // (most - 1)] for index in range(most)]


def _mark(about: Project | TrialGroup | Trial | None, mark: Mark) -> dict[str, Any]:
    name = "a trial" if about is None else cut(about.name) or about.uid
    label = f"{name} {_LABELS[mark.kind.__name__]}"
    return {**_place(mark.position, mark.at), "label": label, "trial": about and about.uid}


def _place(position: int, at_ns: int) -> dict[str, Any]:
    return {"position": position, "time": at_ns / 1e6 if position else None}
