"""When: a position of a journal, or a time."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from track.errors import QueryError

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)(?:\s+ago)?")
_FRACTION = re.compile(r"(?<=:\d\d:\d\d)[.,]([0-9]+)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class Moment(NamedTuple):
    """A position, or a wall time in nanoseconds since 1970-01-01 UTC; neither means now."""

    position: int | None = None
    at_ns: int | None = None


NOW = Moment()

_FIRST_TIME = 10**17
"""No journal has so many bytes, and in nanoseconds it is a time in 1973."""

When = int | str | datetime | Moment | None


def to_moment(when: When) -> Moment:
    """Return the moment that is meant.

    Parameters
    ----------
    when
        an integer, or the digits of one: a position; from 10**17 on, a time in nanoseconds since
        1970-01-01 UTC, as events and attempts have it. A ``datetime``, or the text of one (ISO
        8601; local time unless it says otherwise): that time. ``90s``, ``15m``, ``2h``, ``3d``,
        ``1w``: so long ago. None: now.

    Raises
    ------
    QueryError
        it is none of these
    """
    if when is None or isinstance(when, Moment):
        return when or NOW
    if isinstance(when, datetime):
        return Moment(at_ns=_to_ns(when))
    if isinstance(when, int):
        return Moment(at_ns=when) if when >= _FIRST_TIME else Moment(position=when)
    text = when.strip()
    if text.isdecimal():
        return to_moment(int(text))
    if ago := _AGO.fullmatch(text):
        number, unit = ago.groups()
        return Moment(at_ns=time.time_ns() - int(float(number) * _SECONDS[unit] * 10**9))
    # Up to Python 3.10 only +00:00, and three or six digits of a second, are understood; and no
    # version has nanoseconds.
    fraction = _FRACTION.search(text)
    whole = _FRACTION.sub("", text).replace("Z", "+00:00")
    nanoseconds = int(fraction[1].ljust(9, "0")[:9]) if fraction else 0
    try:
        return Moment(at_ns=_to_ns(datetime.fromisoformat(whole)) + nanoseconds)
    except ValueError:
        raise QueryError(
            f"{when!r} is no moment: give a position, a time as 2026-01-31T12:00, or 2h for two "
            "hours ago"
        ) from None


def _to_ns(when: datetime) -> int:
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (when.astimezone(timezone.utc) - epoch) // timedelta(microseconds=1) * 1000
