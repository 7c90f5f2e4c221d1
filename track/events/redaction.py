"""Erase the content of an event, keeping its length, its producer and its time.

Since every payload keeps its length, every position keeps its event, in a file, too. What is left
over is taken by one more field, of the right size, that no reader looks at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from track.errors import JournalError
from track.events.codec import ENVELOPE, Encoder, decode, fields_of
from track.events.types import (
    Event,
    Heartbeat,
    Recorded,
    Redacted,
    StatusChanged,
    TrialArchived,
    TrialCreated,
    TrialFinished,
    TrialRedacted,
    TrialRestored,
    TrialStarted,
    Unknown,
)

_FIXARRAY, _FIXARRAY_MOST = 0x90, 15
_NIL = b"\xc0"
_FIXSTR, _FIXSTR_MOST = 0xA0, 31


def redact(payload: bytes) -> bytes:
    """Return a payload of the same length and envelope that says nothing of what was logged.

    That a trial was made, started, changed its status and ended is kept, and which process ran it,
    as that is the structure of a log; every other event becomes a
    :class:`~track.events.types.Redacted`.

    Raises
    ------
    JournalError
        it is no event
    """
    event = decode(0, payload)
    if isinstance(event.event, Unknown) and not event.event.tag:
        raise JournalError("a payload that is not an event cannot be redacted")
    kept = _KEPT.get(type(event.event), _nothing)(event.event)
    # An event of an older version may have been shorter than the least that is kept of it today.
    erased = _encoded(kept, event, len(payload)) or _encoded(Redacted(), event, len(payload))
    assert erased is not None  # it has no fields
    return erased


def _nothing(_: Any) -> Event:
    return Redacted()


_KEPT: dict[type[Any], Callable[[Any], Event]] = {
    TrialCreated: lambda event: event._replace(
        name=None,
        description=None,
        tags={},
        version=None,
        parameters={},
        metadata={},
        metrics={},
        chronos={},
        errors=[],
        failure=None,
    ),
    Heartbeat: lambda event: event,
    TrialStarted: lambda event: event,
    TrialFinished: lambda event: event._replace(exception=None, failure=None),
    StatusChanged: lambda event: event._replace(error=None),
    TrialArchived: lambda event: event,
    TrialRestored: lambda event: event,
    TrialRedacted: lambda event: event,
}
"""What is left of those events that are not erased as a whole."""


def _encoded(event: Event, of: Recorded, length: int) -> bytes | None:
    """Return the payload of an event, filled up to a length; None if it is longer."""
    # Whole first: what fills it up is then behind every field, and taken for none.
    for fields in ([*event], fields_of(event)):
        payload = Encoder().encode(type(event), fields, of.stream, of.producer, of.sequence, of.at)
        missing = length - len(payload)
        if not missing:
            return payload
        if missing > 0 and len(fields) < _FIXARRAY_MOST:
            head, body = payload[: ENVELOPE.size], payload[ENVELOPE.size :]
            return head + bytes((_FIXARRAY | len(fields) + 1,)) + body[1:] + _filler(missing)
    return None


def _filler(size: int) -> bytes:
    """Return a msgpack value of some size: nil, or a string of spaces."""
    if size == 1:
        return _NIL
    if size <= 1 + _FIXSTR_MOST:
        return bytes((_FIXSTR | size - 1,)) + b" " * (size - 1)
    for marker, width in ((0xD9, 1), (0xDA, 2), (0xDB, 4)):
        length = size - 1 - width
        if length < 256**width:
            return bytes((marker,)) + length.to_bytes(width, "big") + b" " * length
    raise AssertionError("a payload is limited to 16 MB")
