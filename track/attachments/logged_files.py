"""Name the logged files of a trial, and find one by its name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, BinaryIO, NamedTuple

from track.contents.store import ContentStore, is_digest
from track.errors import ItemNotFound, TrackError
from track.projections.paths import did_you_mean
from track.structure import Trial

_FEWEST_DIGITS = 4
"""The least length of a SHA-256 prefix."""


class LoggedFile(NamedTuple):
    """Describes a file that was logged for a trial.

    Attributes
    ----------
    name
        its path relative to the folder of the script, or its whole path; for a file logged by an
        earlier version, only the last part
    size
        the size in bytes
    sha256
        the SHA-256 of its content, in hexadecimal
    kind
        the method of logging: ``file``, ``directory`` or ``code``
    """

    name: str
    size: int
    sha256: str
    kind: str


def files_of(trial: Trial) -> list[LoggedFile]:
    """Return the logged files of a trial, including those in logged folders."""
    return files_in(trial.metadata)


def files_in(metadata: Mapping[Any, Any]) -> list[LoggedFile]:
    """Return the logged files that metadata describes."""
    found: list[LoggedFile] = []
    for key, facts in metadata.items():
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


def without_files(metadata: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the metadata that does not describe logged files."""
    return {key: facts for key, facts in metadata.items() if not files_in({key: facts})}


def _file(name: str, facts: Any, kind: str) -> Iterator[LoggedFile]:
    """Yield a file if these are facts of one, since metadata may have any name."""
    if isinstance(facts, dict) and is_digest(facts.get("sha256")):
        size = facts.get("size")
        yield LoggedFile(name, size if isinstance(size, int) else 0, facts["sha256"], kind)


def find_files(files: Sequence[LoggedFile], wanted: str) -> tuple[list[LoggedFile], str]:
    """Find a file, or all files of a folder.

    Parameters
    ----------
    files
        the logged files
    wanted
        a name, the end of a name, a folder, or a prefix of a SHA-256

    Returns
    -------
    The files, and the common prefix of their names if it is a folder.

    Raises
    ------
    ItemNotFound
        no file or several files match; the message names them
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
            f"{wanted!r} is ambiguous: it matches {listed}; give more of the name, or the SHA-256"
        )
    if found:
        return found[:1], ""
    names = [file.name for file in files]
    similar = get_close_matches(wanted, names, 3) or names[:3]
    hint = did_you_mean(similar) if similar else "the trial has no files"
    raise ItemNotFound(f"no file {wanted!r} was logged for this trial: {hint}")


def find_file(files: Sequence[LoggedFile], wanted: str) -> LoggedFile:
    """Find a single file, see :func:`find_files`."""
    found, folder = find_files(files, wanted)
    if folder:
        names = ", ".join(file.name for file in found[:3])
        raise ItemNotFound(f"{wanted!r} is a folder: open one of its files, such as {names}")
    return found[0]


def open_content(content: ContentStore | None, file: LoggedFile) -> BinaryIO:
    """Open the content of a logged file to read it.

    Raises
    ------
    ItemNotFound
        the content was not kept
    FileDamaged
        the kept content differs from what was logged
    """
    if content is None:
        raise ItemNotFound(
            f"the content of {file.name} was not kept: this backend only keeps its name, size and "
            "SHA-256"
        )
    return content.open(file.sha256)


def paths_of(files: Sequence[LoggedFile], folder: str, output: str | None) -> list[str]:
    """Return the paths at which to write files, see :func:`find_files`.

    Parameters
    ----------
    files, folder
        the result of :func:`find_files`
    output
        a path for the file or the folder, or a folder to put the file into; by default, the names
        are used as paths below the working folder

    Raises
    ------
    TrackError
        a name would lead out of the target folder, since logged names are untrusted
    """
    if folder:
        root = _place(folder.rstrip("/")) if output is None else ""
        places = [os.path.join(root, file.name.removeprefix(folder)) for file in files]
        return [path_inside(output or os.curdir, place) for place in places]
    place = _place(files[0].name)
    if output is None:
        return [path_inside(os.curdir, place)]
    return [path_inside(output, os.path.basename(place)) if os.path.isdir(output) else output]


def _place(name: str) -> str:
    """Return the relative path for a name, which is the last part of a whole path."""
    return os.path.basename(name) if os.path.isabs(name) else name


def path_inside(folder: str, place: str) -> str:
    """Return the path of a place below a folder.

    Raises
    ------
    TrackError
        the place would lead out of the folder, since logged names are untrusted
    """
    path, root = os.path.normpath(os.path.join(folder, place)), os.path.realpath(folder)
    real = root if "\0" in path else os.path.realpath(path)
    if real == root or os.path.commonpath([real, root]) != root:
        raise TrackError(f"{place!r} leads outside {root}: choose a path with -o")
    return path
