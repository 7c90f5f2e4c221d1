"""Describe logged files and folders, and keep their contents."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from track.errors import TrackError

Keep = Callable[[str], tuple[int, str]]
"""Stores the content of a file, and returns its size in bytes and its SHA-256."""


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
