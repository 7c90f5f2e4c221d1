"""When: a position of a journal, or a time."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone
from operator import index
from typing import Any, NamedTuple

from track.errors import QueryError

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)(?:\s+ago)?")
_SECONDS_SINCE_1970 = re.compile(r"\d+\.\d+")
_FRACTION = re.compile(r"(?<=:\d\d:\d\d)[.,]([0-9]+)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class Moment(NamedTuple):
    """A position, or a wall time in nanoseconds since 1970-01-01 UTC; neither means now."""

    position: int | None = None
    at_ns: int | None = None


NOW = Moment()

_FIRST_TIME = 10**17
"""No journal has so many bytes, and in nanoseconds it is a time in 1973."""

When = int | float | str | datetime | Moment | None


def to_moment(when: When) -> Moment:
    """Return the moment that is meant.

    Parameters
    ----------
    when
        an integer, or the digits of one: a position; from 10**17 on, a time in nanoseconds since
        1970-01-01 UTC, as events and attempts have it. A float, or a number with a point: a time
        in seconds since then, as ``time.time()`` returns it. A ``datetime``, a time of pandas, or
        the text of one (ISO 8601; local time unless it says otherwise): that time. ``90s``,
        ``15m``, ``2h``, ``3d``, ``1w``: so long ago. None: now.

    Raises
    ------
    QueryError
        it is none of these
    """
    if when is None or isinstance(when, Moment):
        return when or NOW
    if isinstance(when, datetime):
        return Moment(at_ns=_to_ns(when))
    if isinstance(when, float):
        return Moment(at_ns=_nanoseconds(when, when))
    if not isinstance(when, str):
        number = _integer(when)
        return Moment(at_ns=number) if number >= _FIRST_TIME else Moment(position=number)
    text = when.strip()
    if text.isdecimal():
        return to_moment(int(text))
    if _SECONDS_SINCE_1970.fullmatch(text):
        return to_moment(float(text))
    if ago := _AGO.fullmatch(text):
        count, unit = ago.groups()
        since = _nanoseconds(float(count) * _SECONDS[unit], when)
        return Moment(at_ns=time.time_ns() - since)
    # Up to Python 3.10 only +00:00, and three or six digits of a second, are understood; and no
    # version has nanoseconds.
    fraction = _FRACTION.search(text)
    whole = _FRACTION.sub("", text).replace("Z", "+00:00")
    nanoseconds = int(fraction[1].ljust(9, "0")[:9]) if fraction else 0
    try:
        return Moment(at_ns=_to_ns(datetime.fromisoformat(whole)) + nanoseconds)
    except ValueError:
        raise _no_moment(when) from None


def time_text(at_ns: int) -> str:
    """Write a time in nanoseconds since 1970-01-01 as ISO 8601 in UTC, to be read by to_moment.

    All its digits are there, so that what happened at that time is in what is read up to it.
    """
    seconds, rest = divmod(at_ns, 10**9)
    whole = datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None)
    return f"{whole.isoformat()}.{rest:09d}Z"


def _to_ns(when: datetime) -> int:
    since = when.astimezone(timezone.utc) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    # Times of pandas have digits that no other datetime has.
    return since // timedelta(microseconds=1) * 1000 + getattr(when, "nanosecond", 0)


def _integer(when: Any) -> int:
    """Return an integer of any kind, NumPy's among them."""
    if type(when).__name__ == "datetime64":
        when = when.astype("datetime64[ns]").astype(int)
    try:
        return index(when)
    except TypeError:
        raise _no_moment(when) from None


def _nanoseconds(seconds: float, when: Any) -> int:
    try:
        return int(seconds * 10**9)
    except (ValueError, OverflowError):
        raise _no_moment(when) from None


def _no_moment(when: Any) -> QueryError:
    return QueryError(
        f"{when!r} is no moment: give a position, a time as 2026-01-31T12:00, or 2h for two hours "
        "ago"
    )
