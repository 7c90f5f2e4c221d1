"""Convert messages to bytes and back, without a socket (``docs/relay.md``).

A frame is ``length`` (4 bytes, big-endian, of the rest) and a sealed message. A message is a verb
(1 byte), the length of its header (4 bytes, big-endian), the header (a msgpack array), and an
attachment, whose form depends on the verb.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import pairwise
from struct import Struct
from typing import Any, NamedTuple

from track.errors import EncodingError, MalformedMessage
from track.events.record import MAX_GROUP, Record, are_sound, frame
from track.events.scan import Scan, scan
from track.events.values import pack_values, unpack
from track.utils.handshake import Channel

LENGTH = Struct(">I")
_HEAD = Struct(">BI")

MAX_HEADER = 2**20
"""The largest header in bytes; events and answers are in attachments."""

MAX_REQUEST = MAX_GROUP + MAX_HEADER + 64
"""The largest frame in bytes from a client that is logged in."""

MAX_STRANGER = 2**12
"""The largest frame in bytes from a peer that is not logged in."""

MAX_ANSWER = 2**30
"""The largest frame in bytes from a server."""


MOST_DIGESTS = 1024
"""The number of contents in one question or answer about them."""

MOST_FETCHED = 2**20
"""The largest piece of a content in an answer, in bytes."""


class Verb(IntEnum):
    """The purpose of a message."""

    WELCOME, LOGIN, CHALLENGE, PROOF, VERIFIED = range(1, 6)
    APPEND, PROPOSE, LAST, CALL, SUBSCRIBE, KEEP = range(16, 22)
    DONE, UNMET, FAILED, BATCH, CAUGHT_UP = range(32, 37)


class Message(NamedTuple):
    """A verb, values, and an attachment of bytes."""

    verb: Verb
    header: list[Any]
    attachment: bytes = b""


Answer = tuple[list[Any], bytes]
"""The values and the attachment of an answer."""


class Subscription(NamedTuple):
    """A subscription to the events after a position, of one stream, or including new ones."""

    after: int
    live: bool
    stream: int | None


def to_subscription(header: list[Any]) -> Subscription:
    """Return the subscription in the header of a SUBSCRIBE message.

    Raises
    ------
    MalformedMessage
        the header is invalid
    """
    after, live, stream = header if len(header) == 3 else [None] * 3  # noqa: PLR2004 - otherwise invalid
    if type(after) is not int:
        raise MalformedMessage("invalid position")
    if not 0 <= after < 2**62:
        raise MalformedMessage(f"{max(-1, min(after, 2**62))} is not a position")
    if stream is not None and (live or type(stream) is not int or not 0 <= stream < 2**63):
        raise MalformedMessage("invalid stream, or a live subscription to a stream")
    return Subscription(after, bool(live), stream)


def to_frame(message: Message, channel: Channel) -> bytes:
    """Return the frame of a message.

    Raises
    ------
    EncodingError
        the header has a value that cannot be sent, or is too large
    """
    header = pack_values(message.header, ())
    if len(header) > MAX_HEADER:
        raise EncodingError(
            f"the header has {len(header)} bytes, over the limit of {MAX_HEADER} for a request: "
            "ask for less at once"
        )
    head = _HEAD.pack(message.verb, len(header))
    sealed = channel.seal(head + header + message.attachment)
    return LENGTH.pack(len(sealed)) + sealed


def body_length(head: bytes, limit: int) -> int:
    """Return the number of bytes that follow the first four of a frame.

    Raises
    ------
    MalformedMessage
        the frame is larger than the limit
    """
    (length,) = LENGTH.unpack(head)
    if length > limit:
        raise MalformedMessage(f"a frame of {length} bytes is over the limit of {limit}")
    return int(length)


def from_frame(body: bytes, channel: Channel) -> Message:
    """Return the message of a frame, given what follows its length.

    Raises
    ------
    InsecureConnection
        the data is not what the peer sent
    MalformedMessage
        the data is not a message
    """
    data = channel.open(body)
    try:
        verb, length = _HEAD.unpack_from(data)
        end = _HEAD.size + length
        header = unpack(data[_HEAD.size : end]) if length <= MAX_HEADER else None
        verb = Verb(verb)
    except Exception as error:  # noqa: BLE001 - msgpack may raise anything on invalid bytes
        # The error may quote the bytes, which may be secret.
        raise MalformedMessage(f"invalid message ({type(error).__name__})") from None
    if type(header) is not list or end > len(data):
        raise MalformedMessage("the header of a message is not an array, or too large")
    return Message(verb, header, data[end:])


def to_records(payloads: list[bytes]) -> bytes:
    """Return payloads as an attachment of their records, as in a journal file."""
    return b"".join(map(frame, payloads))


def from_records(attachment: bytes) -> list[bytes]:
    """Return the payloads of an attachment.

    Raises
    ------
    MalformedMessage
        the attachment does not consist of whole records
    """
    return _scanned(attachment).payloads


def _scanned(attachment: bytes) -> Scan:
    found = scan(attachment)
    if found.damage or found.consumed != len(attachment):
        raise MalformedMessage("an attachment must consist of whole records")
    return found


def checked_records(attachment: bytes) -> list[Record]:
    """Return the records of an attachment unchanged, after checking each of them.

    Readers check many records at once and rely on properties that writers ensure. The sender may
    be another program, so each record is checked by itself, and framed again if it could mislead
    a reader.

    Raises
    ------
    MalformedMessage
        the attachment does not consist of whole records
    EncodingError
        a payload was crafted so that no record can hold it
    """
    found = _scanned(attachment)
    records = [attachment[start:end] for start, end in pairwise([0, *found.ends])]
    if are_sound(records, attachment):
        return records
    return [
        record if are_sound([record], record) else frame(payload)
        for record, payload in zip(records, found.payloads, strict=True)
    ]
