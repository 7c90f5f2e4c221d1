"""Read an MLflow store: a folder of files or an SQLite database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from math import inf, nan
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from track.errors import ImportFailed
from track.exchange.optional import load

if TYPE_CHECKING:
    from sqlite3 import Cursor

DELETED = "deleted"

_LARGEST = 1.7976931348623157e308
"""MLflow writes this number into a database for infinity."""

_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
"""The statuses by their numbers in folders of files."""


class Point(NamedTuple):
    """A value of a metric; ``at_ms`` is in milliseconds since 1970-01-01."""

    at_ms: int
    step: int
    value: float


class Run(NamedTuple):
    """A run; times are in milliseconds since 1970-01-01, points in the order of the store."""

    uid: str
    name: str | None
    status: str
    start_ms: int | None
    end_ms: int | None
    artifacts: str | None
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, list[Point]]


class Experiment(NamedTuple):
    """An experiment with its runs, without deleted ones."""

    uid: str
    name: str
    runs: list[Run]


# A folder of files


def read_folder(path: str) -> Iterator[Experiment]:
    """Yield the experiments of a folder of files.

    Raises
    ------
    ImportFailed
        the folder has no experiments, or a file cannot be read
    """
    load("yaml", "mlflow")
    folders = [*_folders_with_meta(path)]
    if not folders:
        raise _no_store(path, "none of its folders has a meta.yaml")
    for folder, meta in folders:
        runs = [
            _read_run(inner, run)
            for inner, run in _folders_with_meta(folder)
            if run.get("lifecycle_stage") != DELETED and "run_id" in run
        ]
        if meta.get("lifecycle_stage") != DELETED and "name" in meta:
            yield Experiment(str(meta.get("experiment_id")), str(meta["name"]), runs)


def _folders_with_meta(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yaml = load("yaml", "mlflow")
    for name in sorted(os.listdir(path)):
        meta_path = os.path.join(path, name, "meta.yaml")
        if name.startswith(".") or not os.path.isfile(meta_path):
            continue
        try:
            meta = yaml.safe_load(_text(meta_path))
        except yaml.YAMLError as error:
            raise ImportFailed(f"cannot read {meta_path}: {error}") from error
        if not isinstance(meta, dict):
            raise ImportFailed(f"cannot read {meta_path}: it does not hold names and values")
        yield os.path.join(path, name), meta


def _read_run(folder: str, meta: dict[str, Any]) -> Run:
    return Run(
        str(meta["run_id"]),
        meta.get("run_name"),
        _STATUS.get(meta.get("status", 0), str(meta.get("status"))),
        _whole(meta.get("start_time")),
        _whole(meta.get("end_time")),
        meta.get("artifact_uri"),
        {name: _text(path) for name, path in _files(os.path.join(folder, "params"))},
        {name: _text(path) for name, path in _files(os.path.join(folder, "tags"))},
        {name: _points(path) for name, path in _files(os.path.join(folder, "metrics"))},
    )


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _files(folder: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the path of each file below a folder, with slashes in nested names."""
    for inner, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(inner, name)
            yield os.path.relpath(path, folder).replace(os.sep, "/"), path


def _points(path: str) -> list[Point]:
    return [
        _point(path, number, line) for number, line in enumerate(_text(path).split("\n"), 1) if line
    ]


def _point(path: str, number: int, line: str) -> Point:
    try:
        # The oldest stores have no steps; the newest have more fields after them.
        at, value, *rest = line.split()
        return Point(int(at), int(rest[0]) if rest else 0, float(value))
    except ValueError as error:
        raise ImportFailed(f"{path}, line {number}: {line!r} is not a point of a metric") from error


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, UnicodeError) as error:
        raise ImportFailed(f"cannot read {path}: {error}") from error


# A database


def read_database(path: str) -> Iterator[Experiment]:
    """Yield the experiments of an SQLite database, without changing it.

    Raises
    ------
    ImportFailed
        the database is not MLflow's, or cannot be read
    """
    import sqlite3

    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as database:
            ask = database.execute
            for uid, name in ask(
                "SELECT experiment_id, name FROM experiments WHERE lifecycle_stage != ? "
                "ORDER BY experiment_id",
                [DELETED],
            ).fetchall():
                yield Experiment(str(uid), name, [*_runs(ask, uid)])
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise _no_store(path, error) from error


def _runs(ask: Callable[..., Cursor], experiment: Any) -> Iterator[Run]:
    found = ask(
        "SELECT run_uuid, name, status, start_time, end_time, artifact_uri FROM runs "
        "WHERE experiment_id = ? AND lifecycle_stage != ? ORDER BY start_time, run_uuid",
        [experiment, DELETED],
    )
    for uid, name, status, start, end, artifacts in found.fetchall():
        params = ask("SELECT key, value FROM params WHERE run_uuid = ? ORDER BY rowid", [uid])
        tags = ask("SELECT key, value FROM tags WHERE run_uuid = ? ORDER BY rowid", [uid])
        metrics: dict[str, list[Point]] = {}
        for key, at, step, value, is_nan in ask(
            "SELECT key, timestamp, step, value, is_nan FROM metrics WHERE run_uuid = ? "
            "ORDER BY rowid",
            [uid],
        ):
            number = nan if is_nan else _INFINITIES.get(value, value)
            metrics.setdefault(key, []).append(Point(int(at), int(step), float(number)))
        yield Run(uid, name, status, start, end, artifacts, dict(params), dict(tags), metrics)


_INFINITIES = {_LARGEST: inf, -_LARGEST: -inf}


def _no_store(path: str, why: object) -> ImportFailed:
    return ImportFailed(
        f"{path} is not an MLflow store ({why}): give its folder, usually mlruns, or its SQLite "
        "database, usually mlflow.db"
    )
