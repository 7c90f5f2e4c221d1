"""The content of logged files, each kept once under its SHA-256."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from track.errors import TrackError

_CHUNK = 2**20


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
