"""Receive contents from clients in pieces at a server, and send them in pieces."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from heapq import nsmallest
from typing import Any

from track.contents.store import ContentStore, check_digest, copy_hashed
from track.errors import BackendError, EncodingError, FileDamaged, TrackError
from track.relay.messages import MOST_DIGESTS, MOST_FETCHED, Answer
from track.utils.files import flock_within

_OPEN = 64
"""The number of unfinished contents whose files stay open."""


class ContentService:
    """Answers clients about the contents of a store. Any thread may call it.

    Parameters
    ----------
    content
        the contents of the store, None if it keeps none
    largest
        the largest size of a content in bytes
    """

    def __init__(self, content: ContentStore | None, largest: int) -> None:
        self._kept = None if content is None else content.behind()
        self._largest = largest
        self._arrivals: dict[str, _Arrival] = {}
        self._lock = threading.Lock()
        self._folder: str | None = None

    def calls(self) -> dict[str, Callable[..., Answer]]:
        """Return the calls by name."""
        return {
            "content": self._content,
            "contents": self._contents,
            "missing_contents": self._missing,
        }

    @property
    def _store(self) -> ContentStore:
        if self._kept is None:
            raise BackendError("the store of this server keeps no contents of files")
        return self._kept

    def _missing(self, digests: list[str]) -> Answer:
        if not isinstance(digests, list) or len(digests) > MOST_DIGESTS:
            raise ValueError(f"a request may name up to {MOST_DIGESTS} contents")
        return [sorted(self._store.missing(digests))], b""

    def _contents(self, after: str) -> Answer:
        last = check_digest(after) if after else ""
        following = (digest for digest in self._store.digests() if digest > last)
        return [nsmallest(MOST_DIGESTS, following)], b""

    def _content(self, digest: str, offset: int) -> Answer:
        with self._store.open_unchecked(check_digest(digest)) as file:
            size = file.seek(0, os.SEEK_END)
            if type(offset) is not int or not 0 <= offset <= size:
                raise ValueError("invalid offset in a content")
            file.seek(offset)
            return [size], file.read(MOST_FETCHED)

    def keep(self, header: list[Any], piece: bytes) -> list[int | None]:
        """Take a piece of a content.

        Parameters
        ----------
        header
            the SHA-256 and the size of the content, and the offset of the piece in it
        piece
            the piece, empty to only ask how much has arrived

        Returns
        -------
        The offset of the next piece to send, None once the content is kept.

        Raises
        ------
        EncodingError
            the content is too large for this server
        FileDamaged
            the received content has another SHA-256, and was dropped
        """
        named, size, offset = header if len(header) == 3 else [None] * 3  # noqa: PLR2004 - so many
        digest = check_digest(named)
        if type(size) is not int or type(offset) is not int or not 0 <= offset <= size:
            raise ValueError("invalid size or offset of a content")
        limit = min(self._largest, self._store.limit or self._largest)
        if size > limit:
            raise EncodingError(
                f"a content of {size} bytes exceeds the limit of {limit} of this server"
            )
        if not piece and not self._store.missing([digest]):
            return [None]
        arrival = self._arrival(digest)
        with arrival.lock:
            if not arrival.is_over:
                arrived = arrival.take(offset, piece, size)
                if arrived < size:
                    return [arrived]
                try:
                    arrival.finish(digest, self._store)
                finally:
                    with self._lock:
                        self._arrivals.pop(digest, None)
        return [None]

    def _arrival(self, digest: str) -> _Arrival:
        with self._lock:
            found = self._arrivals.pop(digest, None) or _Arrival(self._place_of(digest))
            self._arrivals[digest] = found
            if len(self._arrivals) > _OPEN:
                del self._arrivals[next(iter(self._arrivals))]
        return found

    def _place_of(self, digest: str) -> str:
        folder = self._store.arriving or self._folder
        if folder is None:
            folder = self._folder = tempfile.mkdtemp(prefix="track-contents-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, digest)


class _Arrival:
    """Collects the pieces of a content in a file.

    Parameters
    ----------
    path
        the path of the file, which may have pieces that an earlier server received
    """

    def __init__(self, path: str) -> None:
        self.lock = threading.Lock()
        self.is_over = False
        """Whether the content was completed while another client waited for the lock."""
        self._path = path
        self._file = open(path, "a+b", buffering=0)  # noqa: SIM115 - closed with this object
        self._hash: Any = None
        """The hash of the received pieces, None until those of an earlier server are read."""
        self._size = 0

    def take(self, offset: int, piece: bytes, size: int) -> int:
        """Append a piece if it is the next one, and return how much has arrived."""
        if self._hash is None:
            self._resume()
        if self._size > size:
            self._forget()
        if offset + len(piece) > size:
            raise ValueError("a piece is longer than its content")
        if offset == self._size and piece:
            written = self._file.write(piece)
            self._hash.update(piece[:written])
            self._size += written or 0
        return self._size

    def _resume(self) -> None:
        if not flock_within(self._file.fileno(), 0):
            raise TrackError("this content is being sent to another server of the same store")
        found = hashlib.sha256()
        self._file.seek(0)
        self._size, _ = copy_hashed(self._file, found.update)
        self._hash = found

    def _forget(self) -> None:
        self._file.truncate(0)
        self._size, self._hash = 0, hashlib.sha256()

    def finish(self, digest: str, store: ContentStore) -> None:
        """Pass the complete content on to the store."""
        if self._hash.hexdigest() != digest:
            with suppress(FileNotFoundError):
                os.unlink(self._path)
            raise FileDamaged(f"the content {digest} did not arrive as it was logged")
        os.fsync(self._file.fileno())
        store.adopt(self._path, digest)
        self.is_over = True

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
