"""Frame payloads as records; pure bytes, specified in ``docs/format.md``.

::

    magic 3 | version 1 | payload length 3 | mask 1 | rest 4 | header CRC 4 | payload | CRC 4

Two properties carry the whole of recovery:

* The magic bytes never occur inside a payload (``mask`` sees to that), so an intact record found
  anywhere is a record somebody appended, never a piece of another one.
* The closing CRC continues from :data:`SEED`, and a CRC-32 over data and its own checksum always
  ends in that very value. A run of intact records therefore maps ``SEED`` to ``SEED``: one call
  checks a megabyte.

A third one carries delivery: a header ends with its own CRC, so the closing CRC is the same
whatever the header says. Payload and closing CRC are sealed where an event is recorded; to append
the record elsewhere, its header alone is written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from zlib import crc32

from track.errors import EncodingError

MAGIC = b"\xc1TJ"
VERSION = 1
START = MAGIC + bytes((VERSION,))
SEED = 0x2144DF1C

_FIELDS = Struct("<3sBII")
WORDS = Struct("<4xII4x")
"""Of a header: the length and the mask as one number, and the rest."""
_CRC = Struct("<I")
HEADER_SIZE = WORDS.size
MASK_AT = 7
"""Offset of the mask in a header."""
_REST_AT = 8
"""Offset of the number of bytes of the group that follow, in a header."""

CRC_SIZE = _CRC.size
OVERHEAD = HEADER_SIZE + CRC_SIZE
MAX_LENGTH = 2**24 - 1
MAX_GROUP = 2**26
"""Bytes of one group of records: a reader holds a whole group before it can yield any of it."""


Record = bytes
"""A whole record, header included, as a writer made it."""


def _header(length: int, mask: int) -> bytes:
    if length > MAX_LENGTH:
        raise EncodingError(f"a payload of {length} bytes is over the limit of {MAX_LENGTH}")
    fields = _FIELDS.pack(MAGIC, VERSION, length | mask << 24, 0)
    return fields + _CRC.pack(crc32(fields))


_COMMON = 4096
"""Payloads that are shorter have their headers kept; it bounds what is kept, any number does."""

_plain_headers: dict[int, bytes] = {}
"""Headers of lone unmasked records by payload length: most records have one of few lengths."""


def frame(payload: bytes) -> Record:
    """Return the record of a payload that is appended alone.

    Parameters
    ----------
    payload
        at most :data:`MAX_LENGTH` bytes

    Raises
    ------
    EncodingError
        the payload was crafted to defeat the mask
    """
    # Looking for one byte takes a tenth of the time of looking for three.
    if not (MAGIC[0] in payload and MAGIC in payload):
        length = len(payload)
        record = (_plain_headers.get(length) or _plain_header(length)) + payload
        crc = crc32(record, SEED)
        if crc >> 24 not in START or not _ends_in_a_start(crc):
            return record + crc.to_bytes(4, "little")
    return _frame_masked(payload)


def framer(prefix: bytes) -> Callable[[bytes], bytes]:
    """Return what frames payloads that begin alike: given the rest of one, it returns the record.

    It does what :func:`frame` does with the whole payload, but for what can be done once.
    """
    starts: dict[int, tuple[bytes, int]] = {}
    """Length of the rest -> what comes before it in a plain record, and the checksum of that."""

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

    # What ends a prefix must not become a magic with what follows.
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
    """Return the record with the smallest mask under which nothing in it misleads a reader."""
    for mask in range(256):
        masked = xor(payload, mask)
        if MAGIC in masked:
            continue
        record = _header(len(payload), mask) + masked
        crc = crc32(record, SEED)
        if not _ends_in_a_start(crc):
            return record + crc.to_bytes(4, "little")
    # Each of the masks needs three bytes of its own in the payload to fail, so only a payload built
    # for it gets here. Refusing it is better than giving up the guarantee for everybody.
    raise EncodingError("the value was crafted so that no record can hold it: log it with log_file")


def _ends_in_a_start(crc: int) -> bool:
    """Return whether a closing CRC ends with the bytes that begin a record.

    If such a record was cut short by as much, the next one would complete it, and lack its start.
    """
    trailer = crc.to_bytes(4, "little")
    return any(trailer.endswith(START[:size]) for size in range(1, 5))


def frame_group(payloads: Sequence[bytes]) -> bytes:
    """Return the records of payloads that are appended together, all or none.

    Raises
    ------
    EncodingError
        together they are larger than :data:`MAX_GROUP`
    """
    _check_group(len(payloads), sum(map(len, payloads)) + OVERHEAD * len(payloads))
    return group([*map(frame, payloads)])


def group(records: Sequence[Record]) -> bytes:
    """Return records as they are appended together, all or none.

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
        head = record[:_REST_AT] + remaining.to_bytes(4, "little")
        parts += head, crc32(head).to_bytes(4, "little"), record[HEADER_SIZE:]
    return b"".join(parts)


def _check_group(count: int, size: int) -> None:
    if size > MAX_GROUP:
        raise EncodingError(
            f"{count} events of {size} bytes cannot be appended as one: "
            f"the limit is {MAX_GROUP} bytes, append them in smaller batches"
        )


def alone(record: Record) -> Record:
    """Return a record that belongs to no group."""
    return record if record.startswith(_NONE_FOLLOWS, _REST_AT) else group([record])


_NONE_FOLLOWS = bytes(4)


def payload_of(record: Record) -> bytes:
    """Return the payload of a record."""
    return xor(record[HEADER_SIZE:-CRC_SIZE], record[MASK_AT])


def are_sound(records: Sequence[Record], data: bytes) -> bool:
    """Return whether records hold all that readers rely on, so that they may go into a journal.

    Parameters
    ----------
    records
        what looks like records that are appended alone
    data
        all of their bytes
    """
    if data.count(MAGIC) != len(records) or any(start in data for start in _AFTER_A_START):
        return False
    if records and _ends_in_a_start(int.from_bytes(data[-CRC_SIZE:], "little")):
        return False
    return all(
        record.startswith(_NONE_FOLLOWS, _REST_AT) and crc32(record, SEED) == SEED
        for record in records
    )


_AFTER_A_START = [START[:size] + START for size in range(1, 5)]
"""A record that ends in what a record starts with, and the next one."""


def xor(data: bytes, mask: int) -> bytes:
    """Return bytes masked, or unmasked again."""
    if not mask:
        return data
    return data.translate(bytes(byte ^ mask for byte in range(256)))
