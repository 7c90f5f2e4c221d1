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
"""Of the folder beside a store on disk."""

UNFINISHED = ".incoming"
"""With what the names of copies in that folder begin that are still made."""

_CHUNK = 2**20
_DIGEST = re.compile("[0-9a-f]{64}")

Keep = Callable[[str], tuple[int, str]]
"""Keeps the content of a file, and returns its size in bytes and its SHA-256 in hexadecimal."""


def is_digest(value: Any) -> TypeGuard[str]:
    """Return whether a value is a SHA-256, as files are kept under."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def name_of(path: str) -> str:
    """Return what a file or folder is called: its path in the working folder, else its whole path.

    Files of different folders are different files, even if the last parts of their paths are equal.
    """
    path, here = os.path.abspath(path), os.getcwd()
    inside = os.path.commonpath([path, here]) == here
    return os.path.relpath(path, here) if inside and path != here else path


def file_facts(path: str, keep: Keep) -> dict[str, Any]:
    """Keep a file and return its name, size and SHA-256."""
    size, digest = keep(path)
    return {"name": name_of(path), "size": size, "sha256": digest}


def directory_facts(path: str, keep: Keep) -> dict[str, Any]:
    """Keep all files under a folder and return its name, size, SHA-256 and files.

    The SHA-256 is that of the lines ``<hash>  <name>`` of its files, in order, as sha256sum prints.

    Raises
    ------
    TrackError
        the path is not a folder, or a file in it cannot be kept
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
    """A folder of files named by what they hold: ``ab/cdef…`` holds what hashes to ``abcdef…``.

    Parameters
    ----------
    root
        the folder, made when there is something to keep
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root)

    def path_of(self, digest: str) -> Path:
        """Return where a content is, or would be.

        Raises
        ------
        ValueError
            it is no SHA-256, so the path may be that of any other file
        """
        if not is_digest(digest):
            raise ValueError(f"a SHA-256 has 64 hexadecimal digits, this is {digest!r}")
        return self.root / digest[:2] / digest[2:]

    def open(self, digest: str) -> BinaryIO:
        """Open what hashes to a SHA-256, to read it.

        Raises
        ------
        ItemNotFound
            it is not here
        FileDamaged
            what is here hashes to something else
        """
        path = self.path_of(digest)
        try:
            file = open(path, "rb")  # noqa: SIM115 - whoever asked for it closes it
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
        """Keep the content of a file.

        Returns
        -------
        Its size in bytes and its SHA-256, in hexadecimal: of what was copied, should the file
        change meanwhile.

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

    def keep_bytes(self, data: bytes) -> str:
        """Keep some bytes, and return their SHA-256 in hexadecimal.

        Raises
        ------
        TrackError
            they cannot be written
        """
        digest = hashlib.sha256(data).hexdigest()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not self.path_of(digest).exists():
                self._copy(BytesIO(data))
        except OSError as error:
            raise TrackError(
                f"cannot keep {len(data)} bytes in {self.root}: {error.strerror}"
            ) from error
        return digest

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
            # The same content is the same file: replacing it by itself harms nobody.
            os.replace(fresh, target)
        return size, digest.hexdigest()
