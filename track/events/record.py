"""Frame payloads as records; pure bytes, specified in ``docs/format.md``.

::

    magic 3 | version 1 | payload length 3 | mask 1 | rest 4 | header CRC 4 | payload | CRC 4

Two properties carry the whole of recovery:

* The magic bytes never occur inside a payload (``mask`` sees to that), so an intact record found
  anywhere is a record somebody appended, never a piece of another one.
* The closing CRC continues from :data:`SEED`, and a CRC-32 over data and its own checksum always
  ends in that very value. A run of intact records therefore maps ``SEED`` to ``SEED``: one call
  checks a megabyte.
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

CRC_SIZE = _CRC.size
OVERHEAD = HEADER_SIZE + CRC_SIZE
MAX_LENGTH = 2**24 - 1
MAX_GROUP = 2**26
"""Bytes of one group of records: a reader holds a whole group before it can yield any of it."""


def _header(length: int, mask: int, group_remaining: int) -> bytes:
    if length > MAX_LENGTH:
        raise EncodingError(f"a payload of {length} bytes is over the limit of {MAX_LENGTH}")
    fields = _FIELDS.pack(MAGIC, VERSION, length | mask << 24, group_remaining)
    return fields + _CRC.pack(crc32(fields))


_COMMON = 4096
"""Payloads that are shorter have their headers kept; it bounds what is kept, any number does."""

_plain_headers: dict[int, bytes] = {}
"""Headers of lone unmasked records by payload length: most records have one of few lengths."""


def frame(payload: bytes, group_remaining: int = 0) -> bytes:
    """Return the record of a payload.

    Parameters
    ----------
    payload
        at most :data:`MAX_LENGTH` bytes
    rest
        bytes of the group that follow this record; 0 for the last, or only, record of an append

    Raises
    ------
    EncodingError
        the payload was crafted to defeat the mask
    """
    # Looking for one byte takes a tenth of the time of looking for three.
    if not group_remaining and not (MAGIC[0] in payload and MAGIC in payload):
        length = len(payload)
        record = (_plain_headers.get(length) or _plain_header(length)) + payload
        crc = crc32(record, SEED)
        if crc >> 24 not in START or not _ends_in_a_start(crc):
            return record + crc.to_bytes(4, "little")
    return _frame_masked(payload, group_remaining)


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
    header = _header(length, 0, 0)
    if length < _COMMON:
        _plain_headers[length] = header
    return header


def _frame_masked(payload: bytes, group_remaining: int) -> bytes:
    """Return the record with the smallest mask under which nothing in it misleads a reader."""
    for mask in range(256):
        masked = xor(payload, mask)
        if MAGIC in masked:
            continue
        record = _header(len(payload), mask, group_remaining) + masked
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
    group_remaining = sum(map(len, payloads)) + OVERHEAD * len(payloads)
    if group_remaining > MAX_GROUP:
        raise EncodingError(
            f"{len(payloads)} events of {group_remaining} bytes cannot be appended as one: "
            f"the limit is {MAX_GROUP} bytes, append them in smaller batches"
        )
    records = []
    for payload in payloads:
        group_remaining -= len(payload) + OVERHEAD
        records.append(frame(payload, group_remaining))
    return b"".join(records)


def xor(data: bytes, mask: int) -> bytes:
    """Return bytes masked, or unmasked again."""
    if not mask:
        return data
    return data.translate(bytes(byte ^ mask for byte in range(256)))
