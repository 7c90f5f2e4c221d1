"""A reader of journals, written from docs/format.md and from nothing else: no window, no hurry.

It looks at one byte after the other, and keeps to the order of the page. What Track reads, however
it does it, is what this reads.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, NamedTuple

MAGIC, SEED = b"\xc1TJ", 0x2144DF1C


class Header(NamedTuple):
    """A sound header: where it begins, and what it says."""

    start: int
    version: int
    end: int
    group_end: int


class Reading(NamedTuple):
    """What a journal says: payloads by position, damaged ranges, where the unsettled tail begins.

    ``newer`` is where a record of a later format version is, None without one.
    """

    events: dict[int, bytes]
    damage: list[tuple[int, int]]
    tail: int
    newer: int | None


def sound_header(data: bytes, start: int) -> Header | None:
    """Return the sound header at an offset."""
    if data[start : start + 3] != MAGIC or len(data) < start + 16:
        return None
    version, word, rest, header_crc = struct.unpack_from("<BIII", data, start + 3)
    if version == 0 or zlib.crc32(data[start : start + 12]) != header_crc:
        return None
    end = start + 20 + (word & 0xFFFFFF)
    return Header(start, version, end, end + rest)


def payload_at(data: bytes, header: Header) -> bytes | None:
    """Return the payload of a record that is intact."""
    if header.version != 1 or header.end > len(data):
        return None
    (record_crc,) = struct.unpack_from("<I", data, header.end - 4)
    if zlib.crc32(data[header.start : header.end - 4], SEED) != record_crc:
        return None
    mask = data[header.start + 7]
    return bytes(byte ^ mask for byte in data[header.start + 16 : header.end - 4])


def read_journal(data: bytes) -> Reading:
    """Follow the section "Reading and recovery"."""
    records: list[tuple[Header, bytes]] = []
    holes: list[tuple[int, int]] = []
    newer, here, settled = None, 0, 0
    while (here := data.find(MAGIC, here)) >= 0:
        header = sound_header(data, here)
        payload = payload_at(data, header) if header else None
        if header and (payload is not None or header.version > 1):
            if here > settled:
                holes.append((settled, here))
            settled = here
            if payload is None:
                newer = here
                break
            records.append((header, payload))
            here = settled = header.end
        else:
            here += 1
    events, torn, tail = settle(data, records, holes, settled)
    damage = [piece for piece in [*holes, *torn] if piece[1] <= tail]
    return Reading(events, joined(damage), tail, newer)


def settle(
    data: bytes,
    records: list[tuple[Header, bytes]],
    holes: list[tuple[int, int]],
    settled: int,
) -> tuple[dict[int, bytes], list[tuple[int, int]], int]:
    """Follow the section "Groups": return what counts, what is torn, and where the tail begins."""
    headers = [header for header, _ in records]
    for start, end in holes:
        headers += filter(None, (sound_header(data, offset) for offset in places(data, start, end)))
    events: dict[int, bytes] = {}
    torn: list[tuple[int, int]] = []
    while records:
        group_end = records[0][0].group_end
        start = records[0][0].start
        strangers = [
            header.start
            for header in headers
            if start < header.start < group_end and header.group_end != group_end
        ]
        if strangers:
            torn.append((start, min(strangers)))
            records = [record for record in records if record[0].start >= min(strangers)]
            continue
        if group_end > settled:
            return events, torn, start
        for header, payload in records:
            if header.start < group_end:
                events[header.end] = payload
        records = [record for record in records if record[0].start >= group_end]
    return events, torn, settled


def places(data: bytes, start: int, end: int) -> list[int]:
    """Return where the magic is in a stretch, at which something may begin."""
    found = []
    while (start := data.find(MAGIC, start, end + 2)) >= 0:
        found.append(start)
        start += 1
    return found


def joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges in order, with those that touch or overlap made one."""
    whole: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if whole and start <= whole[-1][1]:
            whole[-1] = whole[-1][0], max(end, whole[-1][1])
        else:
            whole.append((start, end))
    return whole


# Payloads


def read_event(payload: bytes) -> dict[str, Any]:
    """Return the items of an event's payload, as in the file ``v1.events.json``."""
    layout = struct.Struct(">BBBBQBQBIBQ")
    marker, tag, version, cf, stream, cf2, producer, ce, sequence, cf3, at = layout.unpack_from(
        payload
    )
    assert (marker, cf, cf2, ce, cf3) == (0x97, 0xCF, 0xCF, 0xCE, 0xCF)
    body, end = read_value(payload, layout.size)
    assert end == len(payload)
    return {
        "tag": tag,
        "version": version,
        "stream": str(stream),
        "producer": f"{producer:016x}",
        "sequence": sequence,
        "at": str(at),
        "body": body,
    }


FIXED = dict(zip(bytes.fromhex("cccdcecfd0d1d2d3cacb"), "BHIQbhiqfd", strict=True))
"""Marker -> layout of the number behind it."""
SIZED = {
    marker: (kind, layout)
    for kind, markers, layouts in [
        ("bytes", "c4c5c6", "BHI"),
        ("extension", "c7c8c9", "BHI"),
        ("text", "d9dadb", "BHI"),
        ("array", "dcdd", "HI"),
        ("map", "dedf", "HI"),
    ]
    for marker, layout in zip(bytes.fromhex(markers), layouts, strict=True)
}
"""Marker -> what it is of, and the layout of the size behind it."""


def read_value(data: bytes, at: int) -> tuple[Any, int]:
    """Return a msgpack value, in the notation of the page, and where it ends."""
    marker, at = data[at], at + 1
    if marker in {0xC0, 0xC2, 0xC3}:
        return {0xC0: None, 0xC2: False, 0xC3: True}[marker], at
    if marker <= 0x7F or marker >= 0xE0:
        return {"integer": str(marker if marker <= 0x7F else marker - 256)}, at
    if marker in FIXED:
        layout = struct.Struct(">" + FIXED[marker])
        return in_notation(*layout.unpack_from(data, at)), at + layout.size
    if marker in SIZED:
        kind, letter = SIZED[marker]
        layout = struct.Struct(">" + letter)
        return read_sized(kind, *layout.unpack_from(data, at), data, at + layout.size)
    if marker in range(0xD4, 0xD9):
        return read_sized("extension", 1 << marker - 0xD4, data, at)
    kind, size = {0x8: ("map", 15), 0x9: ("array", 15)}.get(marker >> 4, ("text", 31))
    return read_sized(kind, marker & size, data, at)


def in_notation(number: float) -> dict[str, str]:
    """Return a number in the notation of the page."""
    if isinstance(number, int):
        return {"integer": str(number)}
    return {"float": struct.pack(">d", number).hex()}


def read_sized(kind: str, size: int, data: bytes, at: int) -> tuple[Any, int]:
    """Return a value that says how large it is, and where it ends."""
    if kind == "text":
        return data[at : at + size].decode(), at + size
    if kind == "bytes":
        return {"bytes": data[at : at + size].hex()}, at + size
    if kind == "extension":
        return read_extension(data[at], data[at + 1 : at + 1 + size]), at + 1 + size
    items = []
    for _ in range(size * (2 if kind == "map" else 1)):
        item, at = read_value(data, at)
        items.append(item)
    if kind == "map":
        return {"map": [list(pair) for pair in zip(items[::2], items[1::2], strict=True)]}, at
    return items, at


def read_extension(code: int, data: bytes) -> Any:
    """Return what an extension stands for."""
    if code == 1:
        return {"tuple": read_value(data, 0)[0]}
    if code == 2:
        return {"integer": str(int.from_bytes(data, "big", signed=True))}
    if code == 3:
        return {"code points": [*map(ord, data.decode("utf-8", "surrogatepass"))]}
    if code == 4:
        return {"time" if b"T" in data else "date": data.decode()}
    if code == 5:
        return {"uuid": data.hex()}
    return {"extension": [code, data.hex()]}
