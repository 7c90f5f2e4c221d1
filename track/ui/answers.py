"""Parsing of request parameters, and JSON responses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from starlette.datastructures import QueryParams
from starlette.responses import Response

from track.errors import TrackError
from track.projections.report import plain
from track.structure import CustomStatus, Status

LONGEST_TEXT = 2000
"""The longest text in a list, in characters; a single trial is returned with full texts."""

_LONGEST_PARAMETER = 20_000


class BadRequest(Exception):
    """An invalid request; the message explains why."""


def to_json(value: Any) -> bytes:
    """Encode any value as valid JSON, with NaN and infinities as strings."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError):
        text = json.dumps(plain(value), allow_nan=False, separators=(",", ":"))
    return text.encode()


def answer(value: Any, status: int = 200) -> Response:
    """Return a response with a value as JSON."""
    return Response(to_json(value), status, media_type="application/json")


def failure(status: int, message: str) -> Response:
    """Return an error response with a message."""
    return answer({"error": " ".join(message.split())}, status)


def one_line(error: Exception) -> str:
    """Return the message of an error on one line, without a final period."""
    if isinstance(error, OSError) and not isinstance(error, TrackError) and error.strerror:
        return error.strerror  # clients must not see paths of this machine
    return " ".join(str(error).split()) or type(error).__name__


def cut(value: Any) -> Any:
    """Return a value with its texts truncated for display in a list."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
    if isinstance(value, (Status, CustomStatus)):
        return str(value)
    if isinstance(value, (Mapping, list, tuple, bytes)):
        text = to_json(value).decode()
        return value if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > LONGEST_TEXT:
        return f"0x{value:x}"[: LONGEST_TEXT - 1] + "…"
    return value


def milliseconds(seconds: float | None) -> float | None:
    """Convert a time from seconds to milliseconds since 1970-01-01."""
    return None if seconds is None or not isfinite(seconds) else round(seconds * 1e3, 3)


class Parameters:
    """The parameters of a request, rejecting unknown ones.

    Parameters
    ----------
    query
        the query of the request
    known
        names of the accepted parameters
    """

    def __init__(self, query: QueryParams, *known: str) -> None:
        self._query = query
        for name, value in query.multi_items():
            if name not in known:
                raise BadRequest(f"unknown parameter {name!r}: use {', '.join(sorted(known))}")
            if len(value) > _LONGEST_PARAMETER:
                raise BadRequest(f"{name} has over {_LONGEST_PARAMETER} characters")

    def text(self, name: str) -> str | None:
        """Return a text, None if it is missing or empty."""
        return self._query.get(name) or None

    def needed(self, name: str) -> str:
        """Return a required text."""
        value = self.text(name)
        if value is None:
            raise BadRequest(f"{name} is missing")
        return value

    def texts(self, name: str, most: int) -> list[str]:
        """Return the distinct values of a repeatable parameter."""
        values = [*dict.fromkeys(self._query.getlist(name))]
        if len(values) > most:
            raise BadRequest(f"{name} is given {len(values)} times, over the limit of {most}")
        return values

    def integer(self, name: str, default: int, *, least: int = 0, most: int = 2**63 - 1) -> int:
        """Return an integer after checking its limits."""
        value = self.text(name)
        if value is None:
            return default
        sign = value.removeprefix("-")
        if not (sign.isascii() and sign.isdecimal()) or len(sign) > len(str(2**63)):
            raise BadRequest(f"{name}={value[:40]!r} is not an integer")
        if not least <= int(value) <= most:
            raise BadRequest(f"{name} is {value}, and must be from {least} to {most}")
        return int(value)

    def number(self, name: str) -> float | None:
        """Return a finite number, None if it is missing."""
        value = self.text(name)
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            raise BadRequest(f"{name}={value[:40]!r} is not a number") from None
        if not isfinite(number):
            raise BadRequest(f"{name} must be a finite number")
        return number

    def flag(self, name: str) -> bool:
        """Return whether a flag is set."""
        value = self.text(name)
        if value not in (None, "0", "1", "false", "true"):
            raise BadRequest(f"{name} must be 1 or 0")
        return value in ("1", "true")
