"""Convert events to payloads and back: the envelope, schema versions and upcasters.

A payload is one msgpack array of seven items, ``[tag, version, stream, producer, sequence, at,
body]``. The first six have a fixed width (``docs/format.md``), so an envelope can be read without
parsing, and payloads of one shape can be read by the thousand (:mod:`track.events.columns`).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from struct import Struct
from typing import Any, NamedTuple

from track.errors import EncodingError
from track.events.record import HEADER_SIZE, MASK_AT, OVERHEAD, Record, payload_of
from track.events.types import CATALOGUE, Event, Kind, Recorded, Unknown
from track.events.values import MAX_DEPTH, check_depth, is_too_deep, new_packer, pack_values, unpack

ENVELOPE = Struct(">4sQBQBIBQ")
"""Array header, tag, version and a uint64 marker; then marked stream, producer, sequence, at."""

NUMBER_AND_TIME = Struct(">IBQ")
"""The end of an envelope: the sequence, and the marked time. Everything before it is a *prefix*,
equal in all events of one kind that one producer records about one subject."""

TAG = slice(1, 2)
"""The position of the tag of the kind of event in a payload."""

STREAM = slice(4, 12)
"""The position of the stream in a payload."""

AT = slice(27, 35)
"""The position of the time in a payload."""

UINT64, UINT32 = 0xCF, 0xCE
MAX_SEQUENCE = 2**32 - 1
MAX_PAYLOAD = 2**24 - 1
"""The longest payload in bytes on every backend, since record headers have 24 bits for it."""

MAX_BODY = MAX_PAYLOAD - ENVELOPE.size
PREFIX_SIZE = ENVELOPE.size - NUMBER_AND_TIME.size

Upcaster = Callable[[list[Any]], list[Any]]

UPCASTERS: dict[Kind, Upcaster] = {}
"""Functions from the fields of an outdated (tag, version) to those of the next version."""


def stream_id(kind: str, uid: str) -> int:
    """Return the number of a subject's stream: 63 bits of BLAKE2b over ``kind:uid``.

    Parameters
    ----------
    kind
        ``project``, ``group``, ``trial``, ``process`` or ``search``
    uid
        the uid of the subject
    """
    from hashlib import blake2b

    name = f"{kind}:{uid}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big") >> 1


def prefix_of(kind: type[Event], stream: int, producer: int) -> bytes:
    """Return the payload prefix of a kind of event, see :data:`NUMBER_AND_TIME`."""
    envelope = ENVELOPE.pack(_HEADS[kind], stream, UINT64, producer, UINT32, 0, UINT64, 0)
    return envelope[:PREFIX_SIZE]


class Encoder:
    """Encodes events with one reused buffer, for one thread at a time."""

    def __init__(self) -> None:
        self._pack: Callable[[list[Any]], bytes] = new_packer().pack

    def body(self, kind: type[Event], fields: list[Any]) -> bytes:
        """Return the body of a payload, which follows the envelope.

        Parameters
        ----------
        kind, fields
            the class of the event, one of the catalogue, and its fields in order

        Raises
        ------
        EncodingError
            a value cannot be logged (the message names its key), or the body is too large
        """
        try:
            body = self._pack(fields)
        except Exception:  # noqa: BLE001 - the careful way below finds and names the cause
            body = pack_values(fields, kind._fields)
        # Each level takes a byte, so short bodies need no check.
        if len(body) > MAX_DEPTH:
            _check(kind, fields, body)
        return body

    def encode(  # noqa: PLR0917 - the parts of an event, in the order of other calls
        self,
        kind: type[Event],
        fields: list[Any],
        stream: int,
        producer: int,
        sequence: int,
        at: int,
    ) -> bytes:
        """Return the payload of an event.

        Parameters
        ----------
        kind, fields
            the class of the event, and its fields in order
        stream, producer, sequence, at
            see :class:`~track.events.types.Recorded`

        Raises
        ------
        EncodingError
            see :meth:`body`
        """
        head = _HEADS.get(kind)
        if head is None:
            tag, version, values = fields
            head, body = _head(Kind(tag, version)), pack_values([values], ("body",))[1:]
            _check(kind, fields, body)
        else:
            body = self.body(kind, fields)
        return ENVELOPE.pack(head, stream, UINT64, producer, UINT32, sequence, UINT64, at) + body


def _check(kind: type[Event], fields: list[Any], body: bytes) -> None:
    """Check that an event is neither nested too deeply nor too large."""
    check_depth(fields, kind._fields)
    if len(body) > MAX_BODY:
        raise EncodingError(
            f"{kind.__name__} takes {len(body)} bytes, over the limit of {MAX_BODY}: "
            "log large contents with log_file"
        )


def fields_of(event: Event) -> list[Any]:
    """Return the fields of an event as they are written, without trailing default values.

    Fields that were added later have defaults, and take no space unless they are used.
    """
    fields: list[Any] = [*event]
    names, defaults = event._fields, event._field_defaults
    while fields and names[len(fields) - 1] in defaults and fields[-1] is None:
        fields.pop()
    return fields


def _head(kind: Kind) -> bytes:
    return bytes((0x97, kind.tag, kind.version, UINT64))


_HEADS = {event: _head(kind) for event, kind in CATALOGUE.items()}
_CLASSES = {kind.tag: (kind.version, event) for event, kind in CATALOGUE.items()}
"""The current schema version and the class of each tag."""


_MARKERS = (0x97, UINT64, UINT64, UINT32, UINT64)
_markers_of = itemgetter(0, 3, 12, 21, 26)
_unpack_envelope = ENVELOPE.unpack_from
_new: Callable[[Any, Any], Any] = tuple.__new__


def decode(position: int, payload: bytes) -> Recorded:
    """Return the event of a payload in the current version of its schema.

    A payload that cannot be understood (a newer event, or no event at all) becomes an
    :class:`~track.events.types.Unknown`, not an error, since journals keep such payloads.
    """
    try:
        head, stream, mark_1, producer, mark_2, sequence, mark_3, at = _unpack_envelope(payload)
        if (head[0], head[3], mark_1, mark_2, mark_3) != _MARKERS:
            return Recorded(position, 0, 0, 0, 0, Unknown(0, 0, payload))
        body = unpack(payload[ENVELOPE.size :])
        # Each level takes a byte, as in `encode`.
        if len(payload) > ENVELOPE.size + MAX_DEPTH and is_too_deep(body):
            return Recorded(position, 0, 0, 0, 0, Unknown(0, 0, payload))
        event = _revive_event(head[1], head[2], body)
    except Exception:  # noqa: BLE001 - msgpack may raise anything on foreign bytes
        return Recorded(position, 0, 0, 0, 0, Unknown(0, 0, payload))
    recorded: Recorded = _new(Recorded, (position, at, producer, sequence, stream, event))
    return recorded


class Envelope(NamedTuple):
    """The part of a payload that can be read without parsing, see :class:`Recorded`."""

    tag: int
    stream: int
    producer: int
    sequence: int
    at: int


def envelope(payload: bytes) -> Envelope | None:
    """Return the envelope of a payload, None if it is not an event."""
    if len(payload) < ENVELOPE.size:
        return None
    head, stream, mark_1, producer, mark_2, sequence, mark_3, at = _unpack_envelope(payload)
    if (head[0], head[3], mark_1, mark_2, mark_3) != _MARKERS:
        return None
    return Envelope(head[1], stream, producer, sequence, at)


def are_events(payloads: list[bytes]) -> bool:
    """Return whether all of many payloads are events."""
    if min(map(len, payloads), default=0) < ENVELOPE.size:
        return not payloads
    return [*map(_markers_of, payloads)].count(_MARKERS) == len(payloads)


def identify(payload: bytes) -> tuple[int, int] | None:
    """Return the producer and the sequence of a payload, None if it is not an event."""
    return _identity_at(payload, 0, len(payload))


def identify_record(record: Record) -> tuple[int, int] | None:
    """Return the producer and the sequence of a record, None if it does not hold an event."""
    if record[MASK_AT]:
        return identify(payload_of(record))
    return _identity_at(record, HEADER_SIZE, len(record) - OVERHEAD)


def _identity_at(data: bytes, start: int, size: int) -> tuple[int, int] | None:
    if size < ENVELOPE.size:
        return None
    head, _, mark_1, producer, mark_2, sequence, mark_3, _ = _unpack_envelope(data, start)
    if (head[0], head[3], mark_1, mark_2, mark_3) != _MARKERS:
        return None
    return producer, sequence


def _revive_event(tag: int, version: int, body: list[Any]) -> Event:
    if type(body) is not list:
        raise ValueError("the body of an event must be an array")
    if tag not in _CLASSES:
        return Unknown(tag, version, body)
    current, kind = _CLASSES[tag]
    while version < current and (upcast := UPCASTERS.get(Kind(tag, version))):
        body, version = upcast(body), version + 1
    if version != current:
        return Unknown(tag, version, body)
    if len(body) == len(kind._fields):
        # Takes a third of the time of the constructor, which is a Python function.
        event: Event = _new(kind, body)
        return event
    # A later writer of the same version may have added fields at the end.
    whole: Event = kind(*body[: len(kind._fields)])
    return whole
