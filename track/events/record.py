"""Frame payloads as records; pure bytes, specified in ``docs/format.md``.

::

    header: magic 3 | version 1 | payload length 3 | mask 1 | group_remaining 4 | CRC 4
    record: header 16 | payload | CRC 4

Recovery relies on two properties:

* The magic bytes never occur inside a payload (``mask`` ensures that), so an intact record found
  anywhere was appended as a record and is not a piece of another one.
* The closing CRC continues from :data:`SEED`, and a CRC-32 over data and its own checksum always
  has that value. So a run of intact records maps ``SEED`` to ``SEED``, and one call checks a
  megabyte.

Delivery relies on a third one: a header ends with its own CRC, so the closing CRC does not depend
on the header. Payload and closing CRC are made where an event is recorded; appending the record
elsewhere only replaces its header.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from struct import Struct
from zlib import crc32

from track.errors import EncodingError

MAGIC = b"\xc1TJ"
VERSION = 1
START = MAGIC + bytes((VERSION,))
SEED = 0x2144DF1C

_FIELDS = Struct("<3sBII")
WORDS = Struct("<4xII4x")
"""The fields of a header: length and mask as one number, and the bytes remaining of the group."""
_CRC = Struct("<I")
HEADER_SIZE = WORDS.size
MASK_AT = 7
"""The offset of the mask in a header."""
_GROUP_REMAINING_AT = 8
"""The offset in a header of the number of remaining bytes of the group."""

CRC_SIZE = _CRC.size
OVERHEAD = HEADER_SIZE + CRC_SIZE
MAX_LENGTH = 2**24 - 1
MAX_GROUP = 2**26
"""The largest group of records in bytes, which a reader must hold as a whole."""


Record = bytes
"""A whole record with its header."""


def _header(length: int, mask: int) -> bytes:
    if length > MAX_LENGTH:
        raise EncodingError(f"a payload of {length} bytes exceeds the limit of {MAX_LENGTH}")
    fields = _FIELDS.pack(MAGIC, VERSION, length | mask << 24, 0)
    return fields + _CRC.pack(crc32(fields))


_COMMON = 4096
"""The length below which headers are cached, to limit the cache; any number does."""

_plain_headers: dict[int, bytes] = {}
"""Headers of single unmasked records by payload length; few lengths are common."""


def frame(payload: bytes) -> Record:
    """Return the record of a payload that is not part of a group.

    Parameters
    ----------
    payload
        at most :data:`MAX_LENGTH` bytes

    Raises
    ------
    EncodingError
        the payload was crafted so that no mask works
    """
    # Searching one byte takes a tenth of the time of searching three.
    if not (MAGIC[0] in payload and MAGIC in payload):
        length = len(payload)
        record = (_plain_headers.get(length) or _plain_header(length)) + payload
        crc = crc32(record, SEED)
        if crc >> 24 not in START or not _ends_in_a_start(crc):
            return record + crc.to_bytes(4, "little")
    return _frame_masked(payload)


def framer(prefix: bytes) -> Callable[[bytes], bytes]:
    """Return a function that frames payloads with a common prefix, given the rest of each.

    Its result equals that of :func:`frame` for the whole payload, but takes less time.
    """
    starts: dict[int, tuple[bytes, int]] = {}
    """The beginning of an unmasked record, and its checksum, by the length of the rest."""

    def start_of(length: int) -> tuple[bytes, int]:
        start = _plain_header(len(prefix) + length) + prefix
        if length < _COMMON:
            starts[length] = start, crc32(start, SEED)
        return start, crc32(start, SEED)

    def frame_rest(rest: bytes) -> bytes:
        try:
            start, crc = starts[len(rest)]
        except KeyError:
            start, crc = start_of(len(rest))
        crc = crc32(rest, crc)
        if crc >> 24 in START or (MAGIC[0] in rest and MAGIC in rest):
            return frame(prefix + rest)
        return start + rest + crc.to_bytes(4, "little")

    # The end of the prefix and the rest may form the magic together.
    ends_in_a_start = any(prefix.endswith(MAGIC[:size]) for size in range(1, len(MAGIC)))
    if ends_in_a_start or MAGIC in prefix:
        return lambda rest: frame(prefix + rest)
    return frame_rest


def _plain_header(length: int) -> bytes:
    header = _header(length, 0)
    if length < _COMMON:
        _plain_headers[length] = header
    return header


def _frame_masked(payload: bytes) -> Record:
    """Return the record with the smallest mask that removes the magic from it."""
    for mask in range(256):
        masked = xor(payload, mask)
        if MAGIC in masked:
            continue
        record = _header(len(payload), mask) + masked
        crc = crc32(record, SEED)
        if not _ends_in_a_start(crc):
            return record + crc.to_bytes(4, "little")
    # A payload that defeats a mask needs three bytes for it, so only a crafted one defeats them
    # all. Refusing it is better than giving up the guarantee.
    raise EncodingError("the value was crafted so that no record can hold it: log it with log_file")


def _ends_in_a_start(crc: int) -> bool:
    """Return whether a closing CRC ends with the bytes that begin a record.

    If such a record lost these bytes, those of the next record would complete it.
    """
    trailer = crc.to_bytes(4, "little")
    return any(trailer.endswith(START[:size]) for size in range(1, 5))


def frame_group(payloads: Sequence[bytes]) -> bytes:
    """Return the records of payloads that form a group, appended all or none.

    Raises
    ------
    EncodingError
        together they are larger than :data:`MAX_GROUP`
    """
    _check_group(len(payloads), sum(map(len, payloads)) + OVERHEAD * len(payloads))
    return group([*map(frame, payloads)])


def group(records: Sequence[Record]) -> bytes:
    """Return records as a group, appended all or none.

    Raises
    ------
    EncodingError
        together they are larger than :data:`MAX_GROUP`
    """
    remaining = sum(map(len, records))
    _check_group(len(records), remaining)
    parts: list[bytes] = []
    for record in records:
        remaining -= len(record)
        head = record[:_GROUP_REMAINING_AT] + remaining.to_bytes(4, "little")
        parts += head, crc32(head).to_bytes(4, "little"), record[HEADER_SIZE:]
    return b"".join(parts)


def _check_group(count: int, size: int) -> None:
    if size > MAX_GROUP:
        raise EncodingError(
            f"{count} events of {size} bytes cannot be appended as one: "
            f"the limit is {MAX_GROUP} bytes, append them in smaller batches"
        )


def alone(record: Record) -> Record:
    """Return a record that is not part of a group."""
    return record if record.startswith(_NONE_FOLLOWS, _GROUP_REMAINING_AT) else group([record])


_NONE_FOLLOWS = bytes(4)


def payload_of(record: Record) -> bytes:
    """Return the payload of a record."""
    return xor(record[HEADER_SIZE:-CRC_SIZE], record[MASK_AT])


def are_sound(records: Sequence[Record], data: bytes) -> bool:
    """Return whether records have all properties that readers rely on.

    Parameters
    ----------
    records
        the alleged records, not part of groups
    data
        all of their bytes
    """
    if data.count(MAGIC) != len(records) or any(start in data for start in _AFTER_A_START):
        return False
    if records and _ends_in_a_start(int.from_bytes(data[-CRC_SIZE:], "little")):
        return False
    return all(
        record.startswith(_NONE_FOLLOWS, _GROUP_REMAINING_AT) and crc32(record, SEED) == SEED
        for record in records
    )


_AFTER_A_START = [START[:size] + START for size in range(1, 5)]
"""Matches the end of a record that may be the start of another one."""


def xor(data: bytes, mask: int) -> bytes:
    """Return bytes masked, or unmasked again."""
    if not mask:
        return data
    return data.translate(_masked_bytes(mask))


@cache
def _masked_bytes(mask: int) -> bytes:
    return bytes(byte ^ mask for byte in range(256))
