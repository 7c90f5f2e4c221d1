"""Keep contents in a folder beside a store on disk (``docs/format.md``)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from io import BytesIO
from typing import BinaryIO, Final

from track.contents.files import FileContents
from track.contents.packs import Packs
from track.contents.store import Kept, check_digest
from track.errors import EncodingError

CONTENT_SUFFIX = ".files"
"""The suffix of the folder beside a store on disk."""

ARRIVING = ".arriving"
"""The subfolder for parts of contents that clients of a server send."""

UNFINISHED_SUFFIX: Final = ".tmp"
"""The suffix of unfinished copies and packs."""

LARGEST_PACKED = 2**20
"""The size in bytes up to which contents are packed, since each file takes an inode and a block."""


class FolderContents(FileContents):
    """A folder with a file for each large content, and packs of small ones.

    Parameters
    ----------
    root
        the folder, created when the first content is kept
    """

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.arriving = str(self.root / ARRIVING)
        self._packs = Packs(self.root)

    def put(self, source: BinaryIO) -> Kept:
        first = source.read(LARGEST_PACKED + 1)
        digest = sha256(first).hexdigest()
        if len(first) > LARGEST_PACKED or super().missing([digest]) == set():
            return self.put_rest(first, source)
        try:
            self._packs.put(digest, first)
        except EncodingError:  # the content was crafted so that no record can hold it
            return self.put_rest(first, source)
        return len(first), digest

    def adopt(self, path: str, digest: str) -> None:
        if os.path.getsize(path) > LARGEST_PACKED:
            super().adopt(path, digest)
            return
        with open(path, "rb") as source:
            self.put(source)
        os.unlink(path)

    def open_unchecked(self, digest: str) -> BinaryIO:
        data = self._packs.read(check_digest(digest))
        return super().open_unchecked(digest) if data is None else BytesIO(data)

    def missing(self, digests: Iterable[str]) -> set[str]:
        return self._packs.missing(super().missing(digests))

    def digests(self) -> Iterator[str]:
        packed = self._packs.digests()
        yield from packed
        yield from (digest for digest in super().digests() if digest not in packed)

    def size(self) -> int:
        """Return the total size of all files in the folder, in bytes."""
        return sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())

    def tidy(self) -> None:
        """Remove unfinished copies and empty folders, while no other process uses the folder."""
        for path in sorted(self.root.rglob("*"), reverse=True):
            if path.is_dir():
                with suppress(OSError):  # the folder is not empty
                    path.rmdir()
            elif path.parent.name == ARRIVING or path.name.endswith(UNFINISHED_SUFFIX):
                path.unlink()

    def remove(self, digests: Iterable[str]) -> set[str]:
        wanted = [*digests]
        return super().remove(wanted) | self._packs.remove(wanted)
