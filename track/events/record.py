"""Payload <-> framed record. Pure bytes; the format is the page ``docs/format.md``.

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

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Literal, NamedTuple
from zlib import crc32

from track.errors import EncodingError, NewerFormat

MAGIC = b"\xc1TJ"
VERSION = 1
_START = MAGIC + bytes((VERSION,))
SEED = 0x2144DF1C

_FIELDS = Struct("<3sBII")
_HEADER = Struct("<3sBIII")
_CRC = Struct("<I")
HEADER_SIZE = _HEADER.size
_MASK_AT = 7
"""Offset of the mask in a header."""

OVERHEAD = HEADER_SIZE + _CRC.size
MAX_LENGTH = 2**24 - 1
MAX_GROUP = 2**26
"""Bytes of one group of records: a reader holds a whole group before it can yield any of it."""


class Damage(NamedTuple):
    """A range of bytes that holds no intact record.

    ``torn``: cut short while it was written, never acknowledged. ``corrupt``: anything else.
    """

    start: int
    end: int
    reason: Literal["torn", "corrupt"]


class Scan(NamedTuple):
    """What a piece of a journal holds.

    Attributes
    ----------
    ends, payloads
        of the intact records, in order; ``ends`` are offsets just past each record
    damage
        the ranges in between
    consumed
        offset up to which the piece is settled; what follows may still be in the writing
    """

    ends: list[int]
    payloads: list[bytes]
    damage: list[Damage]
    consumed: int


def _header(length: int, mask: int, rest: int) -> bytes:
    if length > MAX_LENGTH:
        raise EncodingError(f"a payload of {length} bytes is over the limit of {MAX_LENGTH}")
    fields = _FIELDS.pack(MAGIC, VERSION, length | mask << 24, rest)
    return fields + _CRC.pack(crc32(fields))


_plain_headers: dict[int, bytes] = {}
"""Headers of lone unmasked records by payload length: most records have one of few lengths."""


def frame(payload: bytes, rest: int = 0) -> bytes:
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
    if not rest and not (MAGIC[0] in payload and MAGIC in payload):
        length = len(payload)
        record = (_plain_headers.get(length) or _plain_header(length)) + payload
        crc = crc32(record, SEED)
        if crc >> 24 not in _START or not _ends_in_a_start(crc):
            return record + crc.to_bytes(4, "little")
    return _frame_masked(payload, rest)


def _plain_header(length: int) -> bytes:
    header = _header(length, 0, 0)
    if length < 4096:  # noqa: PLR2004 - bounds the cache, any number does
        _plain_headers[length] = header
    return header


def _frame_masked(payload: bytes, rest: int) -> bytes:
    """Return the record with the smallest mask under which nothing in it misleads a reader."""
    for mask in range(256):
        masked = _xor(payload, mask)
        if MAGIC in masked:
            continue
        record = _header(len(payload), mask, rest) + masked
        crc = crc32(record, SEED)
        if not _ends_in_a_start(crc):
            return record + crc.to_bytes(4, "little")
    # Each of the masks needs three bytes of its own in the payload to fail, so only a payload built
    # for it gets here. Refusing it is better than giving up the guarantee for everybody.
    raise EncodingError("the value was crafted so that no record can hold it: log it with log_file")


def _ends_in_a_start(crc: int) -> bool:
    """Whether a closing CRC ends in what a record starts with.

    If such a record was cut short by as much, the next one would complete it, and lack its start.
    """
    trailer = crc.to_bytes(4, "little")
    return any(trailer.endswith(_START[:size]) for size in range(1, 5))


def frame_group(payloads: Sequence[bytes]) -> bytes:
    """Return the records of payloads that are appended together, all or none.

    Raises
    ------
    EncodingError
        together they are larger than :data:`MAX_GROUP`
    """
    rest = sum(map(len, payloads)) + OVERHEAD * len(payloads)
    if rest > MAX_GROUP:
        raise EncodingError(
            f"{len(payloads)} events of {rest} bytes cannot be appended as one, the limit is "
            f"{MAX_GROUP} bytes: append them in smaller batches"
        )
    records = []
    for payload in payloads:
        rest -= len(payload) + OVERHEAD
        records.append(frame(payload, rest))
    return b"".join(records)


def _xor(data: bytes, mask: int) -> bytes:
    if not mask:
        return data
    return data.translate(bytes(byte ^ mask for byte in range(256)))


def scan(data: bytes, base: int = 0, *, at_end: bool = True) -> Scan:
    """Find the records in a piece of a journal that begins at a record boundary.

    Parameters
    ----------
    data
        the bytes
    base
        their offset in the journal
    at_end
        whether the journal ends where ``data`` does

    Raises
    ------
    NewerFormat
        an intact record has a later format version
    """
    ends, payloads = _walk(data)
    stop = ends[-1] if ends else 0
    if stop and crc32(memoryview(data)[:stop], SEED) == SEED:
        if stop == len(data):
            return Scan([base + end for end in ends], payloads, [], base + stop)
        rest = _scan_carefully(data, stop, base, at_end=at_end)
        ends += rest.ends
        payloads += rest.payloads
    else:
        rest = _scan_carefully(data, 0, base, at_end=at_end)
        ends, payloads = rest.ends, rest.payloads
    if base:
        ends = [base + end for end in ends]
        rest = rest._replace(
            damage=[Damage(base + start, base + end, why) for start, end, why in rest.damage],
            consumed=base + rest.consumed,
        )
    return rest._replace(ends=ends, payloads=payloads)


def _walk(data: bytes) -> tuple[list[int], list[bytes]]:
    """Follow the headers from the start, trusting them, up to the last settled record.

    The caller proves or refutes the trust with one checksum over all that was walked.
    """
    ends: list[int] = []
    payloads: list[bytes] = []
    size, position, group_end = len(data), 0, 0
    settled = 0
    unpack = _HEADER.unpack_from
    while position + OVERHEAD <= size:
        magic, version, word, rest, _ = unpack(data, position)
        start = position + HEADER_SIZE
        stop = start + (word & MAX_LENGTH)
        end = stop + 4
        if magic != MAGIC or version != VERSION or end > size:
            break
        if rest or group_end:
            if group_end not in {0, end + rest}:
                break
            group_end = end + rest if rest else 0
        elif word <= MAX_LENGTH and data[position:start] == data[end : end + HEADER_SIZE]:
            run = _walk_run(data, position, word)
            payloads += run
            position += len(run) * (end - position)
            ends += range(end, position + 1, end - start + HEADER_SIZE)
            settled = len(ends)
            continue
        payload = data[start:stop]
        payloads.append(_xor(payload, word >> 24) if word > MAX_LENGTH else payload)
        ends.append(end)
        position = end
        if not group_end:
            settled = len(ends)
    del ends[settled:], payloads[settled:]
    return ends, payloads


_LONGEST_RUN = 4096


def _walk_run(data: bytes, position: int, length: int) -> list[bytes]:
    """Return the payloads from a position on, as far as all have the very same header."""
    header = data[position : position + HEADER_SIZE]
    layout = Struct(f"{HEADER_SIZE}s{length}s{_CRC.size}x")
    payloads: list[bytes] = []
    count = 8
    while count := min(count, (len(data) - position) // layout.size):
        piece = memoryview(data)[position : position + count * layout.size]
        headers, found = zip(*layout.iter_unpack(piece), strict=True)
        if headers.count(header) != count:
            same = next(index for index, other in enumerate(headers) if other != header)
            payloads += found[:same]
            break
        payloads += found
        position += count * layout.size
        count = min(count * 4, _LONGEST_RUN)
    return payloads


class _Found(NamedTuple):
    """An intact record, or a stretch without one (``payload`` is None)."""

    start: int
    end: int
    rest: int
    payload: bytes | None
    reason: Literal["torn", "corrupt"] = "corrupt"


class _Header(NamedTuple):
    """A sound header without an intact record; its ``end`` and ``rest`` are what it claims."""

    version: int
    end: int
    rest: int


def _scan_carefully(data: bytes, position: int, base: int, *, at_end: bool) -> Scan:
    """Check every record by itself, and find the next one past any damage."""
    found: list[_Found] = []
    size, start = len(data), position
    while position < size:
        record = _record_at(data, position)
        if isinstance(record, _Found):
            found.append(record)
            position = record.end
            continue
        if record is not None and record.version > VERSION:
            if start == position == 0:
                raise _newer_format(record.version, base)
            break  # what comes before it is readable
        following = _next_record(data, position + 1)
        if following < size:
            torn = record is not None and following < record.end
            found.append(_Found(position, following, 0, None, "torn" if torn else "corrupt"))
            position = following
            continue
        if at_end or (record is not None and record.end > size):
            break
        # Nothing here can become a record, except that the magic may straddle the end.
        following = _next_candidate(data, position + 1)
        found.append(_Found(position, following, 0, None))
        position = following
    return _settle_groups(data, found, position)


def _record_at(data: bytes, position: int) -> _Found | _Header | None:
    """Return the intact record at a position, else what may be the header of one."""
    size = len(data)
    start = position + HEADER_SIZE
    if start > size:
        begun = data[position:size]
        return _Header(VERSION, size + 1, 0) if MAGIC.startswith(begun[: len(MAGIC)]) else None
    magic, version, word, rest, header_crc = _HEADER.unpack_from(data, position)
    fields_end = position + _FIELDS.size
    if magic != MAGIC or version < VERSION or crc32(data[position:fields_end]) != header_crc:
        return None
    stop = start + (word & MAX_LENGTH)
    end = stop + _CRC.size
    if version > VERSION or end > size or crc32(memoryview(data)[position:end], SEED) != SEED:
        return _Header(version, end, rest)
    payload = data[start:stop]
    return _Found(position, end, rest, _xor(payload, word >> 24) if word > MAX_LENGTH else payload)


def records(data: bytes) -> list[tuple[int, bytes]]:
    """Return the intact records of a piece that is known to be settled, and where each ends.

    Unlike :func:`scan` this asks for no whole groups, so the piece may begin and end in one.
    """
    found: list[tuple[int, bytes]] = []
    position = 0
    while position < len(data):
        record = _record_at(data, position)
        if isinstance(record, _Found) and record.payload is not None:
            found.append((record.end, record.payload))
            position = record.end
        else:
            position = _next_record(data, position + 1)
    return found


def remains(data: bytes) -> Iterator[bytes]:
    """Yield what may be left of the payloads in a damaged range, whole or not."""
    headers = list(_headers(data, 0, len(data)))
    for position, header in headers:
        start, stop = position + HEADER_SIZE, header.end - _CRC.size
        yield _xor(data[start:stop], data[position + _MASK_AT])
    if not headers:  # the damage may be that of the header
        mask = data[_MASK_AT] if data.startswith(MAGIC) and len(data) > _MASK_AT else 0
        yield _xor(data[HEADER_SIZE : -_CRC.size], mask)


def _newer_format(version: int, position: int) -> NewerFormat:
    return NewerFormat(
        f"the record at byte {position} has format version {version}, this version of Track reads "
        f"up to {VERSION}: upgrade the package 'track-journal'"
    )


def _next_record(data: bytes, position: int) -> int:
    """Return where the next intact record, or one of a newer format, starts; else the end."""
    while (position := data.find(MAGIC, position)) >= 0:
        record = _record_at(data, position)
        if isinstance(record, _Found) or (record is not None and record.version > VERSION):
            return position
        position += 1
    return len(data)


def _next_candidate(data: bytes, position: int) -> int:
    """Return the first position from which more data could make an intact record, else the end."""
    size = len(data)
    while (position := data.find(MAGIC[0], position)) >= 0:
        record = _record_at(data, position)
        if record is not None and record.end > size:
            return position
        position += 1
    return size


def _settle_groups(data: bytes, found: list[_Found], consumed: int) -> Scan:
    """Drop the groups that were not written whole.

    A group counts when the journal is settled up to its end and no record that is not part of it
    begins before that end. (Damage inside a group that was written whole costs only itself.)
    """
    settled: list[_Found] = []
    index = 0
    while index < len(found):
        item = found[index]
        group_end = item.end + item.rest
        if item.payload is None or not item.rest:
            settled.append(item)
            index += 1
            continue
        after = index
        while after < len(found) and found[after].start < group_end:
            after += 1
        stranger = _stranger(data, found[index:after], group_end)
        if stranger is not None:
            settled.append(_Found(item.start, stranger, 0, None, "torn"))
            while found[index].end <= stranger:
                index += 1
            found[index] = found[index]._replace(start=stranger)
        elif group_end > consumed:
            consumed = item.start
            break
        else:
            settled.extend(found[index:after])
            index = after
    return Scan(
        [item.end for item in settled if item.payload is not None],
        [item.payload for item in settled if item.payload is not None],
        _merge([Damage(i.start, i.end, i.reason) for i in settled if i.payload is None]),
        consumed,
    )


def _stranger(data: bytes, members: list[_Found], group_end: int) -> int | None:
    """Return where something begins, before the end of a group, that names another end."""
    for member in members:
        if member.payload is not None:
            if member.end + member.rest != group_end:
                return member.start
            continue
        for position, header in _headers(data, member.start, min(member.end, group_end)):
            if header.end + header.rest != group_end:
                return position
    return None


def _headers(data: bytes, start: int, end: int) -> Iterator[tuple[int, _Header]]:
    """Yield the sound headers that begin in a stretch without intact records, and where."""
    position, last = start - 1, end + len(MAGIC) - 1
    while (position := data.find(MAGIC, position + 1, last)) >= 0:
        record = _record_at(data, position)
        if isinstance(record, _Header) and position + HEADER_SIZE <= len(data):
            yield position, record


def _merge(damage: list[Damage]) -> list[Damage]:
    """Join ranges that touch."""
    merged: list[Damage] = []
    for piece in damage:
        if merged and merged[-1].end == piece.start:
            merged[-1] = merged[-1]._replace(end=piece.end)
        else:
            merged.append(piece)
    return merged
