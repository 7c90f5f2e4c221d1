"""Store the contents of logged files, each once, under its SHA-256."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

from track.errors import FileDamaged, ItemNotFound, TrackError
from track.utils.files import fresh_path

CONTENT_SUFFIX = ".files"
"""The suffix of the folder beside a store on disk."""

UNFINISHED = ".incoming"
"""The prefix of incomplete copies in that folder."""

_CHUNK = 2**20
_DIGEST = re.compile("[0-9a-f]{64}")

Keep = Callable[[str], tuple[int, str]]
"""Stores the content of a file, and returns its size in bytes and its SHA-256."""


def is_digest(value: Any) -> TypeGuard[str]:
    """Return whether a value is a SHA-256 in hexadecimal."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def name_of(path: str) -> str:
    """Return the name of a file or folder: its path in the working folder, else its whole path.

    Files of different folders are different files, even if the last parts of their paths are equal.
    """
    path, here = os.path.abspath(path), os.getcwd()
    inside = os.path.commonpath([path, here]) == here
    return os.path.relpath(path, here) if inside and path != here else path


def file_facts(path: str, keep: Keep) -> dict[str, Any]:
    """Store a file and return its name, size and SHA-256."""
    size, digest = keep(path)
    return {"name": name_of(path), "size": size, "sha256": digest}


def directory_facts(path: str, keep: Keep) -> dict[str, Any]:
    """Store all files in a folder and return its name, size, SHA-256 and files.

    The SHA-256 is computed from the sorted lines of its files, ``<hash>  <name>`` as by sha256sum.

    Raises
    ------
    TrackError
        the path is not a folder, or a file in it cannot be stored
    """
    root = Path(path)
    if not root.is_dir():
        raise TrackError(f"cannot log {root}: it is not a folder")
    files = {}
    for file in sorted(root.rglob("*")):
        if file.is_file():
            size, digest = keep(str(file))
            files[file.relative_to(root).as_posix()] = {"size": size, "sha256": digest}
    manifest = "".join(f"{facts['sha256']}  {name}\n" for name, facts in files.items())
    return {
        "name": name_of(str(path)),
        "size": sum(facts["size"] for facts in files.values()),
        "sha256": hashlib.sha256(manifest.encode("utf-8", "surrogatepass")).hexdigest(),
        "files": files,
    }


class ContentStore:
    """A folder of files named by their SHA-256: ``ab/cdef…`` has the hash ``abcdef…``.

    Parameters
    ----------
    root
        the folder, created when the first file is stored
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root)

    def path_of(self, digest: str) -> Path:
        """Return the path of a content, which may not exist.

        Raises
        ------
        ValueError
            the digest is not a SHA-256, so the path could be that of any file
        """
        if not is_digest(digest):
            raise ValueError(f"a SHA-256 has 64 hexadecimal digits, this is {digest!r}")
        return self.root / digest[:2] / digest[2:]

    def open(self, digest: str) -> BinaryIO:
        """Open the content with a SHA-256 to read it.

        Raises
        ------
        ItemNotFound
            the content is missing
        FileDamaged
            the content has another hash
        """
        path = self.path_of(digest)
        try:
            file = open(path, "rb")  # noqa: SIM115 - the caller closes it
        except FileNotFoundError:
            raise ItemNotFound(
                f"the content {path} is missing: copy {self.root} with the store when you move it"
            ) from None
        found = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            found.update(chunk)
        if found.hexdigest() != digest:
            file.close()
            raise FileDamaged(f"{path} is damaged: it no longer holds what was logged")
        file.seek(0)
        return file

    def keep(self, path: str) -> tuple[int, str]:
        """Store the content of a file.

        Returns
        -------
        The size in bytes and the SHA-256 of the copy, in hexadecimal; the file may change
        meanwhile.

        Raises
        ------
        TrackError
            the path is not a regular file, or it cannot be read or copied
        """
        if not os.path.isfile(path):
            raise TrackError(f"cannot log {path}: it is not a file")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with open(path, "rb") as source:
                return self._copy(source)
        except OSError as error:
            raise TrackError(f"cannot keep {path} in {self.root}: {error.strerror}") from error

    def keep_bytes(self, digest: str, data: bytes) -> None:
        """Keep some bytes, given their SHA-256 in hexadecimal.

        Raises
        ------
        TrackError
            they cannot be written
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not self.path_of(digest).exists():
                self._copy(BytesIO(data))
        except OSError as error:
            raise TrackError(
                f"cannot keep {len(data)} bytes in {self.root}: {error.strerror}"
            ) from error

    def _copy(self, source: BinaryIO) -> tuple[int, str]:
        digest, size = hashlib.sha256(), 0
        with fresh_path(str(self.root / UNFINISHED)) as fresh:
            with open(fresh, "xb") as copy:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    copy.write(chunk)
                copy.flush()
                os.fsync(copy.fileno())
            target = self.path_of(digest.hexdigest())
            target.parent.mkdir(exist_ok=True)
            # Files of this name have the same content, so replacing one is harmless.
            os.replace(fresh, target)
        return size, digest.hexdigest()
