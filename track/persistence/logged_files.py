"""Name the logged files of a trial, and find one by its name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, BinaryIO, NamedTuple

from track.errors import ItemNotFound, TrackError
from track.persistence.artifacts import ContentStore, is_digest
from track.structure import Trial

_FEWEST_DIGITS = 4
"""Of a SHA-256, for the rest of it to be left out."""


class LoggedFile(NamedTuple):
    """A file that was logged about a trial.

    Attributes
    ----------
    name
        its path in the folder where the script ran, or its whole path; of a file that an earlier
        version logged, the last part of it
    size
        in bytes
    sha256
        of its content, in hexadecimal
    kind
        how it was logged: ``file``, ``directory`` or ``code``
    """

    name: str
    size: int
    sha256: str
    kind: str


def files_of(trial: Trial) -> list[LoggedFile]:
    """Return the files that were logged about a trial, those of its folders among them."""
    found: list[LoggedFile] = []
    for key, facts in trial.metadata.items():
        kind, _, name = str(key).partition(":")
        if not isinstance(facts, dict):
            continue
        name = str(facts.get("name", name))
        if kind == "directory" and isinstance(facts.get("files"), dict):
            for path, of_file in facts["files"].items():
                found += _file(f"{name}/{path}", of_file, kind)
        elif kind == "file" or key == "code":
            found += _file(name, facts, kind)
    return found


def _file(name: str, facts: Any, kind: str) -> Iterator[LoggedFile]:
    """Yield a file, unless these are not the facts of one: metadata may be called anything."""
    if isinstance(facts, dict) and is_digest(facts.get("sha256")):
        size = facts.get("size")
        yield LoggedFile(name, size if isinstance(size, int) else 0, facts["sha256"], kind)


def find_files(files: Sequence[LoggedFile], wanted: str) -> tuple[list[LoggedFile], str]:
    """Return the file that is meant, or all files of the folder that is meant.

    Parameters
    ----------
    files
        that were logged
    wanted
        a name, the end of it, that of a folder, or how a SHA-256 begins

    Returns
    -------
    The files, and what their names begin with if it is a folder.

    Raises
    ------
    ItemNotFound
        none is called so, or several are; the message names them
    """
    found = [file for file in files if file.name == wanted]
    folder = wanted.rstrip("/") + "/"
    inside = [file for file in files if file.name.startswith(folder)]
    if inside and not found:
        return inside, folder
    if not found:
        found = [file for file in files if file.name.endswith(f"/{wanted}")]
    if not found and len(wanted) >= _FEWEST_DIGITS:
        found = [file for file in files if file.sha256.startswith(wanted)]
    if len({file.sha256 for file in found}) > 1:
        listed = ", ".join(f"{file.name} ({file.sha256[:12]})" for file in found)
        raise ItemNotFound(
            f"{wanted!r} is ambiguous: it may be {listed}; give more of the name, or the SHA-256"
        )
    if found:
        return found[:1], ""
    names = [file.name for file in files]
    similar = get_close_matches(wanted, names, 3) or names[:3]
    hint = f"did you mean {' or '.join(similar)}?" if similar else "no file was"
    raise ItemNotFound(f"no file {wanted!r} was logged for this trial: {hint}")


def find_file(files: Sequence[LoggedFile], wanted: str) -> LoggedFile:
    """Return the file that is meant, see :func:`find_files`; a folder is none."""
    found, folder = find_files(files, wanted)
    if folder:
        names = ", ".join(file.name for file in found[:3])
        raise ItemNotFound(f"{wanted!r} is a folder: open one of its files, as {names}")
    return found[0]


def open_content(content: ContentStore | None, file: LoggedFile) -> BinaryIO:
    """Open what was logged, to read it.

    Raises
    ------
    ItemNotFound
        it was not kept
    FileDamaged
        what was kept is not what was logged
    """
    if content is None:
        raise ItemNotFound(
            f"the content of {file.name} was not kept: only file: and lmdb: stores keep it, others "
            "keep name, size and SHA-256"
        )
    return content.open(file.sha256)


def paths_of(files: Sequence[LoggedFile], folder: str, output: str | None) -> list[str]:
    """Return where files are to be written, see :func:`find_files`.

    Parameters
    ----------
    files, folder
        which ones
    output
        a path for the file or the folder, or a folder to put the file into; by default they go
        where their names say, below the working folder

    Raises
    ------
    TrackError
        a name leads out of the folder it is to be written into: names are data
    """
    if folder:
        root = _place(folder.rstrip("/")) if output is None else ""
        places = [os.path.join(root, file.name.removeprefix(folder)) for file in files]
        return [_path_inside(output or os.curdir, place) for place in places]
    place = _place(files[0].name)
    if output is None:
        return [_path_inside(os.curdir, place)]
    return [_path_inside(output, os.path.basename(place)) if os.path.isdir(output) else output]


def _place(name: str) -> str:
    """Return where something belongs; if it was logged by its whole path, that is the last part."""
    return os.path.basename(name) if os.path.isabs(name) else name


def _path_inside(folder: str, place: str) -> str:
    path, root = os.path.normpath(os.path.join(folder, place)), os.path.realpath(folder)
    real = root if "\0" in path else os.path.realpath(path)
    if real == root or os.path.commonpath([real, root]) != root:
        raise TrackError(f"{place!r} leads outside {root}: choose a path with -o")
    return path
