"""Count the requests that are being answered, so that work nobody waits for makes way for them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from starlette.types import ASGIApp, Receive, Scope, Send

_QUIET_S = 0.1
"""The time after a request in which a page that is being opened asks for more."""

_LOOK_S = 0.01
_LONGEST_S = 0.25

_STREAMS = frozenset(("/api/live",))
"""Paths of requests that do not end."""


class Requests:
    """The requests that are being answered.

    A thread that computes hands the interpreter to the others only every five milliseconds, and an
    answer needs it many times. So computing beside a page that is being opened delays it much more
    than the processor time that it takes.

    Parameters
    ----------
    longest_s
        the longest time for which work makes way
    """

    def __init__(self, longest_s: float = _LONGEST_S) -> None:
        self._longest_s = longest_s
        self._lock = Lock()
        self._running = 0
        self._ended_s = 0.0

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count a request within the block."""
        self._add(1)
        try:
            yield
        finally:
            self._ended_s = time.monotonic()
            self._add(-1)

    @contextmanager
    def one_less(self) -> Iterator[None]:
        """Leave out a request that makes way for the others within the block."""
        self._add(-1)
        try:
            yield
        finally:
            self._add(1)

    def _add(self, number: int) -> None:
        with self._lock:
            self._running += number

    def make_way(self) -> None:
        """Wait until no request is running and none is about to follow, but not for long."""
        until_s = time.monotonic() + self._longest_s
        while (now := time.monotonic()) < until_s:
            if self._running <= 0 and now - self._ended_s > _QUIET_S:
                return
            time.sleep(_LOOK_S)


class Counted:
    """Middleware that counts the requests.

    Parameters
    ----------
    app
        the application that answers them
    requests
        where they are counted
    """

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _STREAMS:
            await self._app(scope, receive, send)
            return
        with self._requests.one_more():
            await self._app(scope, receive, send)
