"""Parse backend URIs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from track.errors import BackendError

PATH_SCHEMES = frozenset({"", "file", "lmdb", "memory", "none"})
"""The schemes of paths: ``file://a.json`` is ``a.json``, not a host of that name."""

IGNORED_OPTIONS = frozenset({"objective"})
"""The options that clients use themselves."""


_URI = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<authority>[^/?#]*))?)?"
    r"(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?",
    re.DOTALL,
)
"""Matches any text, as in RFC 3986; ``urlsplit`` refuses or changes some file names."""


def parse_uri(uri: str) -> dict[str, Any]:
    """Parse a backend URI.

    Returns
    -------
    ``scheme``, ``path``, ``query`` (a dictionary), ``fragment`` and ``params``; if the URI has an
    authority (after ``//``), also ``address``, ``port``, ``username`` and ``password`` (text, or
    None). In the URI of a file, the path begins with the authority.
    """
    from urllib.parse import parse_qsl

    match = _URI.fullmatch(uri)
    assert match is not None  # the expression matches any text
    scheme, authority, path, query, fragment = match.groups(default="")
    scheme = scheme.lower()
    parts: dict[str, Any] = {
        "scheme": scheme,
        "query": dict(parse_qsl(query, keep_blank_values=True)),
        "fragment": fragment,
    }
    if scheme in PATH_SCHEMES:
        parts.update(path=authority + path, params="")
    else:
        parts["path"], _, parts["params"] = path.partition(";")
    if authority:
        parts.update(_parse_authority(authority))
    return parts


def _parse_authority(netloc: str) -> dict[str, str | None]:
    from urllib.parse import unquote

    userinfo, _, host = netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    address, colon, port = host.rpartition(":")
    if not colon or "]" in port:
        address, port = host, ""
    return {
        "address": address,
        "port": port or None,
        "username": unquote(username) or None,
        "password": unquote(password) or None,
    }


def check_port(shown: str, text: str, *, least: int = 1) -> int:
    """Return the number of a port from text.

    Parameters
    ----------
    shown
        the URI for messages, without a password
    text
        the text of the port
    least
        the least number, 0 to allow any free port

    Raises
    ------
    BackendError
        the text is not a port
    """
    if not text.isdecimal() or not least <= int(text) < 2**16:
        raise BackendError(f"invalid port {text!r} in {shown!r}: give a number up to 65535")
    return int(text)


def check_options(uri: str, options: Mapping[str, str], known: Iterable[str]) -> dict[str, str]:
    """Return the options of a URI after checking their names.

    Raises
    ------
    BackendError
        an option is unknown
    """
    known = sorted(known)
    for name in options:
        if name in known or name in IGNORED_OPTIONS:
            continue
        from difflib import get_close_matches

        close = get_close_matches(name, known, 1)
        hint = f"did you mean '{close[0]}'?" if close else f"use one of {', '.join(known)}"
        raise BackendError(f"unknown option '{name}' in {without_password(uri)}: {hint}")
    return {name: value for name, value in options.items() if name in known}


def without_password(uri: str) -> str:
    """Return a URI without its password."""
    head, at, tail = uri.rpartition("@")
    scheme, slashes, userinfo = head.partition("://")
    return f"{scheme}{slashes}{userinfo.partition(':')[0]}{at}{tail}" if at else uri
