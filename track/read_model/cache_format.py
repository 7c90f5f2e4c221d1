"""Convert parts of a cache to bytes and back: chunks of points, summaries and checksums."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise, starmap
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from track.containers.points import Extreme, Points, Summary, Unusable
from track.events.values import new_packer, unpack
from track.journals.stretches import Stretch, typecode_of
from track.projections.rows import Row, from_little_endian, little_endian
from track.projections.stored import Directory

if TYPE_CHECKING:
    import sqlite3

_CRC = Struct("<I")
_EXTREME = Struct("<Iqqd?")
_SUMMARY = Struct("<Iqqq")
_AXIS = Struct("<IBB")
_RANGE = Struct("<qq")
_AS_THEY_ARE, _AS_RANGE = range(2)
_NONE, _NOWHERE = b"\xff" * _EXTREME.size, 2**32 - 1


class Foreign(Unusable):
    """The file must not be changed, since it is not a cache of this version."""


class Busy(Unusable):
    """Another process is writing the cache."""


class Moved(Unusable):
    """Another process has written or replaced the cache since it was loaded."""


class Key(NamedTuple):
    """The location of a chunk, and the checksum of its values."""

    series: int
    part: int
    axis: int
    crc: int

    def packed(self) -> bytes:
        """Return the key as bytes for checksums."""
        return b"%d,%d,%d" % self[:3]


def checksum(*parts: bytes) -> int:
    """Return the CRC-32 of concatenated bytes."""
    crc = 0
    for part in parts:
        crc = crc32(part, crc)
    return crc


def check(crc: Any, *parts: Any) -> None:
    """Check the checksum of data.

    Raises
    ------
    Unusable
        the data is damaged
    """
    if not all(type(part) is bytes for part in parts) or checksum(*parts) != crc:
        raise Unusable("it is damaged")


class Checkpoint(NamedTuple):
    """The state of a whole cache."""

    versions: list[int]
    file: bytes
    """Random bytes that identify the file"""
    position: int
    fingerprint: bytes
    """The fingerprint of the event at the position"""
    rows: int
    next_series: int
    events: int
    failed_events: list[int]
    unbound: list[list[Any]]
    """The state of streams without a known subject"""

    @property
    def mark(self) -> tuple[bytes, int]:
        """Return bytes that distinguish this state of a cache from any other."""
        return self.file, self.position

    def packed(self) -> bytes:
        """Return the checkpoint as bytes."""
        data: bytes = new_packer().pack([*self])
        return data


NOTHING = b"", 0
"""The mark of an empty cache."""


def read_checkpoint(connection: sqlite3.Connection) -> Checkpoint | None:
    """Return the checkpoint of a cache, None if nothing was saved yet."""
    found = connection.execute("SELECT crc, data FROM checkpoint").fetchone()
    if found is None:
        return None
    check(found[0], found[1])
    versions, *others = unpack(found[1])
    if len(others) + 1 != len(Checkpoint._fields):
        raise Unusable("it was made by another version")
    return Checkpoint(versions, *others)


ENTRIES = 4096
"""The number of rows in a full part of the directory."""

_TYPECODES = "BQQQ"


def pack_entries(columns: Iterable[array[int]]) -> bytes:
    """Return a part of a directory as bytes."""
    return b"".join(map(little_endian, columns))


def read_directory(connection: sqlite3.Connection, count: int) -> Directory:
    """Return the directory of all rows.

    Raises
    ------
    Unusable
        the directory is damaged
    """
    directory = Directory()
    found = connection.execute("SELECT part, crc, data FROM directory ORDER BY part")
    for place, (part, crc, data) in enumerate(found):
        check(crc, b"%d" % part, data)
        length = len(data) // 25
        ends = [0, length, 9 * length, 17 * length, 25 * length]
        pieces = (data[start:end] for start, end in pairwise(ends))
        columns = map(from_little_endian, _TYPECODES, pieces)
        if part != place:
            raise Unusable("it is damaged: rows are missing")
        directory.extend(columns)
    if len(directory) != count:
        raise Unusable("it is damaged: rows are missing")
    return directory


def write_stretches(connection: sqlite3.Connection, known: Iterable[Stretch]) -> None:
    """Add the stretches that the cache lacks."""
    (last,) = connection.execute("SELECT max(last) FROM stretches").fetchone()
    for one in known:
        if one.last > (last or 0):
            data = b"".join(map(little_endian, (array("Q", one[:3]), *one[3:])))
            connection.execute(
                "INSERT INTO stretches VALUES (?, ?, ?)", (one.last, checksum(data), data)
            )


def read_stretches(connection: sqlite3.Connection, position: int) -> list[Stretch]:
    """Return the stretches that hold the events up to a position.

    Raises
    ------
    Unusable
        some are missing, or damaged
    """
    known: list[Stretch] = []
    end = 0
    for crc, data in connection.execute("SELECT crc, data FROM stretches ORDER BY last"):
        check(crc, data)
        after, last, events = from_little_endian("Q", data[:24])
        if after != end:
            raise Unusable("it is damaged: stretches are missing")
        end = last
        typecode = typecode_of(after, last)
        size = array(typecode).itemsize
        length = (len(data) - 24) // (8 + 2 * size)
        sizes = accumulate((24, 8 * length, size * length, size * length))
        pieces = [data[start:end] for start, end in pairwise(sizes)]
        columns = map(from_little_endian, ("Q", typecode, typecode), pieces)
        known.append(Stretch(after, last, events, *columns))
    if end != position:
        raise Unusable("it is damaged: stretches are missing")
    return known


_CRCS = Struct("<III")


def crcs_of(number: int, head: bytes, metrics: bytes, body: bytes) -> bytes:
    """Return the checksums of the parts of a row."""
    begin = crc32(b"%d" % number)
    return _CRCS.pack(crc32(head, begin), crc32(metrics, begin), crc32(body, begin))


def read_rows(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[Row]:
    """Return rows by number.

    Raises
    ------
    Unusable
        rows are missing or damaged
    """
    if len(numbers) > numbers[-1] - numbers[0] > 0:  # consecutive numbers
        where, values = "BETWEEN ? AND ?", [numbers[0], numbers[-1]]
    else:
        where, values = f"IN ({','.join('?' * len(numbers))})", [*numbers]
    query = f"SELECT id, head, metrics, body, crcs FROM subjects WHERE id {where} ORDER BY id"  # noqa: S608 - of question marks
    found = connection.execute(query, values).fetchall()
    if len(found) != len(numbers):
        raise Unusable("it is damaged: rows are missing")
    rows = []
    for number, *parts, crcs in found:
        try:
            is_whole = crcs == crcs_of(number, *parts)
        except TypeError:  # not bytes
            is_whole = False
        if not is_whole:
            raise Unusable("it is damaged")
        rows.append(Row(number, *parts))
    return rows


def pack_axis(points: Points) -> bytes:
    """Return steps, times and positions as bytes."""
    steps, times, positions = points[:3]
    kinds, parts = [], []
    for column in (steps, positions):
        as_range = _as_range(column)
        kinds.append(_AS_THEY_ARE if as_range is None else _AS_RANGE)
        parts.append(little_endian(column) if as_range is None else as_range)
    return _AXIS.pack(len(steps), *kinds) + parts[0] + parts[1] + little_endian(times)


def _as_range(column: array[int]) -> bytes | None:
    """Return the first number and the difference of an arithmetic progression, if it is one."""
    stride = column[1] - column[0] if len(column) > 1 else 1
    if stride <= 0 or column[-1] - column[0] != stride * (len(column) - 1):
        return None
    if column != array("q", range(column[0], column[-1] + 1, stride)):
        return None
    return _RANGE.pack(column[0], stride)


def unpack_axis(data: bytes, *, positions: bool) -> tuple[array[int], array[int], array[int]]:
    """Return steps, times and, if wanted, positions from bytes."""
    count, *kinds = _AXIS.unpack_from(data)
    offset, columns = _AXIS.size, []
    for kind, is_wanted in (*zip(kinds, (True, positions), strict=True), (_AS_THEY_ARE, True)):
        size = _RANGE.size if kind == _AS_RANGE else 8 * count
        if not is_wanted:
            columns.append(array("q"))
        elif kind == _AS_RANGE:
            first, stride = _RANGE.unpack_from(data, offset)
            columns.append(_spread(first, stride, count))
        else:
            columns.append(from_little_endian("q", data[offset : offset + size]))
        offset += size
    steps, places, times = columns
    return steps, times, places


def _spread(first: int, stride: int, count: int) -> array[int]:
    """Return an arithmetic progression as a new array."""
    column = array("q")
    column.frombytes(_progression(first, stride, count))
    return column


@lru_cache(maxsize=128)
def _progression(first: int, stride: int, count: int) -> bytes:
    """Return an arithmetic progression as bytes; it is cached, since sweeps repeat steps."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return array("q", range(first, first + stride * count, stride)).tobytes()
    # NumPy takes a fortieth of the time.
    return bytes((numpy.arange(count, dtype="=i8") * stride + first).tobytes())


SUMMARY_BYTES = _SUMMARY.size + 5 * _EXTREME.size
"""The layout of a summary as bytes."""


def summary_to_bytes(summary: Summary) -> bytes:
    """Return the summary of a chunk as bytes."""
    length, first, last, first_position, last_position, low, high, gap, latest = summary
    return _SUMMARY.pack(length, first_position, last_position, latest) + b"".join(
        _NONE if point is None else _EXTREME.pack(*point, type(point.value) is int)
        for point in (first, last, low, high, gap)
    )


def summary_from_bytes(data: bytes) -> Summary:
    """Return a summary from bytes."""
    length, first_position, last_position, latest = _SUMMARY.unpack_from(data)
    points = starmap(_extreme, _EXTREME.iter_unpack(data[_SUMMARY.size :]))
    first, last, low, high, gap = points
    if first is None or last is None:
        raise ValueError("a summary without points")
    return Summary(length, first, last, first_position, last_position, low, high, gap, latest)


def _extreme(place: int, step: int, at: int, value: float, is_integer: bool) -> Extreme | None:
    if place == _NOWHERE:
        return None
    return Extreme(place, step, at, int(value) if is_integer else value)


def pack_summary(key: Key, summary: Summary) -> bytes:
    """Return the summary of a chunk as bytes, with a checksum."""
    data = summary_to_bytes(summary)
    return _CRC.pack(checksum(key.packed(), b"%d" % key.crc, data)) + data


def unpack_summary(key: Key, data: bytes) -> Summary:
    """Return the summary of a chunk after checking it.

    Raises
    ------
    Unusable
        the summary is damaged
    """
    crc, data = data[: _CRC.size], data[_CRC.size :]
    if crc != _CRC.pack(checksum(key.packed(), b"%d" % key.crc, data)):
        raise Unusable("it is damaged")
    return summary_from_bytes(data)
