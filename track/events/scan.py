"""Find the records in the bytes of a journal, intact or damaged (``docs/format.md``).

A run of sound records is followed from header to header and proved by one checksum. Where that
fails, every record is checked by itself, and the next one is looked for byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
"""An offset in a journal -> where the first record at or behind it begins, None without one."""


class Damage(NamedTuple):
    """A range of bytes that holds no intact record.

    ``torn``: cut short while it was written, never acknowledged. ``corrupt``: anything else.
    """

    start: int
    end: int
    reason: Literal["torn", "corrupt"]

    def joined(self, other: Damage) -> Damage:
        """Return the range of both; what may have been acknowledged decides what is said of it."""
        start, end = min(self.start, other.start), max(self.end, other.end)
        return Damage(start, end, max(self.reason, other.reason, key="torn corrupt".index))


class Scan(NamedTuple):
    """What a piece of a journal holds.

    Attributes
    ----------
    ends, payloads
        of the intact records, in order; ``ends`` are offsets just past each record
    damage
        the ranges in between
    consumed
        offset up to which the journal is settled; what follows may still be in the writing
    at_end
        whether nothing behind ``consumed`` can be settled before more is appended
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
        what finds the next record where ``data`` does not tell; None when the journal ends there

    Raises
    ------
    NewerFormat
        a record has a later format version, and nothing in front of it can be settled
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
    """Follow the sound headers from the start, up to the last settled record.

    The caller proves or refutes the records with one checksum over all that was walked.
    """
    ends: list[int] = []
    payloads: list[bytes] = []
    size, position, group_end = len(data), 0, 0
    settled = 0
    unpack = WORDS.unpack
    while position + OVERHEAD <= size:
        start = position + HEADER_SIZE
        header = data[position:start]
        if crc32(header) != SEED or header[:4] != START:
            break
        word, rest = unpack(header)
        stop = start + (word & MAX_LENGTH)
        end = stop + CRC_SIZE
        if end > size:
            break
        if rest or group_end:
            if group_end not in {0, end + rest}:
                break
            group_end = end + rest if rest else 0
        elif word <= MAX_LENGTH and header == data[end : end + HEADER_SIZE]:
            run = _walk_run(data, position, word)
            payloads += run
            position += len(run) * (end - position)
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


def _walk_run(data: bytes, position: int, length: int) -> list[bytes]:
    """Return the payloads from a position on, as far as all have the very same header."""
    header = data[position : position + HEADER_SIZE]
    layout = Struct(f"{HEADER_SIZE}s{length}s{CRC_SIZE}x")
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


def _scan_carefully(data: bytes, position: int, base: int, beyond: Beyond | None) -> Scan:
    """Check every record by itself, and find the next one past any damage."""
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
            break  # what comes before it is readable
        if record is not None and record.end > size and beyond is not None:
            break  # the rest of it is in the journal
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
    """Return the intact record at a position, else what may be the header of one."""
    size = len(data)
    start = position + HEADER_SIZE
    if start > size:
        begun = data[position:size]
        return _Header(VERSION, size + 1, 0) if MAGIC.startswith(begun[: len(MAGIC)]) else None
    header = data[position:start]
    version = header[len(MAGIC)]
    if not header.startswith(MAGIC) or version < VERSION or crc32(header) != SEED:
        return None
    word, rest = WORDS.unpack(header)
    stop = start + (word & MAX_LENGTH)
    end = stop + CRC_SIZE
    if version > VERSION or end > size or crc32(memoryview(data)[position:end], SEED) != SEED:
        return _Header(version, end, rest)
    payload = data[start:stop]
    return _Found(position, end, rest, xor(payload, word >> 24) if word > MAX_LENGTH else payload)


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
            position, _ = _next_record(data, position + 1, at_end=True)
    return found


def salvage(data: bytes) -> Iterator[bytes]:
    """Yield what may be left of the payloads in a damaged range, whole or not."""
    headers = list(_headers(data, 0, len(data)))
    for position, header in headers:
        start, stop = position + HEADER_SIZE, header.end - CRC_SIZE
        yield xor(data[start:stop], data[position + MASK_AT])
    if not headers:  # the damage may be that of the header
        mask = data[MASK_AT] if data.startswith(MAGIC) and len(data) > MASK_AT else 0
        yield xor(data[HEADER_SIZE:-CRC_SIZE], mask)


def _newer_format(version: int, position: int) -> NewerFormat:
    return NewerFormat(
        f"the record at byte {position} has format version {version}, this version of Track reads "
        f"up to {VERSION}: upgrade the package 'track-journal'"
    )


def find_record(read: Callable[[int, int], bytes], window: int, position: int) -> int | None:
    """Return where the next intact record, or one of a newer format, begins; None without one.

    Parameters
    ----------
    read
        offset, size -> that piece of the journal, shorter only where the journal ends
    window
        how many bytes to read at a time; only a record that is larger is read at once
    position
        the first offset at which it may begin
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
    """Return where the next record begins, see :func:`find_record`, maybe behind the data."""
    start, record = _next_record(data, position, at_end=beyond is None)
    if record is not None and _is_certain(record):
        return start
    following = None if beyond is None else beyond(base + start)
    return None if following is None else following - base


def _next_record(
    data: bytes, position: int, *, at_end: bool
) -> tuple[int, _Found | _Header | None]:
    """Return where the first record begins that is certain, or may become so with more data.

    Without one, return where to go on when there is more data, and None.
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
    """Return whether reading goes on at a record: it is intact, or of a newer format."""
    return isinstance(record, _Found) or record.version > VERSION


def _is_torn(data: bytes, start: int, end: int) -> bool:
    """Return whether a stretch begins with a record cut short, and holds nothing else.

    A header that does not promise more bytes than there are before the next one is of a record that
    was written whole, so it may have been acknowledged.
    """
    headers = [*_headers(data, start, end)]
    begins = [*(position for position, _ in headers), end]
    promised = (header.end for _, header in headers)
    return begins[0] == start and all(map(gt, promised, begins[1:]))


def _settle_groups(data: bytes, found: list[_Found], consumed: int, *, at_end: bool) -> Scan:
    """Drop the groups that were not written whole.

    A group counts when the journal is settled up to its end and no record that is not part of it
    begins before that end. (Damage inside a group that was written whole costs only itself.)
    """
    # Whether a header begins before some offset, 15 more bytes tell.
    reach = consumed if at_end else min(consumed, len(data) - HEADER_SIZE + 1)
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
        touches = merged and merged[-1].end == piece.start
        merged.append(merged.pop().joined(piece) if touches else piece)
    return merged
