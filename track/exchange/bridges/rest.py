"""A client for JSON over HTTP that retries, built on the standard library."""

from __future__ import annotations

import json
import random
import ssl
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, BinaryIO, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from track.errors import PushFailed
from track.exchange.bridges.contract import Refused, Unreachable

TIMEOUT_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
_MOST_BYTES = 2**26
"""The largest response that is read; one trial of MLflow, for example, is much smaller."""

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""The status codes after which the same request may succeed later."""

_MOST_SAID = 500

_Result = TypeVar("_Result")


class _NoRedirects(HTTPRedirectHandler):
    """Follows no redirects, which might send passwords to another server."""

    def redirect_request(self, *args: Any) -> None:
        return None


class Rest:
    """An HTTP API.

    Parameters
    ----------
    url
        the base URL of requests, without user and password
    headers
        the headers of each request, such as credentials; they never appear in messages
    patience_s
        how long an unanswered request is repeated, in seconds
    certificates
        the path of the certificates to trust; by default, the system's certificates
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        patience_s: float,
        certificates: str | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._headers, self._patience_s = dict(headers), patience_s
        context = ssl.create_default_context(cafile=certificates)
        self._opener = build_opener(_NoRedirects, HTTPSHandler(context=context))

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        data: bytes | BinaryIO | None = None,
        size: int | None = None,
    ) -> Any:
        """Send a request once and return the response.

        Parameters
        ----------
        method, path, query
            as in HTTP
        body
            the value to send as JSON
        data
            the bytes, or the open file, to send instead of JSON
        size
            the number of bytes in an open file

        Raises
        ------
        Unreachable
            the server does not respond at the moment
        Refused
            the server rejects this request; see :attr:`RefusedAs.code`
        PushFailed
            the server rejects all requests of this user
        """
        url = f"{self.url}{path}{'?' + urlencode(query) if query else ''}"
        headers = {**self._headers, "Accept": "application/json"}
        is_json = data is None
        headers["Content-Type"] = "application/json" if is_json else "application/octet-stream"
        if size is not None:
            headers["Content-Length"] = str(size)
        if body is not None:
            data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        request = Request(url, data, headers, method=method)  # noqa: S310 - the user names the URL
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as response:
                return self._value(response.read(_MOST_BYTES + 1))
        except HTTPError as error:
            with error:
                raise self._error(error, method, path) from None
        except (URLError, OSError, HTTPException) as error:
            why = getattr(error, "reason", error)
            if isinstance(why, ssl.SSLCertVerificationError):
                raise PushFailed(f"{self.url} is not trusted: {why.verify_message}") from None
            raise Unreachable(f"{self.url} is not responding: {why}") from None

    def _value(self, text: bytes) -> Any:
        try:
            return json.loads(text[:_MOST_BYTES] or b"{}")
        except (ValueError, RecursionError):
            raise PushFailed(
                f"the response of {self.url} is not JSON: is this the address of the server?"
            ) from None

    def _error(self, error: HTTPError, method: str, path: str) -> Exception:
        said = _said(error)
        message = said.get("message") or error.reason
        what = f"{self.url} rejected {method} {path}: {error.code} {message}"[:_MOST_SAID]
        if error.code in _PASSING:
            return Unreachable(what)
        if error.code in (401, 403):
            return PushFailed(f"{what}; check the user and the password or token")
        if 300 <= error.code < 400:  # noqa: PLR2004 - the redirects of HTTP
            return PushFailed(f"{self.url} redirects to another address: give that one")
        return RefusedAs(what, str(said.get("error_code", "")))

    def patiently(self, action: Callable[[], _Result]) -> _Result:
        """Repeat an action until its requests are answered, with growing pauses.

        The action restarts from its beginning, so it must first find out what was carried out.

        Raises
        ------
        Unreachable
            there was no response within ``patience_s``
        """
        deadline = time.monotonic() + self._patience_s
        pause = _FIRST_PAUSE_S
        while True:
            try:
                return action()
            except Unreachable:
                if time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads the retries of many clients
            pause = min(pause * 2, _LONGEST_PAUSE_S)


class RefusedAs(Refused):
    """A request was refused.

    Attributes
    ----------
    code
        the server's error code, such as ``RESOURCE_DOES_NOT_EXIST``
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def _said(error: HTTPError) -> dict[str, Any]:
    try:
        said = json.loads(error.read(_MOST_BYTES))
    except (ValueError, RecursionError, OSError, HTTPException):
        return {}
    return said if isinstance(said, dict) else {}
