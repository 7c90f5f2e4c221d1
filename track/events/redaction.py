"""Erase the content of an event, keeping its length, its producer and its time.

Every payload keeps its length, so events keep their positions, even in a file. The space that
remains is filled by an additional field of the right size, which readers ignore.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from track.errors import JournalError
from track.events.codec import ENVELOPE, Encoder, decode, fields_of
from track.events.types import (
    ArtifactLogged,
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
    """Return a payload of the same length and envelope without the logged content.

    The events that a trial was created, started, changed its status and ended remain, with the
    process that ran it. Every other event becomes a :class:`~track.events.types.Redacted`.

    Raises
    ------
    JournalError
        the payload is not an event
    """
    event = decode(0, payload)
    if isinstance(event.event, Unknown) and not event.event.tag:
        raise JournalError("a payload that is not an event cannot be redacted")
    kept = _KEPT.get(type(event.event), _nothing)(event.event)
    # An event of an older version may be too short for the remaining fields.
    erased = _encoded(kept, event, len(payload)) or _encoded(Redacted(), event, len(payload))
    assert erased is not None  # it has no fields, so it always fits
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
    # The hashes of versions remain, as uids do, so that those of other trials keep their numbers.
    ArtifactLogged: lambda event: event._replace(name="", files={}),
    TrialArchived: lambda event: event,
    TrialRestored: lambda event: event,
    TrialRedacted: lambda event: event,
}
"""The functions that erase a part of an event; other events are erased as a whole."""


def _encoded(event: Event, of: Recorded, length: int) -> bytes | None:
    """Return the payload of an event, filled to a length, or None if it is too long."""
    # All fields first, so that the filler comes after them and is not read as one.
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
    """Return a msgpack value of the given size: nil, or a string of spaces."""
    if size == 1:
        return _NIL
    if size <= 1 + _FIXSTR_MOST:
        return bytes((_FIXSTR | size - 1,)) + b" " * (size - 1)
    for marker, width in ((0xD9, 1), (0xDA, 2), (0xDB, 4)):
        length = size - 1 - width
        if length < 256**width:
            return bytes((marker,)) + length.to_bytes(width, "big") + b" " * length
    raise AssertionError("a payload is limited to 16 MB")
