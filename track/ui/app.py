"""The web application: its routes and its error handling."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from track.errors import (
    BackendError,
    ConcurrentWrite,
    ItemNotFound,
    QueryError,
    StoreNotFound,
    TrackError,
)
from track.ui.answers import BadRequest, failure, one_line
from track.ui.changing import archive, restore
from track.ui.comparing import get_columns, get_diff, get_origins
from track.ui.events import get_events, get_moments
from track.ui.files import get_file
from track.ui.images import get_images
from track.ui.live import get_live
from track.ui.media import get_media, get_medium, get_system
from track.ui.output import get_output
from track.ui.overwritten import get_overwritten
from track.ui.prometheus import get_prometheus
from track.ui.requests import Counted
from track.ui.security import Guard, Rules
from track.ui.series import get_series
from track.ui.store import Store
from track.ui.trials import get_store, get_trial, get_trials

STATIC = Path(__file__).parent / "static"

_COMPRESSION = 5
"""Higher levels take several times as long for columns of numbers, and save nothing."""

Endpoint = Callable[[Store, Request], Response]


def make_app(store: Store, rules: Rules) -> Starlette:
    """Return the application that shows a store.

    Parameters
    ----------
    store
        the store to show
    rules
        who may see it
    """

    def endpoint(answer: Endpoint) -> Callable[[Request], Response]:
        return lambda request: answer(store, request)

    routes = [
        Route("/", _index),
        Route("/api/store", endpoint(get_store)),
        Route("/api/trials", endpoint(get_trials)),
        Route("/api/trial/{uid}", endpoint(get_trial)),
        Route("/api/series", endpoint(get_series)),
        Route("/api/media", endpoint(get_media)),
        Route("/api/images", endpoint(get_images)),
        Route("/api/medium", endpoint(get_medium)),
        Route("/api/system", endpoint(get_system)),
        Route("/api/output", endpoint(get_output)),
        Route("/api/events", endpoint(get_events)),
        Route("/api/moments", endpoint(get_moments)),
        Route("/api/overwritten", endpoint(get_overwritten)),
        Route("/api/live", endpoint(get_live)),
        Route("/api/columns", endpoint(get_columns)),
        Route("/api/diff", endpoint(get_diff)),
        Route("/api/origins", endpoint(get_origins)),
        Route("/api/file", endpoint(get_file)),
        Route("/api/trial/{uid}/archive", endpoint(archive), methods=["POST"]),
        Route("/api/trial/{uid}/restore", endpoint(restore), methods=["POST"]),
        Route("/metrics", endpoint(get_prometheus)),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    errors: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        BadRequest: _failed,
        TrackError: _failed,
        OSError: _failed,
        HTTPException: _refused,
    }
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(Guard, rules=rules, is_closing=store.is_closing),
            Middleware(Counted, requests=store.requests),
            Middleware(GZipMiddleware, minimum_size=1000, compresslevel=_COMPRESSION),
        ],
        exception_handlers=errors,
    )


def _index(request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return failure(error.status_code, f"{request.url.path}: {error.detail}")


async def _failed(request: Request, error: Exception) -> Response:
    """Return a response that explains the error in one sentence."""
    message = one_line(error)
    if isinstance(error, (BadRequest, QueryError, BackendError)):
        return failure(400, message)
    if isinstance(error, ItemNotFound) and not isinstance(error, StoreNotFound):
        return failure(404, message)
    return failure(409 if isinstance(error, ConcurrentWrite) else 503, message)
