"""Find the runs of a tool below a path, and read each of them although others are damaged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from typing import TYPE_CHECKING
from urllib.parse import quote

from track.errors import ImportFailed
from track.exchange.source_run import Source, SourceRun, Unreadable, reason

if TYPE_CHECKING:
    from sqlite3 import Connection

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"


def folders_below(path: str, is_wanted: Callable[[str, list[str]], bool]) -> Iterator[str]:
    """Yield a folder and those below it that are wanted, given the names of their files."""
    for folder, folders, names in os.walk(path):
        folders.sort()
        if is_wanted(folder, names):
            yield folder


def path_below(folder: str, root: str) -> str:
    """Return the path of a folder below another one with slashes; empty if they are the same."""
    path = os.path.relpath(folder, root).replace(os.sep, "/")
    return "" if path == os.curdir else path


def read_each(
    paths: Iterable[str],
    read: Callable[[str], Iterable[SourceRun]],
    otherwise: str,
    errors: type[Exception] | tuple[type[Exception], ...] = ImportFailed,
) -> Iterator[Source]:
    """Yield the runs at each path, or why they cannot be read; fail if there are no paths."""
    found = False
    for path in paths:
        found = True
        try:
            yield from read(path)
        except errors as error:
            yield Unreadable(path, reason(error))
    if not found:
        raise ImportFailed(otherwise)


def open_database(path: str) -> AbstractContextManager[Connection]:
    """Open an SQLite database for reading, until the end of a block."""
    from sqlite3 import connect  # imported late, since few programs need it

    return closing(connect(f"file:{quote(os.path.abspath(path))}?mode=ro", uri=True))


def tables_in(path: str) -> set[str]:
    """Return the names of the tables in an SQLite database, none if a file is something else."""
    from sqlite3 import Error

    try:
        with open_database(path) as database:
            return {name for (name,) in database.execute(_TABLES)}
    except Error:
        return set()
