"""Find the records in the bytes of a journal, intact or damaged (``docs/format.md``).

A run of intact records is followed from header to header and verified by one checksum. If that
fails, every record is checked by itself, and the next one is searched byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from operator import gt
from struct import Struct
from typing import Literal, NamedTuple
from zlib import crc32

from track.errors import NewerFormat
from track.events.record import (
    CRC_SIZE,
    HEADER_SIZE,
    MAGIC,
    MASK_AT,
    MAX_LENGTH,
    OVERHEAD,
    SEED,
    START,
    VERSION,
    WORDS,
    xor,
)

Beyond = Callable[[int], int | None]
"""Returns the offset of the first record at or after an offset in a journal, or None."""


class Damage(NamedTuple):
    """A range of bytes that holds no intact record.

    The reason is ``torn`` (cut short while written, never acknowledged) or ``corrupt``.
    """

    start: int
    end: int
    reason: Literal["torn", "corrupt"]

    def joined(self, other: Damage) -> Damage:
        """Return the joined range, which is corrupt if either part is."""
        start, end = min(self.start, other.start), max(self.end, other.end)
        return Damage(start, end, max(self.reason, other.reason, key="torn corrupt".index))


class Scan(NamedTuple):
    """The content of a piece of a journal.

    Attributes
    ----------
    ends, payloads
        the end offsets and the payloads of the intact records, in order
    damage
        the damaged ranges between them
    consumed
        the offset up to which the journal is settled; the rest may still be being written
    at_end
        whether nothing after ``consumed`` can be settled before more is appended
    """

    ends: list[int]
    payloads: list[bytes]
    damage: list[Damage]
    consumed: int
    at_end: bool


def scan(data: bytes, base: int = 0, beyond: Beyond | None = None) -> Scan:
    """Find the records in a piece of a journal that begins at a record boundary.

    Parameters
    ----------
    data
        the bytes
    base
        their offset in the journal
    beyond
        finds the next record after ``data``; None if the journal ends there

    Raises
    ------
    NewerFormat
        a record has a later format version, and nothing before it can be settled
    """
    ends, payloads = _walk(data)
    stop = ends[-1] if ends else 0
    if stop and crc32(memoryview(data)[:stop], SEED) == SEED:
        if stop == len(data):
            return Scan([base + end for end in ends], payloads, [], base + stop, beyond is None)
        rest = _scan_carefully(data, stop, base, beyond)
        ends += rest.ends
        payloads += rest.payloads
    else:
        rest = _scan_carefully(data, 0, base, beyond)
        ends, payloads = rest.ends, rest.payloads
    if base:
        ends = [base + end for end in ends]
        rest = rest._replace(
            damage=[Damage(base + start, base + end, why) for start, end, why in rest.damage],
            consumed=base + rest.consumed,
        )
    return rest._replace(ends=ends, payloads=payloads)


def _walk(data: bytes) -> tuple[list[int], list[bytes]]:
    """Follow the sound headers from the start to the last settled record.

    The caller verifies the records by one checksum over all of them.
    """
    ends: list[int] = []
    payloads: list[bytes] = []
    size, position, group_end = len(data), 0, 0
    settled = 0
    known: dict[bytes, tuple[int, int]] = {}  # equal lengths have equal headers
    following = data[:HEADER_SIZE]
    while position + OVERHEAD <= size:
        header, start = following, position + HEADER_SIZE
        words = known.get(header)
        if words is None:
            if crc32(header) != SEED or header[:4] != START:
                break
            words = known[header] = WORDS.unpack(header)
        word, group_remaining = words
        stop = start + (word & MAX_LENGTH)
        end = stop + CRC_SIZE
        if end > size:
            break
        following = data[end : end + HEADER_SIZE]
        if group_remaining or group_end:
            if group_end not in {0, end + group_remaining}:
                break
            group_end = end + group_remaining if group_remaining else 0
        elif word <= MAX_LENGTH and header == following:
            run = _walk_run(data, position, word)
            payloads += run
            position += len(run) * (end - position)
            following = data[position : position + HEADER_SIZE]
            ends += range(end, position + 1, end - start + HEADER_SIZE)
            settled = len(ends)
            continue
        payload = data[start:stop]
        payloads.append(xor(payload, word >> 24) if word > MAX_LENGTH else payload)
        ends.append(end)
        position = end
        if not group_end:
            settled = len(ends)
    del ends[settled:], payloads[settled:]
    return ends, payloads


_LONGEST_RUN = 4096

_AT_ONCE = 128
"""The number of records in one layout, since to call it for each record would take longer."""


def _walk_run(data: bytes, position: int, length: int) -> list[bytes]:
    """Return the payloads from a position on while their headers are identical."""
    header, size = data[position : position + HEADER_SIZE], length + OVERHEAD
    payloads: list[bytes] = []
    count = 16
    while count := min(count, (len(data) - position) // size):
        alike = count
        for place in range(HEADER_SIZE):
            byte, end = header[place : place + 1], position + alike * size
            column = data[position + place : end : size]
            if column != byte * alike:
                alike -= len(column.lstrip(byte))
        payloads += _payloads(data, position, alike, length)
        if alike < count:
            break
        position += count * size
        count = min(count * 8, _LONGEST_RUN)
    return payloads


def _payloads(data: bytes, position: int, count: int, length: int) -> list[bytes]:
    """Return the payloads of consecutive records of one length."""
    payloads: list[bytes] = []
    for at_once in (_AT_ONCE, 1):
        layout = _layout(length, at_once)
        for _ in range((count - len(payloads)) // at_once):
            payloads += layout.unpack_from(data, position)
            position += layout.size
    return payloads


@lru_cache(maxsize=64)
def _layout(length: int, count: int) -> Struct:
    return Struct(f"{HEADER_SIZE}x{length}s{CRC_SIZE}x" * count)


class _Found(NamedTuple):
    """An intact record, or a range without one (``payload`` is None)."""

    start: int
    end: int
    group_remaining: int
    payload: bytes | None
    reason: Literal["torn", "corrupt"] = "corrupt"


class _Header(NamedTuple):
    """A sound header without an intact record; its ``end`` and ``group_remaining`` are claims."""

    version: int
    end: int
    group_remaining: int


def _scan_carefully(data: bytes, position: int, base: int, beyond: Beyond | None) -> Scan:
    """Check every record by itself, and find the next one after any damage."""
    found: list[_Found] = []
    size, at_end, newer = len(data), beyond is None, 0
    while position < size:
        record = _record_at(data, position)
        if isinstance(record, _Found):
            found.append(record)
            position = record.end
            continue
        if record is not None and record.version > VERSION:
            newer = record.version
            break  # return the readable records before it first
        if record is not None and record.end > size and beyond is not None:
            break  # the rest of it must be read from the journal
        following = _following(data, position + 1, base, beyond)
        if following is None:
            at_end = True
            break
        torn = _is_torn(data, position, following)
        found.append(_Found(position, following, 0, None, "torn" if torn else "corrupt"))
        position = following
    result = _settle_groups(data, found, position, at_end=at_end)
    if newer and not result.consumed:
        raise _newer_format(newer, base + position)
    return result._replace(at_end=at_end and not newer)


def _record_at(data: bytes, position: int) -> _Found | _Header | None:
    """Return the intact record at a position, else a sound header if there is one."""
    size = len(data)
    start = position + HEADER_SIZE
    if start > size:
        begun = data[position:size]
        return _Header(VERSION, size + 1, 0) if MAGIC.startswith(begun[: len(MAGIC)]) else None
    header = data[position:start]
    version = header[len(MAGIC)]
    if not header.startswith(MAGIC) or version < VERSION or crc32(header) != SEED:
        return None
    word, group_remaining = WORDS.unpack(header)
    stop = start + (word & MAX_LENGTH)
    end = stop + CRC_SIZE
    if version > VERSION or end > size or crc32(memoryview(data)[position:end], SEED) != SEED:
        return _Header(version, end, group_remaining)
    payload = data[start:stop]
    payload = xor(payload, word >> 24) if word > MAX_LENGTH else payload
    return _Found(position, end, group_remaining, payload)


def salvage(data: bytes) -> Iterator[bytes]:
    """Yield possible payloads in a damaged range, whole or partial."""
    headers = list(_headers(data, 0, len(data)))
    for position, header in headers:
        start, stop = position + HEADER_SIZE, header.end - CRC_SIZE
        yield xor(data[start:stop], data[position + MASK_AT])
    if not headers:  # the header may be damaged
        mask = data[MASK_AT] if data.startswith(MAGIC) and len(data) > MASK_AT else 0
        yield xor(data[HEADER_SIZE:-CRC_SIZE], mask)


def _newer_format(version: int, position: int) -> NewerFormat:
    return NewerFormat(
        f"the record at byte {position} has format version {version}, this version of Track reads "
        f"up to {VERSION}: upgrade the package 'track-journal'"
    )


def find_record(read: Callable[[int, int], bytes], window: int, position: int) -> int | None:
    """Return the offset of the next intact record or record of a newer format, or None.

    Parameters
    ----------
    read
        returns a piece of the journal by offset and size, shorter only at its end
    window
        the number of bytes to read at a time, unless a record is larger
    position
        the first offset to consider
    """
    size = window = max(window, HEADER_SIZE)
    while True:
        data = read(position, size)
        at_end = len(data) < size
        start, record = _next_record(data, 0, at_end=at_end)
        if record is not None and _is_certain(record):
            return position + start
        if at_end:
            return None
        position += start
        size = window if record is None else max(window, record.end - start)


def _following(data: bytes, position: int, base: int, beyond: Beyond | None) -> int | None:
    """Return the offset of the next record, possibly after the data; see :func:`find_record`."""
    start, record = _next_record(data, position, at_end=beyond is None)
    if record is not None and _is_certain(record):
        return start
    following = None if beyond is None else beyond(base + start)
    return None if following is None else following - base


def _next_record(
    data: bytes, position: int, *, at_end: bool
) -> tuple[int, _Found | _Header | None]:
    """Return the offset of the first record that is certain, or may become so with more data.

    Without one, return the offset at which to continue with more data, and None.
    """
    size = len(data)
    while (found := data.find(MAGIC, position)) >= 0:
        record = _record_at(data, found)
        if record is not None and (_is_certain(record) or (record.end > size and not at_end)):
            return found, record
        position = found + 1
    # The magic may straddle the end of the data.
    return (size if at_end else max(position, size - len(MAGIC) + 1)), None


def _is_certain(record: _Found | _Header) -> bool:
    """Return whether a record is intact or of a newer format, so that reading continues there."""
    return isinstance(record, _Found) or record.version > VERSION


def _is_torn(data: bytes, start: int, end: int) -> bool:
    """Return whether a range begins with a record cut short and holds nothing else.

    If the header claims no more bytes than there are before the next record, its record was
    written whole, so it may have been acknowledged.
    """
    headers = [*_headers(data, start, end)]
    begins = [*(position for position, _ in headers), end]
    promised = (header.end for _, header in headers)
    return begins[0] == start and all(map(gt, promised, begins[1:]))


def _settle_groups(data: bytes, found: list[_Found], consumed: int, *, at_end: bool) -> Scan:
    """Drop the groups that were not written whole.

    A group counts if the journal is settled up to its end and no foreign record begins before that
    end. (Damage inside a group that was written whole costs only the damaged records.)
    """
    # To know whether a header begins before an offset takes 15 more bytes.
    reach = consumed if at_end else min(consumed, len(data) - HEADER_SIZE + 1)
    settled: list[_Found] = []
    index = 0
    while index < len(found):
        item = found[index]
        group_end = item.end + item.group_remaining
        if item.payload is None or not item.group_remaining:
            settled.append(item)
            index += 1
            continue
        after = index
        while after < len(found) and found[after].start < group_end:
            after += 1
        stranger = _foreign_record(data, found[index:after], group_end)
        if stranger is not None:
            settled.append(_Found(item.start, stranger, 0, None, "torn"))
            while found[index].end <= stranger:
                index += 1
            found[index] = found[index]._replace(start=stranger)
        elif group_end > reach:
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
        at_end,
    )


def _foreign_record(data: bytes, members: list[_Found], group_end: int) -> int | None:
    """Return the offset of a record inside a group that names another end, or None."""
    for member in members:
        if member.payload is not None:
            if member.end + member.group_remaining != group_end:
                return member.start
            continue
        for position, header in _headers(data, member.start, min(member.end, group_end)):
            if header.end + header.group_remaining != group_end:
                return position
    return None


def _headers(data: bytes, start: int, end: int) -> Iterator[tuple[int, _Header]]:
    """Yield the sound headers, with their offsets, in a range without intact records."""
    position, last = start - 1, end + len(MAGIC) - 1
    while (position := data.find(MAGIC, position + 1, last)) >= 0:
        record = _record_at(data, position)
        if isinstance(record, _Header) and position + HEADER_SIZE <= len(data):
            yield position, record


def _merge(damage: list[Damage]) -> list[Damage]:
    """Join adjacent ranges."""
    merged: list[Damage] = []
    for piece in damage:
        touches = merged and merged[-1].end == piece.start
        merged.append(merged.pop().joined(piece) if touches else piece)
    return merged
