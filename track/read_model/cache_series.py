"""Write series to a cache, in one transaction."""

from __future__ import annotations

import os
from array import array
from typing import TYPE_CHECKING, Any, Protocol
from zlib import crc32

from track.containers.points import (
    LARGEST,
    Bounds,
    Chunk,
    Extreme,
    LoadedChunk,
    Points,
    Stored,
    Summary,
    Unusable,
    bounds_of,
    summarize,
)
from track.containers.series import StepSeries
from track.projections.objects import FOLDS_VERSION, Objects
from track.projections.rows import NO_STREAM, Entry, Row, RowWriter, little_endian, set_aside
from track.projections.stored import Directory
from track.read_model.cache_format import (
    ENTRIES,
    Checkpoint,
    Key,
    checksum,
    crcs_of,
    pack_axis,
    pack_entries,
    pack_summary,
    unpack_summary,
)
from track.structure import Status, Trial

if TYPE_CHECKING:
    import sqlite3

VERSION = 7
"""The version of the tables."""

CHUNK = 4096
"""The number of points in a full chunk."""


class Source(Protocol):
    """The cache from which the points of series are read."""

    mark: tuple[bytes, int]
    directory: Directory
    next_series: int

    def find(self, owner: tuple[str, str], values: list[Any]) -> Stored:
        """Return the stored series with some values."""

    def chunks(self, series: StoredSeries) -> list[Chunk]:
        """Return the chunks that hold the points of a series."""

    def recover(self, series: StoredSeries, error: Unusable) -> Points:
        """Return the points of a series from the journal, since the cache cannot be used."""

    def read_values(self, key: Key, count: int) -> tuple[array[float], bytes]:
        """Return the values of a chunk with some points, and which of them are integers."""

    def read_axis(
        self, axis: int, *, positions: bool = True
    ) -> tuple[array[int], array[int], array[int]]:
        """Return the steps, times and, if wanted, positions that chunks share."""


class Transaction:
    """The writes of one transaction."""

    def __init__(self, connection: sqlite3.Connection, cache: Source, objects: Objects) -> None:
        self._connection = connection
        self._cache = cache
        self._objects = objects
        self._file = cache.mark[0] or os.urandom(8)
        # The numbers of series differ between files, even at the same path.
        self._next_series = cache.next_series or int.from_bytes(os.urandom(5), "big") << 20
        self._new: dict[int, int] = {}
        """The numbers of rows that are not in the directory, by name"""
        self._entries: dict[int, Entry] = {}
        """The entries that are not in the directory, or differ there"""
        self._stored: list[tuple[StepSeries, StoredSeries]] = []
        self._over: list[tuple[Trial, Row]] = []
        """The trials that ended, which nobody may use again: their rows suffice"""
        self._axes: dict[tuple[bytes, ...], tuple[int, Bounds]] = {}

    def write(self, fingerprint: bytes) -> None:
        """Write the rows of the changed objects, and then the checkpoint."""
        objects, execute = self._objects, self._connection.execute
        directory = self._cache.directory
        writer = RowWriter(objects, self._store)
        for subject in objects.changed.values():
            self._axes = {}
            entry, parts = writer.row(subject)
            number = directory.number_of(entry.name)
            if not number:
                number = self._new.setdefault(entry.name, len(directory) + len(self._new) + 1)
                self._entries[number] = entry
            elif directory[number] != entry:
                self._entries[number] = entry
            row = (number, crcs_of(number, *parts), *parts)
            execute("REPLACE INTO subjects VALUES (?, ?, ?, ?, ?)", row)
            if type(subject) is Trial and _is_over(subject):
                self._over.append((subject, Row(number, *parts)))
        self._write_directory()
        checkpoint = Checkpoint(
            [VERSION, FOLDS_VERSION],
            self._file,
            objects.position,
            fingerprint,
            len(directory) + len(self._new),
            self._next_series,
            objects.events,
            objects.failed_events,
            [[stream, *writer.known_of(stream)] for stream in sorted(objects.unbound)],
        )
        data = checkpoint.packed()
        execute("REPLACE INTO checkpoint VALUES ('checkpoint', ?, ?)", (crc32(data), data))
        self._mark = checkpoint.mark

    def _write_directory(self) -> None:
        directory = self._cache.directory
        parts: dict[int, list[int]] = {}
        for number in sorted(self._entries):
            parts.setdefault((number - 1) // ENTRIES, []).append(number)
        for part, numbers in parts.items():
            start, piece = part * ENTRIES, Directory()
            piece.extend(column[start : start + ENTRIES] for column in directory.columns())
            for number in numbers:
                piece.put(number - start, self._entries[number])
            data = pack_entries(piece.columns())
            row = part, checksum(b"%d" % part, data), data
            self._connection.execute("REPLACE INTO directory VALUES (?, ?, ?)", row)

    def settle(self) -> None:
        """Let the objects read their points from the cache."""
        for number, entry in sorted(self._entries.items()):
            self._cache.directory.put(number, entry)
        self._cache.mark, self._cache.next_series = self._mark, self._next_series
        for series, stored in self._stored:
            series.keep_stored(stored)
        find, objects = self._cache.find, self._objects
        for trial, row in self._over:
            set_aside(trial, row, find)
            attempts = objects.attempts.get(objects.stream_of.get(id(trial), NO_STREAM))
            if attempts is not None:
                attempts.set_aside()

    def _store(self, owner: tuple[str, str], series: StepSeries) -> list[Any] | None:
        parts = series.unstored()
        if parts is None:
            return None
        stored, tail = parts
        if stored is None:
            number = self._next_series
            again = series.is_rewritten
            stored = StoredSeries(
                self._cache, owner, 0, number, 0, 0, 0.0, 0, [], again, None, None
            )
            self._next_series += 1
        assert isinstance(stored, StoredSeries)
        if tail.steps:
            stored = self._append(stored, tail)
            stored.is_rewritten = series.is_rewritten
            self._stored.append((series, stored))
        return stored.to_values()

    def _append(self, stored: StoredSeries, tail: Points) -> StoredSeries:
        """Append points to a stored series, merging small chunks at its end with them."""
        count = stored.count + len(tail.steps)
        small, part = [*stored.small], stored.parts
        for again in range(part, stored.written):  # some of their points were logged again
            self._take(stored, again)
        while small and small[-1] <= len(tail.steps):
            part -= 1
            small.pop()
            points = self._take(stored, part)
            points.add(tail)
            tail = points
        low, high = stored.low, stored.high
        for start in range(0, len(tail.steps), CHUNK):
            points = tail.part(start, start + CHUNK)
            summary = self._write_chunk(stored.number, part, points)
            if summary.low is not None and summary.high is not None:
                low = summary.low.value if low is None else min(low, summary.low.value)
                high = summary.high.value if high is None else max(high, summary.high.value)
            part += 1
            if len(points.steps) < CHUNK:
                small.append(len(points.steps))
            else:
                small.clear()
            last = summary.last
        is_rewritten = stored.is_rewritten
        values = stored.number, count, last.step, last.value, part, small, is_rewritten, low, high
        return StoredSeries(self._cache, stored.owner, self._objects.position, *values)

    def _take(self, stored: StoredSeries, part: int) -> Points:
        """Return the points of a chunk, and remove it."""
        execute, series = self._connection.execute, stored.number
        axis, crc, summary = execute(
            "SELECT axis, crc, summary FROM chunks WHERE series = ? AND part = ?", (series, part)
        ).fetchone() or (None, 0, b"")
        if axis is None:
            raise Unusable("it is damaged: points are missing")
        key = Key(series, part, axis, crc)
        length = unpack_summary(key, summary).length
        points = Points(*self._cache.read_axis(axis), *self._cache.read_values(key, length))
        execute("DELETE FROM chunks WHERE series = ? AND part = ?", (series, part))
        if not execute("SELECT 1 FROM chunks WHERE axis = ? LIMIT 1", (axis,)).fetchone():
            execute("DELETE FROM axes WHERE id = ?", (axis,))
        return points.part(0, len(points.steps))

    def _write_chunk(self, series: int, part: int, points: Points) -> Summary:
        columns = points.steps.tobytes(), points.times.tobytes(), points.positions.tobytes()
        axis, bounds = self._axes.get(columns) or (None, bounds_of(points))
        execute = self._connection.execute
        if axis is None:
            data = pack_axis(points)
            axis = execute("INSERT INTO axes (data) VALUES (?)", (data,)).lastrowid
            assert axis is not None
            execute("UPDATE axes SET crc = ? WHERE id = ?", (checksum(b"%d" % axis, data), axis))
            self._axes[columns] = axis, bounds
        values = little_endian(points.values) + points.integers
        key = Key(series, part, axis, 0)
        key = key._replace(crc=checksum(key.packed(), values))
        summary = summarize(points, bounds)
        row = (*key, pack_summary(key, summary), values)
        execute("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)", row)
        return summary


def _is_over(trial: Trial) -> bool:
    return trial.status is not None and trial.status.value >= Status.ErrorGroup.value


class StoredSeries(Stored):
    """The points of a series in a cache.

    Parameters
    ----------
    cache, number
        the cache, and the number of the series
    owner
        the uid of the trial, and the name of the metric
    position
        the position of the journal up to which the points were logged
    count, last_step, last_value
        the number of points, and the last point
    parts, small
        the number of chunks, and the sizes of the last chunks that are not full
    is_rewritten
        whether a step was logged again
    low, high
        the smallest and the largest number among the values, None without any
    """

    def __init__(  # noqa: PLR0917 - the values that are kept of it, in their order
        self,
        cache: Source,
        owner: tuple[str, str],
        position: int,
        number: int,
        count: int,
        last_step: int,
        last_value: float,
        parts: int,
        small: list[int],
        is_rewritten: bool,
        low: float | None,
        high: float | None,
    ) -> None:
        self.cache, self.owner, self.position = cache, owner, position
        self.number, self.count = number, count
        self.last_step, self.last_value = last_step, last_value
        self.parts, self.small, self.is_rewritten = parts, small, is_rewritten
        self.low, self.high = low, high
        self.written = parts
        """The number of chunks in the cache, more than ``parts`` after :meth:`cut`"""

    def extremes(self) -> tuple[float | None, float | None]:
        return self.low, self.high

    def to_values(self) -> list[Any]:
        """Return the values to find the series."""
        last = [self.last_step, self.last_value]
        chunks = self.parts, self.small, self.is_rewritten
        return [self.number, self.count, *last, *chunks, self.low, self.high]

    def cut(self, step: int) -> tuple[Stored, Points]:
        kept, points = list[Summary](), Points.empty()
        for chunk in self.chunks():
            if isinstance(chunk, StoredChunk) and chunk.summary.last.step < step:
                kept.append(chunk.summary)
            else:
                points.add(chunk.points())
        last = kept[-1].last if kept else Extreme(0, -LARGEST, 0, 0.0)
        full = [place for place, summary in enumerate(kept, 1) if summary.length == CHUNK]
        count = sum(summary.length for summary in kept)
        rest = StoredSeries(
            self.cache,
            self.owner,
            self.position,
            self.number,
            count,
            last.step,
            last.value,
            len(kept),
            [summary.length for summary in kept[max(full, default=0) :]],
            self.is_rewritten,
            min((one.low.value for one in kept if one.low is not None), default=None),
            max((one.high.value for one in kept if one.high is not None), default=None),
        )
        rest.written = self.written
        return rest, points

    def chunks(self) -> list[Chunk]:
        if not self.count:
            return []
        try:
            return self.cache.chunks(self)
        except Unusable as error:
            return [LoadedChunk(self.cache.recover(self, error))]


class StoredChunk(Chunk):
    """Points in a cache, read on demand."""

    def __init__(self, series: StoredSeries, key: Key, summary: bytes, start: int) -> None:
        self._series = series
        self._key = key
        self._summary = unpack_summary(key, summary)
        self._start = start

    @property
    def summary(self) -> Summary:
        return self._summary

    def points(self) -> Points:
        return self._points(positions=True)

    def without_positions(self) -> Points:
        return self._points(positions=False)

    def _points(self, *, positions: bool) -> Points:
        cache = self._series.cache
        try:
            axis = cache.read_axis(self._key.axis, positions=positions)
            return Points(*axis, *cache.read_values(self._key, self._summary.length))
        except Unusable as error:
            return self._recovered(error)

    def values(self) -> tuple[array[float], bytes | bytearray]:
        try:
            return self._series.cache.read_values(self._key, self._summary.length)
        except Unusable as error:
            points = self._recovered(error)
            return points.values, points.integers

    def _recovered(self, error: Unusable) -> Points:
        points = self._series.cache.recover(self._series, error)
        return points.part(self._start, self._start + self._summary.length)
