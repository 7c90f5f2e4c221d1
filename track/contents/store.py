"""Define the contract of a content store: bytes of any size, each kept once under its SHA-256.

An event names a content by its SHA-256 in hexadecimal. The content is kept before its event is
recorded, so a crash in between leaves at most a content that no event names. Contents never change,
so it is harmless to keep the same content again, even from two processes at once.
"""

from __future__ import annotations

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, TypeGuard, cast

from track.errors import FileDamaged, ItemNotFound, TrackError

PIECE = 2**20
"""The number of bytes to read at a time."""

LARGEST_IN_A_TABLE = 2**20
"""The largest size in bytes of a content in a database or in memory."""

_IN_MEMORY = 2**23
"""The size in bytes beyond which a fetched content is kept in a temporary file."""

_DIGEST = re.compile("[0-9a-f]{64}")

Kept = tuple[int, str]
"""The size of a content in bytes, and its SHA-256 in hexadecimal."""


class ContentStore(ABC):
    """Keeps contents, each once, under its SHA-256 in hexadecimal.

    Any thread may call it. Every ``open`` checks the content against its hash.
    """

    limit: int | None = None
    """The largest size of a content in bytes, None for no limit."""

    questions: int = 256
    """The number of contents to ask for at once, so that an answer takes little time."""

    arriving: str | None = None
    """The folder for parts of contents from clients, None for a temporary one."""

    @abstractmethod
    def put(self, source: BinaryIO) -> Kept:
        """Keep the rest of an open binary file; it is on stable storage when this returns.

        Raises
        ------
        TrackError
            the content is too large for this store
        OSError
            the content cannot be read or written
        """

    def keep(self, path: str | os.PathLike[str]) -> Kept:
        """Keep the content of a regular file, which may change meanwhile.

        Raises
        ------
        TrackError
            the path is not a regular file, or its content cannot be read or kept
        """
        if not os.path.isfile(path):
            raise TrackError(f"cannot log {path}: it is not a file")
        try:
            with open(path, "rb") as source:
                return self.put(source)
        except OSError as error:
            raise self._refused(os.fspath(path), error) from error

    def keep_bytes(self, data: bytes) -> str:
        """Keep bytes, and return their SHA-256.

        Raises
        ------
        TrackError
            the bytes cannot be kept
        """
        try:
            return self.put(BytesIO(data))[1]
        except OSError as error:
            raise self._refused(f"{len(data)} bytes", error) from error

    def _refused(self, what: str, error: OSError) -> TrackError:
        return TrackError(f"cannot keep {what} in {self}: {error.strerror or error}")

    def sending(self, digest: str, source: BinaryIO) -> Iterator[None]:
        """Keep the rest of an open file in steps that each take little time.

        Raises
        ------
        FileDamaged
            the rest of the file has another SHA-256
        TrackError, OSError
            as for :meth:`put`
        """
        if self.put(source)[1] != digest:
            raise FileDamaged(f"the waiting copy of the content {digest} is damaged")
        yield

    def adopt(self, path: str, digest: str) -> None:
        """Keep the content of a file whose SHA-256 is already verified, and remove the file.

        Raises
        ------
        TrackError, OSError
            as for :meth:`put`
        """
        with open(path, "rb") as source:
            self.put(source)
        os.unlink(path)

    def behind(self) -> ContentStore:
        """Return the store that contents end up in: behind a spool, the remote one."""
        return self

    @abstractmethod
    def open_unchecked(self, digest: str) -> BinaryIO:
        """Open a content as :meth:`open` does, without comparing it with its hash."""

    def open(self, digest: str) -> BinaryIO:
        """Open the content with a SHA-256 to read it.

        Raises
        ------
        ItemNotFound
            the content is missing
        FileDamaged
            the kept bytes have another hash
        ValueError
            the digest is not a SHA-256
        """
        file = self.open_unchecked(digest)
        if hashed(file)[1] != digest:
            file.close()
            raise FileDamaged(
                f"the content {digest} in {self} is damaged: it is no longer what was logged"
            )
        return file

    @abstractmethod
    def missing(self, digests: Iterable[str]) -> set[str]:
        """Return the SHA-256 whose contents this store does not have."""

    @abstractmethod
    def digests(self) -> Iterator[str]:
        """Yield the SHA-256 of every content once, in no particular order."""

    @abstractmethod
    def remove(self, digests: Iterable[str]) -> set[str]:
        """Erase contents for good, and return the SHA-256 of those found.

        No other process may use a store on disk meanwhile.
        """


def is_digest(value: Any) -> TypeGuard[str]:
    """Return whether a value is a SHA-256 in hexadecimal."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def check_digest(value: Any) -> str:
    """Return a SHA-256 in hexadecimal.

    Raises
    ------
    ValueError
        the value is not a SHA-256, so it might be anything, such as the path of another file
    """
    if not is_digest(value):
        raise ValueError(f"invalid SHA-256 {value!r}: it must have 64 hexadecimal digits")
    return value


def not_here(digest: str, where: object) -> ItemNotFound:
    """Return the error for a content that is missing in a store shared by several machines."""
    return ItemNotFound(
        f"the content {digest} is not in {where}: run `track sync` on the machine that logged it, "
        "in case it was not sent yet"
    )


def hashed(source: BinaryIO) -> Kept:
    """Return the size and the SHA-256 of the rest of an open file, which stays where it is."""
    begin = source.tell()
    found = copy_hashed(source, len)
    source.seek(begin)
    return found


def copy_hashed(source: BinaryIO, write: Callable[[bytes], object], first: bytes = b"") -> Kept:
    """Pass the rest of an open file to a function, piece by piece, and hash it.

    Parameters
    ----------
    source
        the file
    write
        called with each piece
    first
        the bytes already read from the file, which come first
    """
    digest, size = hashlib.sha256(), 0
    piece = first or source.read(PIECE)
    while piece:
        digest.update(piece)
        size += len(piece)
        write(piece)
        piece = source.read(PIECE)
    return size, digest.hexdigest()


def fetched(pieces: Iterable[bytes]) -> BinaryIO:
    """Return a temporary file with the pieces, positioned at its beginning."""
    file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the caller closes it
    try:
        for piece in pieces:
            file.write(piece)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return cast("BinaryIO", file)
