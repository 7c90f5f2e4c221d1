"""Protect the page from other sites, and from clients without the token."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from track.ui.answers import failure

COOKIE = "track_token"

_POLICY = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self'; "
    "img-src 'self' data: blob:; "
    "media-src 'self' blob:; "
    "connect-src 'self'; "
    "font-src 'self'; "
    "frame-src 'self'; "
    "base-uri 'none'; "
    "form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""Of every answer that does not say otherwise."""

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Rules(NamedTuple):
    """Whom a store is shown to.

    Attributes
    ----------
    hosts
        what the server may be called; any other name is one that leads here by a trick
    token
        what everybody has to know, None when nobody has to
    """

    hosts: tuple[str, ...] = LOOPBACK
    token: str | None = None


class Guard:
    """Lets requests in that keep the rules, and says in each answer what a browser may do with it.

    Parameters
    ----------
    app
        what answers those that are let in
    rules
        see :class:`Rules`
    is_closing
        tells whether the server is about to end
    """

    def __init__(self, app: ASGIApp, rules: Rules, is_closing: Callable[[], bool]) -> None:
        self._app = app
        self._rules = rules
        self._is_closing = is_closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._admit(scope)(scope, receive, send_guarded)
        except CancelledError:
            # Whoever waits for a long answer at the end of the server gets none.
            if not self._is_closing():
                raise

    def _admit(self, scope: Scope) -> ASGIApp:
        """Return who answers a request."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or name_of(hosts[0]) not in self._rules.hosts:
            return failure(421, "unknown host name: use the address that the server printed")
        if self._rules.token is None:
            return self._app
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if given and _is_equal(given, self._rules.token):
            response = RedirectResponse(scope["path"], 303)
            response.set_cookie(COOKIE, given, httponly=True, samesite="strict", path="/")
            return response
        if _is_equal(_cookie_of(headers), self._rules.token):
            return self._app
        return failure(403, "the token is missing or wrong: use the whole address that was printed")


def name_of(host: str) -> str:
    """Return the name in a ``Host`` header, without its port, in small letters."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() and "]" not in port else host).lower()


def _is_equal(given: str, wanted: str) -> bool:
    return compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())


def _cookie_of(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value
