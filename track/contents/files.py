"""Keep contents as files named by their SHA-256."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from track.contents.store import ContentStore, Kept, check_digest, copy_hashed, is_digest
from track.errors import ItemNotFound
from track.utils.files import fresh_path

UNFINISHED = ".incoming"
"""The prefix of incomplete copies in that folder."""


class FileContents(ContentStore):
    """A folder of files named by their SHA-256: ``ab/cdef…`` has the hash ``abcdef…``.

    Parameters
    ----------
    root
        the folder, created when the first content is kept
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root)

    def __str__(self) -> str:
        return str(self.root)

    def path_of(self, digest: str) -> Path:
        """Return the path of a content, which may not exist.

        Raises
        ------
        ValueError
            the digest is not a SHA-256, so the path could be that of any file
        """
        check_digest(digest)
        return self.root / digest[:2] / digest[2:]

    def put(self, source: BinaryIO) -> Kept:
        return self.put_rest(b"", source)

    def put_rest(self, first: bytes, source: BinaryIO) -> Kept:
        """Keep bytes that were already read from a file, and the rest of the file."""
        self.root.mkdir(parents=True, exist_ok=True)
        with fresh_path(str(self.root / UNFINISHED)) as fresh:
            with open(fresh, "xb") as copy:
                size, digest = copy_hashed(source, copy.write, first)
                copy.flush()
                os.fsync(copy.fileno())
            target = self.path_of(digest)
            target.parent.mkdir(exist_ok=True)
            # Files of this name have the same content, so replacing one is harmless.
            os.replace(fresh, target)
        return size, digest

    def adopt(self, path: str, digest: str) -> None:
        target = self.path_of(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)

    def open_unchecked(self, digest: str) -> BinaryIO:
        path = self.path_of(digest)
        try:
            return open(path, "rb")
        except FileNotFoundError:
            raise ItemNotFound(
                f"the content {path} is missing: copy {self.root} with the store when you move it"
            ) from None

    def missing(self, digests: Iterable[str]) -> set[str]:
        return {digest for digest in digests if not self.path_of(digest).exists()}

    def digests(self) -> Iterator[str]:
        for path in self.root.glob("[0-9a-f][0-9a-f]/*"):
            digest = path.parent.name + path.name
            if is_digest(digest):
                yield digest

    def remove(self, digests: Iterable[str]) -> set[str]:
        removed = set()
        for digest in digests:
            with suppress(FileNotFoundError):
                self.path_of(digest).unlink()
                removed.add(digest)
        return removed
