"""Define the version of this package, and hash the executed file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import FrameType

__version__ = "0.1.0"
"""The version of this package."""

_CHUNK = 2**20

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def file_hash(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises
    ------
    OSError
        the file cannot be read
    """
    from hashlib import sha256

    digest = sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def default_version_hash() -> str:
    """Return the hash of the executed file.

    The executed file is that of the main module, also in spawned processes. If the main module has
    no file (``python -c``, an embedded interpreter), it is the outermost file on the call stack
    outside this package. In a prompt or a notebook, or if no file is found, the result is the hash
    of no bytes.

    Returns
    -------
    str
        a SHA-256, in hexadecimal
    """
    path = executed_file()
    return file_hash(os.devnull if path is None else path)


def executed_file() -> str | None:
    """Return the path of the executed file, see :func:`default_version_hash`."""
    # A name may refer to code in an archive, or to a deleted file.
    return next(filter(os.path.isfile, _executed_files()), None)


def _executed_files() -> Iterator[str]:
    # Spawned processes keep their parent's main module under the first of these names.
    for name in ("__mp_main__", "__main__"):
        path = getattr(sys.modules.get(name), "__file__", None)
        if path:
            yield path
    # In a prompt or a notebook the stack belongs to the shell, whose version is irrelevant.
    if not hasattr(sys, "ps1"):
        yield from reversed(list(_stack_files()))


def _stack_files() -> Iterator[str]:
    """Yield the files of the call stack outside this package, innermost first."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the documented way, `inspect` reads every source
    while frame is not None:
        path = frame.f_code.co_filename
        if not os.path.abspath(path).startswith(_PACKAGE):
            yield path
        frame = frame.f_back
