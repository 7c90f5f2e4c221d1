"""Keep a journal in an LMDB environment (``docs/format.md``).

Positions count the events from 1 and are keys, as big-endian numbers, so the keys have the order of
the journal. An append is one transaction, which the kernel has when it returns. Readers see a
snapshot, copy a batch, and block nobody.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from struct import Struct
from typing import Any, TypeVar
from zlib import crc32

import lmdb

from track.errors import EncodingError, JournalError, JournalWriteError, NewerFormat
from track.events.codec import MAX_PAYLOAD, identify
from track.events.record import SEED
from track.events.scan import Damage
from track.journals.file_lock import LockedFile
from track.journals.journal import DEFAULT_LOCK_TIMEOUT, Batch, Durability
from track.journals.lmdb_environment import environments
from track.journals.local import JournalOnDisk

_BATCH_BYTES = 2**20
_BATCH_EVENTS = 4096

VERSION = 1
"""The version of the content of environments, see ``docs/format.md``."""

_FORMAT = b"format"
_KEY = Struct(">cQ")
_PRODUCER, _EVENT = b"p", b"t"
"""The first bytes of keys. Events sort last, so the last key is that of the last event."""

_SEQUENCE = Struct(">Q")
_CHECKSUM_BYTES = 4

_Result = TypeVar("_Result")


class LMDBJournal(JournalOnDisk):
    """A journal in one LMDB file; the position of an event is its number.

    Parameters
    ----------
    path
        the file, created if missing; LMDB keeps its locks in another file beside it
    durability
        as for :class:`~track.journals.local.JournalOnDisk`; but only ``always``, in all processes
        that write, protects the environment from a power failure
    lock_timeout_s
        the time to wait for the exclusive section, and for the turn to append
    writable
        False for an existing journal that is only read; LMDB may create its lock file

    Raises
    ------
    JournalError
        the path is something else, or cannot be opened for reading and writing
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        durability: Durability = "interval",
        lock_timeout_s: float = DEFAULT_LOCK_TIMEOUT,
        *,
        writable: bool = True,
    ) -> None:
        if not writable and os.path.isfile(path) and os.path.getsize(path) == 0:
            raise _no_journal(os.path.abspath(path))  # LMDB would create an environment there
        super().__init__(LockedFile(path, lock_timeout_s), durability)
        self._environment = environments.take(self.file, syncs=durability == "always")
        self._given_back = False
        self._check_format(writable=writable)

    def _check_format(self, *, writable: bool) -> None:
        found = self._read(lambda transaction: transaction.get(_FORMAT))
        if found is None and not writable:
            self.close()
            raise _no_journal(self.path)
        if found is None:
            self._write(self._put_format)
        elif int(found) > VERSION:
            version = int(found)
            self.close()
            raise NewerFormat(
                f"{self.path} has format version {version}, but this version of Track reads up to "
                f"{VERSION}: upgrade Track to read it"
            )

    def _put_format(self, transaction: Any) -> None:
        if transaction.stat()["entries"] and transaction.get(_FORMAT) is None:
            raise _no_journal(self.path)
        transaction.put(_FORMAT, b"%d" % VERSION)

    def append(self, payloads: Sequence[bytes]) -> None:
        values = [_with_checksum(payload) for payload in payloads]
        sequences = dict(filter(None, map(identify, payloads)))

        def put(transaction: Any) -> None:
            first = self._last(transaction) + 1
            for position, value in enumerate(values, first):
                transaction.put(_KEY.pack(_EVENT, position), value, append=True)
            for producer, sequence in sequences.items():
                transaction.put(_KEY.pack(_PRODUCER, producer), _SEQUENCE.pack(sequence))

        self.file.descriptor()
        if values:
            self._write(put)

    def _write(self, change: Callable[[Any], None]) -> None:
        try:
            in_time = self._environment.write(change, self.file.lock_timeout_s)
        except lmdb.Error as error:
            raise JournalWriteError(
                errno.ENOSPC if isinstance(error, lmdb.DiskError) else errno.EIO,
                f"cannot append to {self.path}: {error}; free some space, or check the disk. The "
                "event was not recorded, the journal keeps working",
            ) from error
        if not in_time:
            raise JournalWriteError(
                errno.ETIMEDOUT,
                f"another process has been appending to {self.path} for over "
                f"{self.file.lock_timeout_s:g} s, so the event was not recorded: that process is "
                "stopped or stuck; resume or kill it",
            )

    def _last(self, transaction: Any) -> int:
        cursor = transaction.cursor()
        if not cursor.last() or not cursor.key().startswith(_EVENT):
            return 0
        position: int = _KEY.unpack(cursor.key())[1]
        return position

    def _read(self, look: Callable[[Any], _Result]) -> _Result:
        self.file.descriptor()
        try:
            return self._environment.read(look)
        except lmdb.Error as error:
            raise JournalError(
                f"cannot read {self.path}: {error}; if it is damaged, restore a backup or repair it"
            ) from error

    def read_batches(self, after: int = 0, last: int | None = None) -> Iterator[Batch]:
        while found := self._read(partial(self._take, after, last)):
            batch = self._checked(found)
            if batch[0]:
                yield batch
            after = found[-1][0]

    def _checked(self, found: list[tuple[int, bytes]]) -> Batch:
        positions, payloads = [], []
        for position, value in found:
            if crc32(value) == SEED:
                positions.append(position)
                payloads.append(value[:-_CHECKSUM_BYTES])
            else:
                self._report(Damage(position, position, "corrupt"))
        return positions, payloads

    def _take(self, after: int, last: int | None, transaction: Any) -> list[tuple[int, bytes]]:
        """Return the positions and values of a batch after a position, and up to another one."""
        cursor = transaction.cursor()
        if not cursor.set_range(_KEY.pack(_EVENT, after + 1)):
            return []
        # Positions are consecutive.
        most = _BATCH_EVENTS if last is None else min(_BATCH_EVENTS, last - after)
        found, size = [], 0
        for key, value in islice(cursor, most):
            found.append((_KEY.unpack(key)[1], value))
            size += len(value)
            if size > _BATCH_BYTES:
                break
        return found

    def head(self) -> int:
        return self._read(self._last)

    def last_sequence(self, producer: int) -> int:
        key = _KEY.pack(_PRODUCER, producer)
        found = self._read(lambda transaction: transaction.get(key))
        return 0 if found is None else int(_SEQUENCE.unpack(found)[0])

    def salvage(self, piece: Damage) -> list[bytes]:
        value = self.fingerprint(piece.start)
        return [] if value is None else [value[:-_CHECKSUM_BYTES]]

    def fingerprint(self, position: int) -> bytes | None:
        key = _KEY.pack(_EVENT, position)
        value: bytes | None = self._read(lambda transaction: transaction.get(key))
        return value

    def close(self) -> None:
        try:
            super().close()
        finally:
            if not self._given_back:
                self._given_back = True
                environments.give_back(self._environment)

    def __del__(self) -> None:
        if not getattr(self, "_given_back", True):
            environments.drop(self._environment)


def _no_journal(path: str) -> JournalError:
    return JournalError(f"{path} is not a Track journal: choose another path")


def _with_checksum(payload: bytes) -> bytes:
    """Return the stored form of a payload: the payload and its checksum."""
    if len(payload) > MAX_PAYLOAD:
        raise EncodingError(f"a payload of {len(payload)} bytes exceeds the limit of {MAX_PAYLOAD}")
    return payload + crc32(payload).to_bytes(_CHECKSUM_BYTES, "little")
