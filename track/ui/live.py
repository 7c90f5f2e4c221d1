"""Changes as server-sent events; clients resume where they lost the connection."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from track.errors import TrackError
from track.events.codec import envelope
from track.events.types import CATALOGUE
from track.structure import Trial
from track.ui.answers import Parameters, failure, one_line, to_json
from track.ui.store import Store

EVERY_S = 0.5
"""The time between two messages."""

_SILENCE_S = 15.0
"""The longest silence; intermediaries may close a connection that stays silent for longer."""

_LOOKS = 5
"""How often, between two messages, it checks whether the server is shutting down."""

_MOST_STREAMS = 64
_MOST_TRIALS = 500
_MOST_AT_ONCE = 200_000
"""The most events that one message covers."""

_MOST_DIGITS = 19
"""The most digits of a position."""

_NAMES = {known.tag: kind.__name__ for kind, known in CATALOGUE.items()}


def get_live(store: Store, request: Request) -> Response:
    """Return a stream of the changes after a position, by default from now on."""
    known = Parameters(request.query_params, "after")
    after: int | None = known.integer("after", 0) if known.text("after") else None
    resumed = request.headers.get("last-event-id", "")
    if resumed.isascii() and resumed.isdecimal() and len(resumed) < _MOST_DIGITS:
        after = int(resumed)
    if store.streams >= _MOST_STREAMS:
        return failure(503, f"{_MOST_STREAMS} pages are already open: close one")
    return StreamingResponse(
        stream(store, after),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
    )


async def stream(store: Store, after: int | None) -> AsyncIterator[bytes]:
    """Yield messages until the client disconnects or the server shuts down."""
    source = _Messages(store, after)
    store.streams += 1
    try:
        yield b"retry: 1000\n\n"
        spoke = time.monotonic()
        while not store.is_closing():
            message = await run_in_threadpool(source.next)
            if not message and time.monotonic() - spoke >= _SILENCE_S:
                message = b": nothing new\n\n"
            if message:
                yield message
                spoke = time.monotonic()
            for _ in range(_LOOKS):
                if not store.is_closing():
                    await anyio.sleep(EVERY_S / _LOOKS)
    finally:
        store.streams -= 1


class _Messages:
    """The messages for one client.

    Parameters
    ----------
    store
        the store to watch
    after
        the last position the client knows; None to report only changes from now on
    """

    def __init__(self, store: Store, after: int | None) -> None:
        self._store = store
        self._after = after
        self._problem = ""
        self._counts: dict[str, int] | None = None

    def next(self) -> bytes:
        """Return news, or that the store became unreadable or readable; usually nothing."""
        try:
            found, position, counts = changes(self._store, self._after)
        except (TrackError, OSError) as error:
            if one_line(error) == self._problem:
                return b""
            self._problem = one_line(error)
            return b"event: problem\ndata: %s\n\n" % to_json({"error": self._problem})
        message = b"event: problem\ndata: {}\n\n" if self._problem else b""
        before, self._counts = self._counts, counts
        self._problem, self._after = "", position
        if found is None and before not in (None, counts):
            # The death of a process that ran a trial leaves no event.
            told = {**_message(position, None, {}), "counts": counts}
            message += b"event: changes\ndata: %s\n\n" % to_json(told)
        if found is not None:
            message += b"id: %d\nevent: changes\ndata: %s\n\n" % (position, to_json(found))
        return message


def changes(store: Store, after: int | None) -> tuple[dict[str, Any] | None, int, dict[str, int]]:
    """Return the changes after a position, if any, together with the new position and counts."""
    begin = None if after is None else store.place_before(after)
    with store.glance() as glance:
        objects, head, counts = glance.objects, glance.position, glance.counts()
        if after is None or begin is None or after == head:
            store.handed_out(head)
            return None, head, counts
        if after > head:  # the store has been replaced
            store.handed_out(head)
            return {**_message(head, None, {}), "reset": True, "counts": counts}, head, counts
        kinds: dict[str, int] = {}
        streams: set[int] = set()
        count, last = 0, after
        for positions, payloads in store.reader.protocol.journal.read_batches(begin):
            for position, payload in zip(positions, payloads, strict=True):
                if after < position <= head:
                    found = envelope(payload)
                    kind = "Unknown" if found is None else _NAMES.get(found.tag, "Unknown")
                    kinds[kind] = kinds.get(kind, 0) + 1
                    streams.add(0 if found is None else found.stream)
                    last, count = position, count + 1
            if positions[-1] >= head or count >= _MOST_AT_ONCE:
                break
        store.handed_out(last)
        if not count:
            return None, head, counts
        known = (store.subjects.find(objects, one) for one in streams)
        uids = sorted({one.uid for one in known if isinstance(one, Trial)})
        trials = uids if len(uids) <= _MOST_TRIALS else None
        return {**_message(last, trials, kinds), "counts": counts}, last, counts


def _message(position: int, trials: list[str] | None, kinds: dict[str, int]) -> dict[str, Any]:
    return {"position": position, "trials": trials, "kinds": kinds}
