"""Define the endpoints for the media of a trial, and for what was measured of its machines."""

from __future__ import annotations

from math import isnan
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from track.errors import ItemNotFound
from track.events.codec import decode
from track.projections.media import LoggedMedium, media_in, media_stream
from track.projections.system import SystemMetrics
from track.ui.answers import Parameters, answer, cut, milliseconds
from track.ui.files import POLICY
from track.ui.store import Store

_MOST_MEDIA = 5000
"""In one answer: the latest ones."""

_MOST_SAMPLES = 1000
"""Points of a curve of a machine; of more samples, each point is the largest of some."""

_SHOWN = ("image/", "audio/", "text/plain", "text/html", "application/json")
"""Beginnings of the types that a browser may show; all others are for saving."""


def get_media(store: Store, request: Request) -> Response:
    """Return what is known of the media of a trial, without their contents."""
    known = Parameters(request.query_params, "trial", "at")
    at = known.text("at")
    with store.glance(at) as glance:
        uid = glance.find(known.needed("trial")).uid
        found = store.reader.media(uid, at=at)
    return answer({"total": len(found), "media": [*map(_described, found[-_MOST_MEDIA:])]})


def _described(medium: LoggedMedium) -> dict[str, Any]:
    facts = {key: value for key, value in medium._asdict().items() if key not in ("at", "data")}
    facts["facts"] = {name: cut(value) for name, value in medium.facts.items()}
    facts |= {"step": cut(medium.step), "caption": cut(medium.caption)}
    return {**facts, "time": milliseconds(medium.at * 1e-9)}


def get_medium(store: Store, request: Request) -> Response:
    """Return the content of a medium, which no browser may trust."""
    known = Parameters(request.query_params, "trial", "position", "name", "place")
    position, place = known.integer("position", 0, least=1), known.integer("place", 0)
    name = known.needed("name")
    with store.glance() as glance:
        uid = glance.find(known.needed("trial")).uid
        batches = store.reader.protocol.journal.read_stream(media_stream(uid), position - 1)
        first = next(iter(batches), None)
        there = [] if first is None else media_in([decode(first[0][0], first[1][0])])
        wanted = position, name, place
        medium = next((m for m in there if (m.position, m.name, m.place) == wanted), None)
        if medium is None:
            raise ItemNotFound(f"the trial {uid} logged no medium {name!r} at {position}")
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
    """Return what the processes of a trial measured of their machines."""
    known = Parameters(request.query_params, "trial", "at")
    at = known.text("at")
    with store.glance(at) as glance:
        uid = glance.find(known.needed("trial")).uid
        found = store.reader.system_metrics(uid, at=at)
    return answer({"processes": [*map(_columns, found)]})


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
