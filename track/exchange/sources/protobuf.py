"""Read the fields of a protobuf message without its schema.

Nested messages are returned as bytes and read by further calls, so nothing recurses.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from

Field = int | bytes
"""A number as encoded on the wire, or the bytes of a text, a message or a fixed-width number."""

_LONGEST_VARINT = 10
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_SIZES = {_FIXED_64: 8, _FIXED_32: 4}
_MORE = 0x80
"""The bit that is set in every byte of a number except the last."""


class BadMessage(ValueError):
    """Bytes are not a valid message."""


def fields(message: bytes) -> Iterator[tuple[int, Field]]:
    """Yield the number and the value of each field of a message, in order.

    Raises
    ------
    BadMessage
        the bytes are not a valid message
    """
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise BadMessage(f"field {number} has the unknown wire type {kind}")
        if size > end - at:
            raise BadMessage(f"field {number} extends beyond its message")
        yield number, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    if at < len(message) and message[at] < _MORE:  # the fast path for nearly all numbers
        return message[at], at + 1
    value = 0
    for place in range(_LONGEST_VARINT):
        if at + place >= len(message):
            raise BadMessage("a number is truncated")
        byte = message[at + place]
        value |= (byte & ~_MORE) << 7 * place
        if byte < _MORE:
            return value, at + place + 1
    raise BadMessage("a number is too long")


def text(value: Field | None) -> str | None:
    """Return the text in a field, None if it is missing or empty."""
    if not isinstance(value, bytes) or not value:
        return None
    return value.decode("utf-8", "replace")


def signed(value: Field | None) -> int:
    """Return the signed 64-bit number in a field, 0 if it is missing."""
    if not isinstance(value, int):
        return 0
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def double(value: Field) -> float:
    """Return the floating-point number in a field.

    Raises
    ------
    BadMessage
        the field holds something else
    """
    if not isinstance(value, bytes) or len(value) != _SIZES[_FIXED_64]:
        raise BadMessage("a floating-point number does not have 8 bytes")
    number: float = unpack_from("<d", value)[0]
    return number


def time_ns(message: Field | None) -> int | None:
    """Return the time in a Timestamp message in nanoseconds, None if it is missing.

    Raises
    ------
    BadMessage
        see :func:`fields`
    """
    if not isinstance(message, bytes):
        return None
    parts = dict(fields(message))
    return signed(parts.get(1)) * 10**9 + signed(parts.get(2))
