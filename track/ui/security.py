"""Protection of the page from other sites and from clients without the token."""

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
"""The headers of every response that does not set its own."""

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Rules(NamedTuple):
    """The rules for admitting requests.

    Attributes
    ----------
    hosts
        the accepted host names; any other may be an attempt at DNS rebinding
    token
        the secret that clients must present, None if none is required
    """

    hosts: tuple[str, ...] = LOOPBACK
    token: str | None = None


class Guard:
    """Middleware that admits requests by the rules and adds security headers to every response.

    Parameters
    ----------
    app
        the application for admitted requests
    rules
        see :class:`Rules`
    is_closing
        returns whether the server is shutting down
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
            # Requests that are still unanswered when the server shuts down are dropped.
            if not self._is_closing():
                raise

    def _admit(self, scope: Scope) -> ASGIApp:
        """Return the application that handles a request."""
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
        if _is_equal(_cookie_of(headers) or _bearer_of(headers), self._rules.token):
            return self._app
        return failure(403, "missing or wrong token: use the complete address that was printed")


def name_of(host: str) -> str:
    """Return the name in a ``Host`` header, without the port and in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() and "]" not in port else host).lower()


def _is_equal(given: str, wanted: str) -> bool:
    return compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())


def _bearer_of(headers: Headers) -> str:
    """Return the token that a program sends, which has no cookies."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token if kind.lower() == "bearer" else ""


def _cookie_of(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value
