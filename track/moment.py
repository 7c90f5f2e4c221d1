"""Parse and write moments: positions in a journal, and times."""

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
    """A position, or a wall time in nanoseconds since 1970-01-01 UTC; without either, now."""

    position: int | None = None
    at_ns: int | None = None


NOW = Moment()

_FIRST_TIME = 10**17
"""The least integer that is a time (in 1973): no journal has this number of bytes."""

When = int | float | str | datetime | Moment | None


def to_moment(when: When) -> Moment:
    """Convert a value to a moment.

    Parameters
    ----------
    when
        an integer, or its digits: a position, or from 10**17 on a time in nanoseconds since
        1970-01-01 UTC, as events and attempts hold it. A float, or a number with a decimal point: a
        time in seconds since then, as ``time.time()`` returns it. A ``datetime``, a pandas
        timestamp or an ISO 8601 text (local time unless it has an offset): that time. ``90s``,
        ``15m``, ``2h``, ``3d``, ``1w``: that long ago. None: now.

    Raises
    ------
    QueryError
        the value is none of these
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
    # Python 3.10 reads only +00:00 and three or six digits of a second, and no version reads
    # nanoseconds.
    fraction = _FRACTION.search(text)
    whole = _FRACTION.sub("", text).replace("Z", "+00:00")
    nanoseconds = int(fraction[1].ljust(9, "0")[:9]) if fraction else 0
    try:
        return Moment(at_ns=_to_ns(datetime.fromisoformat(whole)) + nanoseconds)
    except ValueError:
        raise _invalid_time(when) from None


def time_text(at_ns: int) -> str:
    """Write a time in nanoseconds since 1970-01-01 as ISO 8601 in UTC, as to_moment reads it.

    All digits are written, so that reading up to this time includes events at this time.
    """
    seconds, rest = divmod(at_ns, 10**9)
    whole = datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None)
    return f"{whole.isoformat()}.{rest:09d}Z"


def moment_text(when: When) -> str:
    """Write a moment as part of a sentence: ``2h ago``, ``at position 7``, or at a time."""
    if isinstance(when, str) and _AGO.fullmatch(when.strip()):
        return f"{when.strip().removesuffix('ago').rstrip()} ago"
    position, at_ns = to_moment(when)
    if position is not None:
        return f"at position {position}"
    return "now" if at_ns is None else f"at {time_text(at_ns)}"


def _to_ns(when: datetime) -> int:
    since = when.astimezone(timezone.utc) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    # Pandas timestamps have nanoseconds, which other datetimes lack.
    return since // timedelta(microseconds=1) * 1000 + getattr(when, "nanosecond", 0)


def _integer(when: Any) -> int:
    """Convert an integer of any type, including NumPy's, to a plain one."""
    if type(when).__name__ == "datetime64":
        when = when.astype("datetime64[ns]").astype(int)
    try:
        return index(when)
    except TypeError:
        raise _invalid_time(when) from None


def _nanoseconds(seconds: float, when: Any) -> int:
    try:
        return int(seconds * 10**9)
    except (ValueError, OverflowError):
        raise _invalid_time(when) from None


def _invalid_time(when: Any) -> QueryError:
    return QueryError(
        f"invalid time {when!r}: give a position, a time such as 2026-01-31T12:00, or 2h for two "
        "hours ago"
    )
