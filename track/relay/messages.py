"""Convert messages to bytes and back, without a socket (``docs/relay.md``).

A frame is ``length`` (4 bytes, big-endian, of what follows) and a sealed message. A message is a
verb (1 byte), the length of its header (4 bytes, big-endian), the header (a msgpack array), and an
attachment, which is whatever the verb says.
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
"""Bytes of a header: those of events and answers are attachments."""

MAX_REQUEST = MAX_GROUP + MAX_HEADER + 64
"""Bytes of a frame that a server takes from a client that is logged in."""

MAX_STRANGER = 2**12
"""Bytes of a frame that is taken from somebody who is not."""

MAX_ANSWER = 2**30
"""Bytes of a frame that a client takes from a server."""


class Verb(IntEnum):
    """What a message is for."""

    WELCOME, LOGIN, CHALLENGE, PROOF, VERIFIED = range(1, 6)
    APPEND, PROPOSE, LAST, CALL, SUBSCRIBE = range(16, 21)
    DONE, UNMET, FAILED, BATCH, CAUGHT_UP = range(32, 37)


class Message(NamedTuple):
    """A verb, values, and bytes that are no values."""

    verb: Verb
    header: list[Any]
    attachment: bytes = b""


class Subscription(NamedTuple):
    """What is wanted of the journal: what is behind a position; of one stream; and what comes."""

    after: int
    live: bool
    stream: int | None


def to_subscription(header: list[Any]) -> Subscription:
    """Return what the header of a SUBSCRIBE message asks for.

    Raises
    ------
    MalformedMessage
        it asks for nothing there can be
    """
    after, live, stream = header if len(header) == 3 else [None] * 3  # noqa: PLR2004 - or nothing
    if type(after) is not int:
        raise MalformedMessage("invalid position")
    if not 0 <= after < 2**62:
        raise MalformedMessage(f"{max(-1, min(after, 2**62))} is not a position")
    if stream is not None and (live or type(stream) is not int or not 0 <= stream < 2**63):
        raise MalformedMessage("invalid stream, or a live subscription to a stream")
    return Subscription(after, bool(live), stream)


def to_frame(message: Message, channel: Channel) -> bytes:
    """Return a message as it travels.

    Raises
    ------
    EncodingError
        its header holds what cannot be sent, or is too large
    """
    header = pack_values(message.header, ())
    if len(header) > MAX_HEADER:
        raise EncodingError(
            f"this takes {len(header)} bytes, over the limit of {MAX_HEADER} for a request: "
            "ask for less at once"
        )
    head = _HEAD.pack(message.verb, len(header))
    sealed = channel.seal(head + header + message.attachment)
    return LENGTH.pack(len(sealed)) + sealed


def body_length(head: bytes, limit: int) -> int:
    """Return how many bytes follow the first four of a frame.

    Raises
    ------
    MalformedMessage
        more than the limit
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
        it is not what the other end sent
    MalformedMessage
        it is no message
    """
    data = channel.open(body)
    try:
        verb, length = _HEAD.unpack_from(data)
        end = _HEAD.size + length
        header = unpack(data[_HEAD.size : end]) if length <= MAX_HEADER else None
        verb = Verb(verb)
    except Exception as error:  # noqa: BLE001 - msgpack raises whatever it likes on other bytes
        # Those bytes may be part of the error, and secret.
        raise MalformedMessage(f"invalid message ({type(error).__name__})") from None
    if type(header) is not list or end > len(data):
        raise MalformedMessage("the header of a message is not an array, or too large")
    return Message(verb, header, data[end:])


def to_records(payloads: list[bytes]) -> bytes:
    """Return payloads as an attachment: the bytes of their records in a journal in a file."""
    return b"".join(map(frame, payloads))


def from_records(attachment: bytes) -> list[bytes]:
    """Return the payloads of an attachment.

    Raises
    ------
    MalformedMessage
        it is not the whole records of some payloads, and nothing else
    """
    return _scanned(attachment).payloads


def _scanned(attachment: bytes) -> Scan:
    found = scan(attachment)
    if found.damage or found.consumed != len(attachment):
        raise MalformedMessage("an attachment must consist of whole records")
    return found


def checked_records(attachment: bytes) -> list[Record]:
    """Return the records of an attachment, as they are, if each of them may be put into a journal.

    A reader checks many at once and believes what a writer sees to. Whoever sends this may be no
    writer of ours, so each record is checked by itself, and framed anew if it would mislead a
    reader.

    Raises
    ------
    MalformedMessage
        it is not the whole records of some payloads, and nothing else
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
