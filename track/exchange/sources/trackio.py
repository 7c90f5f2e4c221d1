"""Read the databases of trackio, one per project."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import inf, nan
from typing import Any

from track.events.types import SystemSampled
from track.exchange.source_run import (
    Entry,
    Log,
    Source,
    SourceRun,
    flat,
    parse_json,
    parse_time,
)
from track.exchange.sources.finding import open_database, read_each, tables_in
from track.exchange.sources.shown import MediaFolder

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

    folder, name = os.path.split(path) if os.path.isfile(path) else (path, "")
    names = [name] if name else [one for one in sorted(os.listdir(path)) if one.endswith(".db")]
    return read_each(
        filter(is_trackio, (os.path.join(folder, one) for one in names)),
        lambda database: _runs(database, os.path.abspath(folder)),
        f"no trackio database in {path}: give its folder or a database file",
        Error,
    )


def is_trackio(path: str) -> bool:
    """Return whether a file is a database of trackio."""
    return {"metrics", "configs"} <= tables_in(path)


def _runs(path: str, root: str) -> Iterator[SourceRun]:
    project = os.path.splitext(os.path.basename(path))[0]
    with open_database(path) as database:
        columns = {row[1] for row in database.execute("PRAGMA table_info(metrics)")}
        key = "run_id" if "run_id" in columns else "run_name"  # older versions have no ids
        ask = database.execute
        runs = ask(
            f"SELECT {key}, run_name, min(timestamp) FROM metrics GROUP BY {key} ORDER BY min(id)"  # noqa: S608 - one of two words
        ).fetchall()
        configs = dict(ask(f"SELECT {key}, config FROM configs"))  # noqa: S608 - as above
    for uid, name, first in runs:
        run = SourceRun(
            key=f"trackio:{project}/{uid}",
            project=project,
            name=str(name),
            started_ns=parse_time(first),
        )
        _configure(run, configs.get(uid))
        media = MediaFolder(run, os.path.join(root, "media"), root)
        run.logs.append(Log("metrics", _entries(run, path, (key, uid), media)))
        if "system_metrics" in tables_in(path):
            run.logs.append(Log("system", _samples(run, path, (key, uid))))
        folder = str(name)
        if folder not in {os.curdir, os.pardir} and os.path.basename(folder) == folder:
            files = os.path.join(root, "media", project, folder)
            run.add_files(files, root, prefix=f"media/{project}/{folder}/")
        yield run


def _configure(run: SourceRun, config: Any) -> None:
    """Set the parameters of a run, except trackio's own, whose names begin with an underscore."""
    values: Any = {}
    with run.leave_out("the config"):
        values = {} if config is None else parse_json(config, "it")
    if not isinstance(values, dict):
        run.miss("the config is not a JSON object")
        return
    run.parameters = {name: value for name, value in values.items() if not name.startswith("_")}
    if group := values.get("_Group"):
        run.group = str(group)
    if user := values.get("_Username"):
        run.metadata["user"] = user


def _rows(
    run: SourceRun, path: str, table: str, identity: tuple[str, Any]
) -> Iterator[tuple[int, int, Any, dict[str, Any]]]:
    """Yield place, time, step and values of the rows of a run that can be read."""
    key, uid = identity
    step = "step" if table == "metrics" else "NULL"
    query = f"SELECT id, timestamp, {step}, metrics FROM {table} WHERE {key} = ? ORDER BY id"  # noqa: S608 - our own words
    with open_database(path) as database:
        for place, time, at_step, text in database.execute(query, [uid]):
            with run.leave_out(f"row {place} of {table}"):
                values = {
                    name: _NUMBERS.get(value, value) if isinstance(value, str) else value
                    for name, value in flat(parse_json(text, f"row {place} of {table}"))
                }
                yield place, parse_time(time) or 0, at_step, values


def _entries(
    run: SourceRun, path: str, identity: tuple[str, Any], media: MediaFolder
) -> Iterator[Entry]:
    for place, at_ns, step, values in _rows(run, path, "metrics", identity):
        yield from media.entries(place, at_ns, step, values, "shown")


def _samples(run: SourceRun, path: str, identity: tuple[str, Any]) -> Iterator[Entry]:
    for place, at_ns, _, values in _rows(run, path, "system_metrics", identity):
        numbers = {
            name: float(value) for name, value in values.items() if isinstance(value, (int, float))
        }
        if values:
            yield Entry(place, at_ns, SystemSampled("", 0, None, numbers))
