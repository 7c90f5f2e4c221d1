"""Endpoints for the media and the system metrics of a trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isnan
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from track.errors import ItemNotFound
from track.events.codec import decode
from track.events.types import Recorded
from track.moment import to_moment
from track.projections.media import LoggedMedium, media_in, media_stream
from track.projections.system import SystemMetrics, system_metrics, system_stream
from track.reading.history import decoded
from track.ui.answers import Parameters, answer, cut, milliseconds
from track.ui.files import POLICY
from track.ui.store import Store

_MOST_MEDIA = 5000
"""The most media in one response: the latest ones."""

_MOST_SAMPLES = 1000
"""The most points per system metric; of more samples, each point is the maximum of several."""

_SHOWN = ("image/", "audio/", "text/plain", "text/html", "application/json")
"""Prefixes of the media types that a browser may show; all others are downloaded."""


def get_media(store: Store, request: Request) -> Response:
    """Return descriptions of the media of a trial, without their contents."""
    position, events = events_beside(store, request, media_stream)
    found = [*media_in(events)]
    media = [*map(described, found[-_MOST_MEDIA:])]
    return answer({"position": position, "total": len(found), "media": media})


def events_beside(
    store: Store, request: Request, stream_of: Callable[[str], int]
) -> tuple[int, Iterator[Recorded]]:
    """Return the events of a trial's stream, and the position up to which they are complete."""
    known = Parameters(request.query_params, "trial", "at", "after")
    at, after = known.text("at"), known.integer("after", 0)
    begin = store.place_before(after) if after else 0
    with store.glance(at) as glance:
        uid, position = glance.find(known.needed("trial")).uid, glance.position
        store.handed_out(position)
    batches = store.reader.protocol.journal.read_stream(stream_of(uid), begin)
    events = decoded(batches, to_moment(position if at is None else at))
    return position, (recorded for recorded in events if recorded.position > after)


def described(medium: LoggedMedium) -> dict[str, Any]:
    """Return what is known of a medium, without its content."""
    facts = {key: value for key, value in medium._asdict().items() if key not in ("at", "data")}
    facts["facts"] = {name: cut(value) for name, value in medium.facts.items()}
    facts |= {"step": cut(medium.step), "caption": cut(medium.caption)}
    return {**facts, "time": milliseconds(medium.at * 1e-9)}


def get_medium(store: Store, request: Request) -> Response:
    """Return the content of a medium, which browsers must not trust."""
    known = Parameters(request.query_params, "trial", "position", "name", "place")
    position, place = known.integer("position", 0, least=1), known.integer("place", 0)
    name, after = known.needed("name"), store.place_before(position - 1)
    with store.glance() as glance:
        uid = glance.find(known.needed("trial")).uid
        batches = store.reader.protocol.journal.read_stream(media_stream(uid), after)
        pairs = (pair for batch in batches for pair in zip(*batch, strict=True))
        found = next((pair for pair in pairs if pair[0] >= position), (0, b""))
        there = media_in([decode(*found)] if found[0] == position else [])
        medium = next((one for one in there if (one.name, one.place) == (name, place)), None)
        if medium is None:
            raise ItemNotFound(f"trial {uid} has no medium {name!r} at position {position}")
        content = store.reader.content_of(medium)
    is_shown = medium.mime.startswith(_SHOWN)
    file = quote(f"{name}-{medium.step}".encode("utf-8", "replace"), safe="")
    headers = {
        "Cache-Control": "private, max-age=86400, immutable",
        "Content-Disposition": f"{'inline' if is_shown else 'attachment'}; filename*=UTF-8''{file}",
        "Content-Security-Policy": POLICY,
    }
    kind = medium.mime if is_shown else "application/octet-stream"
    return Response(content, media_type=kind, headers=headers)


def get_system(store: Store, request: Request) -> Response:
    """Return the system metrics that the processes of a trial sampled."""
    position, events = events_beside(store, request, system_stream)
    processes = [*map(_columns, system_metrics(events))]
    return answer({"position": position, "processes": processes})


def _columns(metrics: SystemMetrics) -> dict[str, Any]:
    each = -(-len(metrics.times) // _MOST_SAMPLES)
    starts = range(0, len(metrics.times), each)
    return {
        "host": cut(metrics.host),
        "pid": metrics.pid,
        "rank": metrics.rank,
        "each": each,
        "times": [milliseconds(metrics.times[start] * 1e-9) for start in starts],
        "values": {
            name: [_most(values[start : start + each]) for start in starts]
            for name, values in sorted(metrics.values.items())
        },
    }


def _most(values: Any) -> float | None:
    return max((value for value in values if not isnan(value)), default=None)
