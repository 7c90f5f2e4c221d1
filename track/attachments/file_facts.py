"""Describe logged files and folders, and keep their contents."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from track.errors import TrackError
from track.events.types import ArtifactLogged
from track.projections.artifacts import check_name, digest_of, id_of

Keep = Callable[[str], tuple[int, str]]
"""Stores the content of a file, and returns its size in bytes and its SHA-256."""


def name_of(path: str) -> str:
    """Return the name of a file or folder: its path in the working folder, else its whole path.

    So files in different folders have different names.
    """
    path, here = os.path.abspath(path), os.getcwd()
    inside = os.path.commonpath([path, here]) == here
    return os.path.relpath(path, here) if inside and path != here else path


def file_facts(path: str, keep: Keep) -> dict[str, Any]:
    """Store a file and return its name, size and SHA-256."""
    size, digest = keep(path)
    return {"name": name_of(path), "size": size, "sha256": digest}


def artifact_logged(path: str | Mapping[str, str], name: str | None, keep: Keep) -> ArtifactLogged:
    """Store a file, the files in a folder, or a mapping of files, and return the event of that.

    Raises
    ------
    TrackError
        the path is neither a file nor a folder with files, a link or a given name leads out of the
        folder, or a file cannot be read or changes meanwhile
    """
    if name is None and isinstance(path, str):
        name = os.path.basename(os.path.abspath(path))
    name = check_name(name)
    if isinstance(path, Mapping):
        places = {_inner(inner): place for inner, place in path.items()}
    elif os.path.isdir(path):
        places = dict(_places_in(path))
    else:
        places = {os.path.basename(os.path.abspath(path)): path}
    if not places:
        raise TrackError(f"cannot log {path}: the folder has no files")
    files = {inner: _unchanged(places[inner], keep) for inner in sorted(places)}
    return ArtifactLogged(id_of(name), digest_of(files), name, files)


def _places_in(root: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the path of each file in a folder."""
    real = os.path.realpath(root)
    for folder, inner, names in os.walk(root, onerror=_raise):
        for name in (*inner, *names):
            path = os.path.join(folder, name)
            is_outside = os.path.commonpath([os.path.realpath(path), real]) != real
            if os.path.islink(path) and (is_outside or name in inner):
                raise TrackError(
                    f"cannot log {path}: it is a link to {os.path.realpath(path)}; log a folder "
                    "without links to other folders or to files outside of it"
                )
            if name not in inner:
                yield Path(path).relative_to(root).as_posix(), path


def _inner(name: str) -> str:
    """Return the name of a file in an artifact, a relative path."""
    parts = name.split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or "\0" in name:
        raise TrackError(
            f"invalid name {name!r} of a file of an artifact: use a relative path such as a/b.txt"
        )
    return name


def _raise(error: OSError) -> None:
    raise TrackError(f"cannot log {error.filename}: {error.strerror}") from error


def _unchanged(path: str, keep: Keep) -> dict[str, Any]:
    if not os.path.isfile(path):
        raise TrackError(f"cannot log {path}: it is not a file")
    before = os.stat(path)
    size, digest = keep(path)
    after = os.stat(path)
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, size):
        raise TrackError(
            f"cannot log {path}: it changed while it was read; log it when it is complete"
        )
    return {"size": size, "sha256": digest}


def directory_facts(path: str, keep: Keep) -> dict[str, Any]:
    """Store all files in a folder and return its name, size, SHA-256 and files.

    The SHA-256 is that of the sorted lines ``<hash>  <name>`` of its files, as in sha256sum.

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
