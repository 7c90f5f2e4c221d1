"""Cache the result of replaying a journal in one SQLite file.

The cache is a checkpoint that is never trusted. Everything in it has a checksum, and the
fingerprint of the event at its checkpoint identifies the journal. If anything is wrong with it, the
journal is replayed (``docs/format.md``). A process that finds the cache locked does without it.
"""

from __future__ import annotations

import logging
import os
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from track.containers.points import Chunk, LoadedChunk, Points, Stored, Unusable
from track.journals.stretches import Stretch, Stretches
from track.projections.objects import FOLDS_VERSION, Objects
from track.projections.rows import Row, from_little_endian
from track.projections.stored import Directory, StoredObjects
from track.read_model.cache_format import (
    NOTHING,
    Busy,
    Foreign,
    Key,
    Moved,
    check,
    read_checkpoint,
    read_directory,
    read_rows,
    read_stretches,
    unpack_axis,
    write_stretches,
)
from track.read_model.cache_series import VERSION, StoredChunk, StoredSeries, Transaction
from track.utils.forking import renew_in_children

if TYPE_CHECKING:
    import sqlite3  # programs that only log need no SQLite

logger = logging.getLogger(__name__)

APPLICATION = 0x54524B43
"""The application id of caches in the header of SQLite."""

_PATIENCE_MS = 1000
"""The time that readers wait for the end of a transaction."""

_SCHEMA = """
CREATE TABLE checkpoint (name TEXT PRIMARY KEY, crc INTEGER, data BLOB) WITHOUT ROWID;
CREATE TABLE directory (part INTEGER PRIMARY KEY, crc INTEGER, data BLOB);
CREATE TABLE stretches (last INTEGER PRIMARY KEY, crc INTEGER, data BLOB);
CREATE TABLE subjects (
    id INTEGER PRIMARY KEY, crcs BLOB, head BLOB, metrics BLOB, body BLOB
);
CREATE TABLE axes (id INTEGER PRIMARY KEY, crc INTEGER, data BLOB);
CREATE TABLE chunks (
    series INTEGER, part INTEGER, axis INTEGER, crc INTEGER, summary BLOB, points BLOB,
    PRIMARY KEY (series, part)
);
CREATE INDEX chunks_of_axis ON chunks (axis);
"""
_HEADER_BYTES = 100

_ROWS = 512
"""The number of rows to read at a time, unless the cache is pinned."""

Fingerprint = Callable[[int], bytes | None]
Replay = Callable[[str, str, int], Points | None]
"""Returns the points of a metric from the journal, given the trial, the metric and the position."""


class Cache:
    """A cache in one file.

    Parameters
    ----------
    path
        the path of the file
    replay
        returns points that are damaged in the cache
    """

    def __init__(self, path: str, replay: Replay) -> None:
        self.path = path
        self._replay = replay
        self._turn = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._is_ours = False
        self._inherited: list[Any] = []
        self.mark = NOTHING
        """The mark of the file and the checkpoint from which the objects were loaded"""
        self.directory = Directory()
        self.stretches: list[Stretch] = []
        """The stretches up to the checkpoint, as they were loaded"""
        self.next_series = 0
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        # A connection must not be closed in another process than the one that opened it.
        self._inherited.append(self._connection)
        self._connection = None
        self._turn = threading.RLock()

    # Reading

    def load(
        self, fingerprint: Fingerprint, recover: Callable[[Objects, Unusable], Objects]
    ) -> Objects | None:
        """Return the objects as of the checkpoint, None if the cache is new.

        Parameters
        ----------
        fingerprint
            returns the fingerprint of the event at a position of the journal
        recover
            see :class:`~track.projections.stored.StoredObjects`

        Raises
        ------
        Unusable
            the cache is damaged, of another version, or of another journal
        """
        if not os.path.exists(self.path):
            return None
        with self._reading() as connection:
            checkpoint = read_checkpoint(connection)
            if checkpoint is None:
                return None
            if checkpoint.versions != [VERSION, FOLDS_VERSION]:
                raise Unusable("it was made by another version")
            if fingerprint(checkpoint.position) != checkpoint.fingerprint:
                raise Unusable("the journal is not the one it was made from")
            self.directory = read_directory(connection, checkpoint.rows)
            self.stretches = read_stretches(connection, checkpoint.position)
            self.mark, self.next_series = checkpoint.mark, checkpoint.next_series
            objects = StoredObjects(self, self.find, recover)
        for stream, *known in checkpoint.unbound:
            objects.know(stream, known)
            objects.unbound.add(stream)
        objects.position, objects.events = checkpoint.position, checkpoint.events
        objects.failed_events = checkpoint.failed_events
        return objects

    def pin(self) -> None:
        """Keep other processes from changing the cache until :meth:`unpin`.

        Raises
        ------
        Moved
            another process has already changed it
        """
        with self._used() as connection:
            if not connection.in_transaction:
                connection.execute("BEGIN")
            try:
                self._check_mark(connection)
            except BaseException:
                connection.execute("COMMIT")
                raise

    def unpin(self) -> None:
        """Let other processes change the cache again."""
        with self._turn:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("COMMIT")

    def _check_mark(self, connection: sqlite3.Connection) -> None:
        checkpoint = read_checkpoint(connection)
        if checkpoint is None or checkpoint.mark != self.mark or not self.is_current():
            raise Moved("another process wrote it meanwhile")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection in a read transaction."""
        with self._used() as connection:
            was_pinned = connection.in_transaction
            if not was_pinned:
                connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if not was_pinned and connection.in_transaction:
                    connection.execute("COMMIT")

    def read(self, numbers: Iterable[int]) -> Iterator[Row]:
        remaining = iter(numbers)
        while wanted := [*islice(remaining, _ROWS)]:
            with self._reading() as connection:
                self._check_mark(connection)
                rows = read_rows(connection, wanted)
            yield from rows

    def find(self, owner: tuple[str, str], values: list[Any]) -> Stored:
        """Return the stored series with some values."""
        return StoredSeries(self, owner, self.mark[1], *values)

    def recover(self, series: StoredSeries, error: Unusable) -> Points:
        """Return the points of a series from the journal, since the cache cannot be used.

        Raises
        ------
        Unusable
            the journal does not have them either
        """
        logger.info("the cache %s is not used: %s", self.path, error)
        if not isinstance(error, (Busy, Moved)):
            self.discard()
        points = self._replay(*series.owner, series.position)
        if points is None or len(points.steps) < series.count:
            raise error
        return points.part(0, series.count)

    def chunks(self, series: StoredSeries) -> list[Chunk]:
        """Return the chunks that hold the points of a series.

        Raises
        ------
        Unusable
            the chunks are missing or damaged
        """
        with self._used() as connection:
            found = connection.execute(
                "SELECT part, axis, crc, summary FROM chunks WHERE series = ? ORDER BY part",
                (series.number,),
            ).fetchall()
        chunks: list[Chunk] = []
        left = series.count
        for part, axis, crc, summary in found:
            if left <= 0:
                break
            key = Key(series.number, part, axis, crc)
            chunk = StoredChunk(series, key, summary, series.count - left)
            if chunk.summary.length > left:  # another process has appended points meanwhile
                chunks.append(LoadedChunk(chunk.points().part(0, left)))
            elif chunk.summary.last_position > series.position:
                raise Moved("another process has written points again that were logged again")
            else:
                chunks.append(chunk)
            left -= chunk.summary.length
        if left > 0:
            raise Unusable("it is damaged: points are missing")
        return chunks

    def read_values(self, key: Key, count: int) -> tuple[array[float], bytes]:
        """Return the values of a chunk with some points, and which of them are integers."""
        with self._used() as connection:
            found = connection.execute(
                "SELECT points FROM chunks WHERE series = ? AND part = ?", (key.series, key.part)
            ).fetchone()
        if found is None:
            raise Unusable("it is damaged: points are missing")
        check(key.crc, key.packed(), found[0])
        return from_little_endian("d", found[0][: 8 * count]), found[0][8 * count :]

    def read_axis(
        self, axis: int, *, positions: bool = True
    ) -> tuple[array[int], array[int], array[int]]:
        """Return the steps, times and, if wanted, positions that chunks share."""
        with self._used() as connection:
            found = connection.execute(
                "SELECT crc, data FROM axes WHERE id = ?", (axis,)
            ).fetchone()
        if found is None:
            raise Unusable("it is damaged: points are missing")
        check(found[0], b"%d" % axis, found[1])
        return unpack_axis(found[1], positions=positions)

    # Writing

    def save(self, objects: Objects, stretches: Stretches, fingerprint: Fingerprint) -> None:
        """Save the objects that changed since they were loaded or saved, in one transaction.

        Parameters
        ----------
        objects
            the objects
        stretches
            the places of the events that they are made from
        fingerprint
            as for :meth:`load`

        Raises
        ------
        Busy
            another process is writing the cache
        Moved
            another process has written the cache: load it again
        Unusable
            the cache cannot be written
        """
        mark = fingerprint(objects.position)
        if stretches.position != objects.position:
            raise Unusable("a reader was interrupted, so the objects lack events")
        if mark is None:
            raise Unusable("the last event of the journal cannot be identified")
        if not self.is_current():
            raise Moved("it was removed, or replaced")
        with self._used(create=True) as connection:
            _wait(connection, 0)
            try:
                connection.execute("BEGIN IMMEDIATE")
            finally:
                _wait(connection, _PATIENCE_MS)
            try:
                checkpoint = read_checkpoint(connection)
                if (NOTHING if checkpoint is None else checkpoint.mark) != self.mark:
                    raise Moved("another process wrote it meanwhile")  # noqa: TRY301 - it ends the transaction
                transaction = Transaction(connection, self, objects)
                transaction.write(mark)
                stretches.end()
                write_stretches(connection, stretches.known())
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        # From now on, the points are read from the cache.
        transaction.settle()
        objects.changed = {}

    def discard(self) -> None:
        """Remove the file if it is a cache, and still the one that was opened."""
        self.release()
        self.mark, self.directory = NOTHING, Directory()
        with suppress(OSError, Foreign):
            if not self._is_ours:
                _check_header(self.path)
            for path in (self.path + "-journal", self.path):
                with suppress(FileNotFoundError):
                    os.unlink(path)

    def release(self) -> None:
        """Close the file; it is opened again on demand."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def is_current(self) -> bool:
        """Return whether the opened file is still at its path."""
        try:
            return self._inode is None or os.stat(self.path).st_ino == self._inode
        except OSError:
            return False

    @contextmanager
    def _used(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        import sqlite3

        with self._turn:
            try:
                if self._connection is None:
                    self._connection = self._open(create=create)
                yield self._connection
            except sqlite3.OperationalError as error:
                busy = "locked" in str(error)
                raise (Busy if busy else Unusable)(f"it cannot be used: {error}") from error
            except (sqlite3.Error, OSError, OverflowError) as error:
                raise Unusable(f"it is damaged: {error}") from error

    def _open(self, *, create: bool) -> sqlite3.Connection:
        if not os.path.exists(self.path):
            if not create:
                raise Unusable("it no longer exists")
            # SQLite would create it with fewer permissions than the umask allows.
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
        import sqlite3

        connection = sqlite3.connect(
            f"file:{_quoted(self.path)}?mode={'rwc' if create else 'rw'}",
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
        try:
            _wait(connection, _PATIENCE_MS)
            self._check_whose(connection)
            # A cache lost in a power failure is made again; the death of a process loses nothing.
            connection.execute("PRAGMA synchronous = OFF")
            # Pages are kept as they are read, so a process that follows a store grows by 2 MB. The
            # system keeps them, too.
            connection.execute("PRAGMA cache_size = -2000")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise Foreign("a newer version of Track made it")  # noqa: TRY301 - once closed
            if version != VERSION:
                if not create or version != 0:
                    raise Unusable("it was made by another version")  # noqa: TRY301 - as above
                # Chunks that are not full would leave a sixth of smaller pages empty.
                connection.execute("PRAGMA page_size = 16384")
                connection.executescript(
                    f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION}; "
                    f"PRAGMA user_version = {VERSION}; {_SCHEMA} COMMIT;"
                )
        except BaseException:
            connection.close()
            raise
        self._inode = os.stat(self.path).st_ino
        return connection

    def _check_whose(self, connection: sqlite3.Connection) -> None:
        """Check that the file is a cache that may be changed.

        SQLite checks it, since closing another descriptor of the file would drop all locks of this
        process on it.
        """
        import sqlite3

        try:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
        except sqlite3.DatabaseError as error:
            if "not a database" in str(error):  # so this process has no lock on it
                _check_header(self.path)
            raise
        if pages and application != APPLICATION:
            raise Foreign("the file is not a cache of Track")
        self._is_ours = True


def _wait(connection: sqlite3.Connection, milliseconds: int) -> None:
    connection.execute(f"PRAGMA busy_timeout = {milliseconds}")


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(os.fsencode(path))


def _check_header(path: str) -> None:
    with open(path, "rb") as file:
        header = file.read(_HEADER_BYTES)
    if header and (
        not header.startswith(b"SQLite format 3\0")
        or header[68:72] != APPLICATION.to_bytes(4, "big")
    ):
        raise Foreign("the file is not a cache of Track")
