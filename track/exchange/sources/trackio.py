"""Read the databases of trackio, one per project."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from math import inf, nan
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from track.errors import ImportFailed
from track.events.types import Event, MetricsLogged, SystemSampled
from track.exchange.source_run import (
    Entry,
    Log,
    MediaFound,
    Source,
    SourceRun,
    Unreadable,
    flat,
    parse_json,
    parse_time,
)
from track.exchange.sources.shown import MediaFolder, is_shown

if TYPE_CHECKING:
    from sqlite3 import Connection

_NUMBERS = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}
"""The texts that trackio writes for numbers that JSON lacks."""


def read_trackio(path: str, _project: str) -> Iterator[Source]:
    """Yield the runs in a database, or in all databases of a folder.

    A project is named after its database. Nested metrics have slashes in their names. trackio does
    not record how a run ended, so the status is ``FinishedGroup``.

    Raises
    ------
    ImportFailed
        no database of trackio was found
    """
    from sqlite3 import Error  # imported late, since few programs need it

    databases = [path] if os.path.isfile(path) else [*_databases(path)]
    if not any(map(is_trackio, databases)):
        raise ImportFailed(f"no trackio database in {path}: give its folder or a database file")
    root = os.path.dirname(os.path.abspath(databases[0]))
    for database in filter(is_trackio, databases):
        try:
            yield from _runs(database, root)
        except Error as error:  # noqa: PERF203 - each file is checked separately
            yield Unreadable(database, str(error))


def _databases(folder: str) -> Iterator[str]:
    for name in sorted(os.listdir(folder)):
        if name.endswith(".db"):
            yield os.path.join(folder, name)


def is_trackio(path: str) -> bool:
    """Return whether a file is a database with the tables, not just views, of trackio."""
    from sqlite3 import Error

    try:
        with closing(_open(path)) as database:
            found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {"metrics", "configs"} <= {name for (name,) in found}
    except Error:
        return False


def _open(path: str) -> Connection:
    from sqlite3 import connect

    return connect(f"file:{quote(os.path.abspath(path))}?mode=ro", uri=True)


def _runs(path: str, root: str) -> Iterator[SourceRun]:
    project = os.path.splitext(os.path.basename(path))[0]
    with closing(_open(path)) as database:
        columns = {row[1] for row in database.execute("PRAGMA table_info(metrics)")}
        key = "run_id" if "run_id" in columns else "run_name"  # older versions have no ids
        ask = database.execute
        runs = ask(
            f"SELECT {key}, run_name, min(timestamp) FROM metrics GROUP BY {key} ORDER BY min(id)"  # noqa: S608 - one of two words
        ).fetchall()
        configs = dict(ask(f"SELECT {key}, config FROM configs"))  # noqa: S608 - as above
        tables = {name for (name,) in ask("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for uid, name, first in runs:
        run = SourceRun(
            key=f"trackio:{project}/{uid}",
            project=project,
            name=str(name),
            started_ns=parse_time(first),
        )
        _configure(run, configs.get(uid))
        shown = MediaFolder(run, os.path.join(root, "media"), root)
        run.logs.append(Log("metrics", _entries(run, path, "metrics", key, uid)))
        run.logs.append(Log("shown", _shown(run, path, key, uid, shown)))
        if "system_metrics" in tables:
            run.logs.append(Log("system", _entries(run, path, "system_metrics", key, uid)))
        folder = str(name)
        if folder not in {os.curdir, os.pardir} and os.path.basename(folder) == folder:
            media = os.path.join(root, "media", project, folder)
            run.add_files(media, root, prefix=f"media/{project}/{folder}/")
        yield run


def _configure(run: SourceRun, config: Any) -> None:
    """Set the parameters of a run, except trackio's own, whose names begin with an underscore."""
    if config is None:
        return
    try:
        values = parse_json(config, "the config")
    except ImportFailed as error:
        run.miss(str(error))
        return
    if not isinstance(values, dict):
        run.miss("the config is not a JSON object")
        return
    run.parameters = {name: value for name, value in values.items() if not name.startswith("_")}
    if group := values.get("_Group"):
        run.group = str(group)
    if user := values.get("_Username"):
        run.metadata["user"] = user


def _rows(
    path: str, table: str, key: str, uid: Any, tell: Callable[[str], None]
) -> Iterator[tuple[int, int, Any, dict[str, Any]]]:
    """Yield place, time, step and values of the rows of a run that can be read."""
    step = "step" if table == "metrics" else "NULL"
    query = f"SELECT id, timestamp, {step}, metrics FROM {table} WHERE {key} = ? ORDER BY id"  # noqa: S608 - our own words
    with closing(_open(path)) as database:
        for place, time, at_step, text in database.execute(query, [uid]):
            try:
                values = dict(flat(parse_json(text, f"row {place} of {table}")))
            except (ImportFailed, AttributeError, TypeError) as error:
                tell(f"row {place} of {table} was left out: {error}")
                continue
            yield place, parse_time(time) or 0, at_step, values


def _entries(run: SourceRun, path: str, table: str, key: str, uid: Any) -> Iterator[Entry]:
    for place, at_ns, step, values in _rows(path, table, key, uid, run.miss):
        numbers = {name: _number(one) for name, one in values.items() if not is_shown(one)}
        if numbers:
            yield Entry(place, at_ns, _event(table, step, numbers))


def _shown(run: SourceRun, path: str, key: str, uid: Any, folder: MediaFolder) -> Iterator[Entry]:
    for place, at_ns, step, values in _rows(path, "metrics", key, uid, _ignore_problem):
        media = folder.media_in(values.items())
        if media:
            yield Entry(place, at_ns, MediaFound(step, media))


def _ignore_problem(_: str) -> None:
    """Ignore a problem that the log of metrics reports."""


def _number(value: Any) -> Any:
    return _NUMBERS.get(value, value) if isinstance(value, str) else value


def _event(table: str, step: Any, values: dict[str, Any]) -> Event:
    if table == "metrics":
        return MetricsLogged(step, values, None)
    numbers = {name: float(one) for name, one in values.items() if isinstance(one, (int, float))}
    return SystemSampled("", 0, None, numbers)
