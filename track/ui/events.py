"""The endpoints about events: what happened, and what happens."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from track.events.codec import decode
from track.events.types import Recorded
from track.moment import to_moment
from track.projections.objects import Objects
from track.projections.trials import stream_of
from track.structure import Project, Trial
from track.ui.answers import Parameters, answer, cut, to_json
from track.ui.store import Store

_EVENTS, _MOST_EVENTS = 200, 1000

_EVERY_S = 0.5
"""Time between two messages of a live stream."""

_SILENCE_S = 15.0
"""A connection that says nothing for longer than this, somebody on the way may close."""

_MOST_TRIALS = 500
_MOST_AT_ONCE = 200_000
"""Events that one message is about."""


def get_events(store: Store, request: Request) -> Response:
    """Return events of the store or a trial, the newest last."""
    known = Parameters(request.query_params, "after", "before", "limit", "trial", "kind", "at")
    after, before = known.integer("after", 0), known.integer("before", 2**62)
    limit = known.integer("limit", _EVENTS, least=1, most=_MOST_EVENTS)
    kinds, until = known.texts("kind", 50), to_moment(known.text("at"))
    which, forward = known.text("trial"), known.text("after") is not None
    with store.glance() as glance:
        stream = None if which is None else stream_of(glance.find(which).uid)
        journal = store.reader.protocol.journal
        batches = (
            journal.read_batches(after) if stream is None else journal.read_stream(stream, after)
        )
        kept: deque[Recorded] = deque(maxlen=limit)
        for positions, payloads in batches:
            for recorded in map(decode, positions, payloads):
                if recorded.position >= before:
                    break
                if until.position is not None and recorded.position > until.position:
                    break
                if until.at_ns is not None and recorded.at > until.at_ns:
                    continue
                if not kinds or type(recorded.event).__name__ in kinds:
                    kept.append(recorded)
                    if forward and len(kept) == limit:
                        break
            if forward and len(kept) == limit:
                break
        events = [event(glance.objects, one) for one in kept]
    first, last = (kept[0].position, kept[-1].position) if kept else (None, None)
    return answer({"events": events, "first": first, "last": last})


def event(objects: Objects, recorded: Recorded) -> dict[str, Any]:
    """Return an event as the page shows it."""
    return {
        "position": recorded.position,
        "time": recorded.at / 1e6,
        "kind": type(recorded.event).__name__,
        "subject": subject(objects, recorded.stream),
        "producer": str(recorded.producer),
        "payload": {name: cut(value) for name, value in recorded.event._asdict().items()},
    }


def subject(objects: Objects, stream: int) -> dict[str, Any] | None:
    """Return whom the events of a stream are about, None when that is not known."""
    found = objects.by_stream.get(stream) or objects.parts.get(stream)
    if found is None:
        return None
    kind = "trial" if isinstance(found, Trial) else "project"
    if not isinstance(found, (Trial, Project)):
        kind = "group"
    return {"kind": kind, "uid": found.uid, "name": cut(found.name)}


def get_live(store: Store, request: Request, is_closing: Callable[[], bool]) -> Response:
    """Return a stream of what changes, as server-sent events."""
    known = Parameters(request.query_params, "after")
    after: int | None = known.integer("after", 0) if known.text("after") else None
    resumed = request.headers.get("last-event-id", "")
    if resumed.isascii() and resumed.isdecimal() and len(resumed) < 20:  # noqa: PLR2004 - 64 bits
        after = int(resumed)
    return StreamingResponse(
        _stream(store, after, is_closing),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
    )


async def _stream(
    store: Store, after: int | None, is_closing: Callable[[], bool]
) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    spoke = time.monotonic()
    while not is_closing():
        found = await run_in_threadpool(changes, store, after)
        if found is not None:
            message, after = found
            if message:
                yield b"id: %d\nevent: changes\ndata: %s\n\n" % (after, to_json(message))
                spoke = time.monotonic()
        if time.monotonic() - spoke >= _SILENCE_S:
            yield b": nothing new\n\n"
            spoke = time.monotonic()
        await anyio.sleep(_EVERY_S)


def changes(store: Store, after: int | None) -> tuple[dict[str, Any], int] | None:
    """Return what changed behind a position, and up to where."""
    with store.glance() as glance:
        if after is None:
            return {}, glance.position
        kinds: dict[str, int] = {}
        streams: set[int] = set()
        count, last = 0, after
        for positions, payloads in store.reader.protocol.journal.read_batches(after):
            for position, payload in zip(positions, payloads, strict=True):
                if position > glance.position:
                    break
                recorded = decode(position, payload)
                kind = type(recorded.event).__name__
                kinds[kind] = kinds.get(kind, 0) + 1
                streams.add(recorded.stream)
                last, count = position, count + 1
            if count >= _MOST_AT_ONCE:
                break
        if not count:
            return None
        found = [subject(glance.objects, stream) for stream in streams]
        uids = sorted({one["uid"] for one in found if one is not None and one["kind"] == "trial"})
        counts: dict[str, int] = {}
        for one in glance.trials():
            counts[one.status or "none"] = counts.get(one.status or "none", 0) + 1
        return {
            "position": last,
            "trials": uids if len(uids) <= _MOST_TRIALS else None,
            "kinds": kinds,
            "counts": counts,
        }, last
