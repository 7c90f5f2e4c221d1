"""Keep contents in memory: the reference implementation of a content store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import BinaryIO

from track.contents.store import ContentStore, Kept, check_digest, copy_hashed
from track.errors import ItemNotFound, TrackError


class MemoryContents(ContentStore):
    """Keeps contents in memory.

    Parameters
    ----------
    limit
        the largest size of a content in bytes, None for no limit
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self._contents: dict[str, bytes] = {}

    def __str__(self) -> str:
        return "memory"

    def put(self, source: BinaryIO) -> Kept:
        data = bytearray()
        size, digest = copy_hashed(source, data.extend)
        if self.limit is not None and size > self.limit:
            raise TrackError(f"a content of {size} bytes exceeds the limit of {self.limit}")
        self._contents[digest] = bytes(data)
        return size, digest

    def open_unchecked(self, digest: str) -> BinaryIO:
        found = self._contents.get(check_digest(digest))
        if found is None:
            raise ItemNotFound(f"the content {digest} is not in this store")
        return BytesIO(found)

    def missing(self, digests: Iterable[str]) -> set[str]:
        return {digest for digest in digests if check_digest(digest) not in self._contents}

    def digests(self) -> Iterator[str]:
        yield from list(self._contents)

    def remove(self, digests: Iterable[str]) -> set[str]:
        found = [digest for digest in digests if check_digest(digest) in self._contents]
        for digest in found:
            del self._contents[digest]
        return set(found)
