"""The content of logged files, each kept once under its SHA-256."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from track.errors import TrackError

CONTENT_SUFFIX = ".files"
"""Of the folder beside a store on disk."""

_CHUNK = 2**20

Keep = Callable[[str], tuple[int, str]]
"""Keeps the content of a file, and returns its size in bytes and its SHA-256 in hexadecimal."""


def file_facts(path: str, keep: Keep) -> dict[str, Any]:
    """Keep a file and return its name, size and SHA-256."""
    size, digest = keep(path)
    return {"name": os.path.basename(path), "size": size, "sha256": digest}


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
        "name": root.resolve().name,
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
        """Return where a content is, or would be."""
        return self.root / digest[:2] / digest[2:]

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
            return self._copy(path)
        except OSError as error:
            raise TrackError(f"cannot keep {path} in {self.root}: {error.strerror}") from error

    def _copy(self, path: str) -> tuple[int, str]:
        digest, size = hashlib.sha256(), 0
        with (
            open(path, "rb") as source,
            tempfile.NamedTemporaryFile(dir=self.root, prefix=".incoming-", delete=False) as copy,
        ):
            try:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    copy.write(chunk)
                copy.flush()
                os.fsync(copy.fileno())
                target = self.path_of(digest.hexdigest())
                target.parent.mkdir(exist_ok=True)
                # The same content is the same file: replacing it by itself harms nobody.
                os.replace(copy.name, target)
            except BaseException:
                os.unlink(copy.name)
                raise
        return size, digest.hexdigest()
