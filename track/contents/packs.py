"""Keep many small contents in few files (``docs/format.md``).

A pack is a file of records, like a journal. Each record has the SHA-256 of a content and its bytes.
The index of a pack is read from the headers of its records on first use, and kept in memory; no
index is stored that could be lost or wrong.

A writer holds the ``flock`` of the pack, and first removes an incomplete record that a killed
writer left at the end. So a header suffices to find the next record. Readers take no lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from zlib import crc32

from track.errors import LockTimeout
from track.events.record import (
    HEADER_SIZE,
    MASK_AT,
    MAX_LENGTH,
    OVERHEAD,
    SEED,
    START,
    WORDS,
    frame,
    xor,
)
from track.events.scan import find_record
from track.utils.files import Unshared, flock_within, fresh_path, is_at, keep_mode, sync_folder
from track.utils.forking import ForkSafeLock

LARGEST_PACK = 2**26
"""The size in bytes from which a pack is full."""

_DIGEST_SIZE = 32
_TIMEOUT_S = 30.0
_WINDOW = 2**20
_NAME = re.compile(r"(\d{1,9})\.pack")


class Packs:
    """Keeps contents in the packs of a folder. Any thread may call it.

    Parameters
    ----------
    folder
        the folder, created with the first pack
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._packs: dict[int, _Pack] = {}
        self._lock = ForkSafeLock()

    def put(self, digest: str, data: bytes) -> None:
        """Keep a content, given its SHA-256, on stable storage.

        Raises
        ------
        EncodingError
            the content was crafted so that no record can hold it
        OSError
            the content cannot be written
        """
        key = bytes.fromhex(digest)
        with self._lock:
            self._catch_up()
            last = max(self._packs, default=0)
            there = next((n for n, pack in self._packs.items() if key in pack.places), None)
            if there is None and (not last or self._packs[last].end >= LARGEST_PACK):
                self._folder.mkdir(parents=True, exist_ok=True)
                last += 1
                self._packs[last] = _Pack(str(self._folder / f"{last:06}.pack"))
            self._packs[last if there is None else there].put(key, data)

    def read(self, digest: str) -> bytes | None:
        """Return a content, or None if no pack has it."""
        key = bytes.fromhex(digest)
        with self._lock:
            self._catch_up()
            for pack in self._packs.values():
                if key in pack.places:
                    return pack.read(key)
        return None

    def missing(self, digests: Iterable[str]) -> set[str]:
        """Return the SHA-256 whose contents are in no pack."""
        wanted = {digest: bytes.fromhex(digest) for digest in digests}
        with self._lock:
            self._catch_up()
            packs = [*self._packs.values()]
            return {
                digest
                for digest, key in wanted.items()
                if not any(key in pack.places for pack in packs)
            }

    def digests(self) -> set[str]:
        """Return the SHA-256 of all contents."""
        with self._lock:
            self._catch_up()
            return {key.hex() for pack in self._packs.values() for key in pack.places}

    def remove(self, digests: Iterable[str]) -> set[str]:
        """Erase contents by rewriting their packs, and return the SHA-256 of those found."""
        wanted = {bytes.fromhex(digest) for digest in digests}
        removed: set[bytes] = set()
        with self._lock:
            self._catch_up()
            for pack in self._packs.values():
                removed |= pack.remove(wanted)
        return {key.hex() for key in removed}

    def _catch_up(self) -> None:
        """Find new packs, and new contents of known ones."""
        found = {}
        with suppress(FileNotFoundError):
            for name in os.listdir(self._folder):
                match = _NAME.fullmatch(name)
                if match is not None:
                    number = int(match[1])
                    path = str(self._folder / name)
                    found[number] = self._packs.get(number) or _Pack(path)
        self._packs = dict(sorted(found.items()))
        for pack in self._packs.values():
            pack.look()


class _Pack:
    """Represents one file of small contents.

    Attributes
    ----------
    places
        the offset of the record of each content, and the length of its payload
    end
        the end of the last known record
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self.places: dict[bytes, tuple[int, int]] = {}
        self.end = 0
        self._file: tuple[int, int] | None = None
        """Identifies the file that the places belong to."""

    def look(self) -> None:
        """Find the contents that were appended since the last call."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            self._forget()
            return
        if (status.st_dev, status.st_ino) == self._file and status.st_size == self.end:
            return
        with suppress(FileNotFoundError), open(self._path, "rb", buffering=0) as file:
            self._catch_up(file.fileno())

    def _catch_up(self, fd: int) -> bool:
        """Read the headers of further records; return whether the file ends with a torn record."""
        status = os.fstat(fd)
        size, identity = status.st_size, (status.st_dev, status.st_ino)
        if identity != self._file or size < self.end:
            self._forget()
            self._file = identity
        while self.end < size:
            head = os.pread(fd, HEADER_SIZE + _DIGEST_SIZE, self.end)
            if len(head) < HEADER_SIZE + _DIGEST_SIZE:
                return True
            if not head.startswith(START) or crc32(head[:HEADER_SIZE]) != SEED:
                following = find_record(partial(_read, fd), _WINDOW, self.end + 1)
                if following is None:
                    return False
                self.end = following
                continue
            length = WORDS.unpack_from(head)[0] & MAX_LENGTH
            end = self.end + length + OVERHEAD
            if end > size:
                return True
            digest = xor(head[HEADER_SIZE:], head[MASK_AT])
            if length >= _DIGEST_SIZE:
                self.places.setdefault(digest, (self.end, length))
            self.end = end
        return False

    def put(self, digest: bytes, data: bytes) -> None:
        """Append a content unless the pack has it, and sync the file."""
        record = frame(digest + data)
        with self._locked() as fd:
            torn = self._catch_up(fd)
            if digest not in self.places:
                if torn:
                    os.ftruncate(fd, self.end)
                self._append(fd, digest, record)
            fcntl.flock(fd, fcntl.LOCK_UN)  # others may append during the sync
            os.fsync(fd)

    def _append(self, fd: int, digest: bytes, record: bytes) -> None:
        begin = os.fstat(fd).st_size
        written = os.write(fd, record)
        if written != len(record):
            os.ftruncate(fd, begin)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if not begin:
            sync_folder(self._path)
        self.places[digest] = begin, len(record) - OVERHEAD
        self.end = begin + len(record)

    def read(self, digest: bytes) -> bytes | None:
        """Return a content without checking it, or None if the file is gone."""
        with suppress(FileNotFoundError), open(self._path, "rb", buffering=0) as file:
            self._catch_up(file.fileno())
            place = self.places.get(digest)
            if place is not None:
                return self._read(file.fileno(), *place)[HEADER_SIZE + _DIGEST_SIZE :]
        return None

    def _read(self, fd: int, offset: int, length: int) -> bytes:
        """Return the header and the unmasked payload of a record."""
        data = _read(fd, offset, HEADER_SIZE + length)
        return data[:HEADER_SIZE] + xor(data[HEADER_SIZE:], data[MASK_AT])

    def remove(self, wanted: set[bytes]) -> set[bytes]:
        """Replace the file by one without some contents, and return the hashes of those found."""
        removed = wanted & self.places.keys()
        if not removed:
            return removed
        with self._locked() as fd:
            self._catch_up(fd)
            if removed == self.places.keys():
                os.unlink(self._path)
                sync_folder(self._path)
                self._forget()
                return removed
            with fresh_path(self._path) as fresh:
                with open(fresh, "xb") as file:
                    for digest, (offset, length) in self.places.items():
                        if digest not in removed:
                            file.write(_read(fd, offset, length + OVERHEAD))
                    file.flush()
                    os.fsync(file.fileno())
                    keep_mode(file.fileno(), self._path)
                os.replace(fresh, self._path)
            sync_folder(self._path)
        self._forget()
        self.look()
        return removed

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Lock the file for a block and give its descriptor, creating the file if needed."""
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                with Unshared(fd):
                    if not flock_within(fd, _TIMEOUT_S):
                        raise LockTimeout(
                            f"another process has held the lock of {self._path} for over "
                            f"{_TIMEOUT_S:g} s: it is stopped or stuck; resume or kill it"
                        )
                    if is_at(self._path, os.fstat(fd)):
                        yield fd
                        return
            finally:
                os.close(fd)


def _read(fd: int, offset: int, size: int) -> bytes:
    """Return a piece of a file, which is shorter only at the end of the file."""
    return os.pread(fd, size, offset)
