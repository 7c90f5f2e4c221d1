"""Series in a cache, and the transaction that puts them there."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Protocol
from zlib import crc32

from track.containers.points import Chunk, LoadedChunk, Points, Stored, Summary, summarize
from track.containers.series import StepSeries
from track.events.values import new_packer
from track.persistence.cache_format import (
    Key,
    Unusable,
    checksum,
    pack_axis,
    pack_summary,
    unpack_summary,
)
from track.projections.objects import FOLDS_VERSION, Objects
from track.projections.rows import RowWriter, little_endian

if TYPE_CHECKING:
    import sqlite3

VERSION = 1
"""Of the tables."""

CHUNK = 4096
"""Points of a full chunk."""


class Source(Protocol):
    """Where the points of series are read: the cache they are in."""

    def chunks(self, series: StoredSeries) -> list[Chunk]:
        """Return the chunks that hold the points of a series."""

    def recover(self, series: StoredSeries, error: Unusable) -> Points:
        """Return the points of a series from the journal, since they cannot be had from here."""

    def read_values(self, key: Key) -> array[float]:
        """Return the values of a chunk."""

    def read_axis(
        self, axis: int, *, positions: bool = True
    ) -> tuple[array[int], array[int], array[int]]:
        """Return the steps, times and, if they are wanted, positions that some chunks share."""


class Transaction:
    """What is written at a time."""

    def __init__(
        self, connection: sqlite3.Connection, cache: Source, objects: Objects, next_series: int
    ) -> None:
        self._connection = connection
        self._cache = cache
        self._objects = objects
        self.next_series = next_series
        self._stored: list[tuple[StepSeries, StoredSeries]] = []
        self._axes: dict[tuple[bytes, ...], int] = {}

    def write(self, mark: bytes) -> None:
        """Write the rows of what changed, and then the checkpoint."""
        objects, execute = self._objects, self._connection.execute
        writer = RowWriter(objects, self._store)
        for subject in objects.changed.values():
            self._axes = {}
            key, head, body = writer.row(subject)
            found = execute("SELECT id FROM subjects WHERE key = ?", (key,)).fetchone()
            number = self._new_row(key) if found is None else found[0]
            crc = checksum(b"%d" % number, key, head, body)
            execute(
                "UPDATE subjects SET crc = ?, head = ?, body = ? WHERE id = ?",
                (crc, head, body, number),
            )
        (count,) = execute("SELECT count(*) FROM subjects").fetchone()
        unbound = [[stream, writer.known_of(stream)] for stream in sorted(objects.unbound)]
        values = [[VERSION, FOLDS_VERSION], objects.position, mark, count, self.next_series]
        values += [objects.events, objects.failed_events, unbound]
        data = new_packer().pack(values)
        execute("REPLACE INTO checkpoint VALUES ('checkpoint', ?, ?)", (crc32(data), data))

    def _new_row(self, key: bytes) -> int:
        number = self._connection.execute("INSERT INTO subjects (key) VALUES (?)", (key,)).lastrowid
        assert number is not None
        return number

    def settle(self) -> None:
        """Have the objects look for their points in the cache."""
        for series, stored in self._stored:
            series.keep_stored(stored)

    def _store(self, owner: tuple[str, str], series: StepSeries) -> list[Any] | None:
        parts = series.unstored()
        if parts is None:
            return None
        stored, tail = parts
        if stored is None:
            stored = StoredSeries(self._cache, owner, self.next_series, 0, 0, 0.0, 0, [])
            self.next_series += 1
        assert isinstance(stored, StoredSeries)
        if tail.steps:
            stored = self._append(stored, tail)
            self._stored.append((series, stored))
        return stored.to_values()

    def _append(self, stored: StoredSeries, tail: Points) -> StoredSeries:
        """Write points behind those that are stored; small chunks join what is behind them."""
        count = stored.count + len(tail.steps)
        last_step, last_value = tail.steps[-1], tail.values[-1]
        small, part = [*stored.small], stored.parts
        while small and small[-1] <= len(tail.steps):
            part -= 1
            small.pop()
            points = self._take(stored, part)
            points.add(tail)
            tail = points
        for start in range(0, len(tail.steps), CHUNK):
            points = tail.part(start, start + CHUNK)
            self._write_chunk(stored.number, part, points)
            part += 1
            if len(points.steps) < CHUNK:
                small.append(len(points.steps))
            else:
                small.clear()
        last = last_step, last_value
        return StoredSeries(self._cache, stored.owner, stored.number, count, *last, part, small)

    def _take(self, stored: StoredSeries, part: int) -> Points:
        """Return the points of a chunk, and remove it."""
        execute, series = self._connection.execute, stored.number
        axis, crc, summary = execute(
            "SELECT axis, crc, summary FROM chunks WHERE series = ? AND part = ?", (series, part)
        ).fetchone() or (None, 0, b"")
        if axis is None:
            raise Unusable("it is damaged: points are missing")
        key = Key(series, part, axis, crc)
        unpack_summary(key, summary)
        points = Points(*self._cache.read_axis(axis), self._cache.read_values(key))
        execute("DELETE FROM chunks WHERE series = ? AND part = ?", (series, part))
        if not execute("SELECT 1 FROM chunks WHERE axis = ? LIMIT 1", (axis,)).fetchone():
            execute("DELETE FROM axes WHERE id = ?", (axis,))
        return points.part(0, len(points.steps))

    def _write_chunk(self, series: int, part: int, points: Points) -> None:
        columns = points.steps.tobytes(), points.times.tobytes(), points.positions.tobytes()
        axis = self._axes.get(columns)
        execute = self._connection.execute
        if axis is None:
            data = pack_axis(points)
            axis = execute("INSERT INTO axes (data) VALUES (?)", (data,)).lastrowid
            assert axis is not None
            execute("UPDATE axes SET crc = ? WHERE id = ?", (checksum(b"%d" % axis, data), axis))
            self._axes[columns] = axis
        values = little_endian(points.values)
        key = Key(series, part, axis, 0)
        key = key._replace(crc=checksum(key.packed(), values))
        summary = pack_summary(key, summarize(points))
        execute("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)", (*key, summary, values))


class StoredSeries(Stored):
    """The points of a series that are in a cache.

    Parameters
    ----------
    cache, number
        where they are
    owner
        uid of the trial, and name of the metric
    count, last_step, last_value
        how many there are, and the last one
    parts, small
        how many chunks that makes, and how many points the last ones have that are not full
    """

    def __init__(  # noqa: PLR0917 - the values that are kept of it, in their order
        self,
        cache: Source,
        owner: tuple[str, str],
        number: int,
        count: int,
        last_step: int,
        last_value: float,
        parts: int,
        small: list[int],
    ) -> None:
        self.cache, self.owner, self.number, self.count = cache, owner, number, count
        self.last_step, self.last_value = last_step, last_value
        self.parts, self.small = parts, small

    def to_values(self) -> list[Any]:
        """Return the values that find it again."""
        last = [self.last_step, self.last_value]
        return [self.number, self.count, *last, self.parts, self.small]

    def chunks(self) -> list[Chunk]:
        if not self.count:
            return []
        try:
            return self.cache.chunks(self)
        except Unusable as error:
            return [LoadedChunk(self.cache.recover(self, error))]


class StoredChunk(Chunk):
    """Points in a cache, read when they are asked for."""

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
            return Points(*axis, cache.read_values(self._key))
        except Unusable as error:
            return self._recovered(error)

    def values(self) -> array[float]:
        try:
            return self._series.cache.read_values(self._key)
        except Unusable as error:
            return self._recovered(error).values

    def _recovered(self, error: Unusable) -> Points:
        points = self._series.cache.recover(self._series, error)
        return points.part(self._start, self._start + self._summary.length)
