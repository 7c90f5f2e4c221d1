"""Endpoints that archive and restore trials, if writing is allowed."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from track.persistence import get_protocol
from track.persistence.protocol import Protocol
from track.structure import Trial
from track.ui.answers import Parameters, answer, failure
from track.ui.store import Store

HEADER = "x-track"
"""A header that other sites cannot send: forms lack it, and scripts fail the preflight request."""


def archive(store: Store, request: Request) -> Response:
    """Archive a trial, which hides it from lists."""
    return _change(store, request, lambda protocol, trial: protocol.archive_trial(trial))


def restore(store: Store, request: Request) -> Response:
    """Restore an archived trial."""
    return _change(store, request, lambda protocol, trial: protocol.restore_trial(trial))


def _change(store: Store, request: Request, change: Callable[[Protocol, Trial], None]) -> Response:
    Parameters(request.query_params)
    if not store.is_writable:
        return failure(403, "this page is read-only: start it with --write to allow changes")
    origin = request.headers.get("origin")
    if request.headers.get(HEADER) != "1" or (
        origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    ):
        return failure(403, "only the page itself may make changes")
    with store.glance() as glance:
        uid = glance.find(request.path_params["uid"]).uid
    protocol = store.writer(get_protocol)
    digest, _, revision = uid.rpartition("_")
    known = protocol.fetch_trials({"uid": uid}) or protocol.fetch_archived_trials({"uid": uid})
    if not known:
        return failure(409, f"trial {digest}_{revision} cannot be changed: only part of it is left")
    change(protocol, known[0])
    with store.glance() as glance:
        return answer({"uid": uid, "position": glance.position})
