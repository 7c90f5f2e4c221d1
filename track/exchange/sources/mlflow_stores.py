"""Read an MLflow store: a folder of files or an SQLite database.

Parts of a run that cannot be read are skipped and listed among its problems.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from math import inf, nan
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from track.errors import ImportFailed
from track.exchange.source_run import Unreadable, files_below, read_text
from track.exchange.sources.finding import open_database
from track.exchange.sources.yaml_files import read_yaml

if TYPE_CHECKING:
    from sqlite3 import Cursor

DELETED = "deleted"

_LARGEST = 1.7976931348623157e308
"""The number that MLflow's databases store for infinity."""

_RUNS = """
    SELECT run_uuid, experiments.name, runs.name, status, start_time, end_time, artifact_uri
    FROM runs JOIN experiments USING (experiment_id)
    WHERE experiments.lifecycle_stage != ? AND runs.lifecycle_stage != ?
    ORDER BY experiment_id, start_time, run_uuid
"""

_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
"""Statuses by their number in folders of files."""


class Point(NamedTuple):
    """A value of a metric.

    ``place`` is the number of values before it, ``at_ms`` is in milliseconds since 1970-01-01.
    """

    place: int
    at_ms: int
    step: int
    value: float


class Run(NamedTuple):
    """A run; times are in milliseconds since 1970-01-01, points in the order of the store.

    ``folder`` holds its artifacts, if known.
    """

    uid: str
    experiment: str
    name: str | None
    status: str
    start_ms: int | None
    end_ms: int | None
    artifacts: str | None
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, list[Point]]
    folder: str | None
    problems: list[str]


# A folder of files


def read_folder(path: str) -> Iterator[Run | Unreadable]:
    """Yield the runs in a folder of files, and what cannot be read.

    Raises
    ------
    ImportFailed
        the folder has no experiments
    """
    found = False
    for folder, meta in _folders_with_meta(path):
        found = True
        if isinstance(meta, Unreadable):
            yield meta
        elif meta.get("lifecycle_stage") != DELETED and "name" in meta:
            for inner, run in _folders_with_meta(folder):
                if isinstance(run, Unreadable):
                    yield run
                elif run.get("lifecycle_stage") != DELETED and "run_id" in run:
                    yield _read_run(inner, run, str(meta["name"]))
    if not found:
        raise _no_store(path, "none of its folders has a meta.yaml")


def _folders_with_meta(path: str) -> Iterator[tuple[str, dict[str, Any] | Unreadable]]:
    for name in sorted(os.listdir(path)):
        meta_path = os.path.join(path, name, "meta.yaml")
        if name.startswith(".") or not os.path.isfile(meta_path):
            continue
        try:
            yield os.path.join(path, name), read_yaml(meta_path)
        except ImportFailed as error:
            yield os.path.join(path, name), Unreadable(meta_path, str(error))


def _read_run(folder: str, meta: dict[str, Any], experiment: str) -> Run:
    problems: list[str] = []
    artifacts = os.path.join(folder, "artifacts")
    metrics = _texts(os.path.join(folder, "metrics"), problems)
    return Run(
        str(meta["run_id"]),
        experiment,
        _text_or_none(meta.get("run_name")),
        _STATUS.get(_whole(meta.get("status")) or 0, str(meta.get("status"))),
        _whole(meta.get("start_time")),
        _whole(meta.get("end_time")),
        _text_or_none(meta.get("artifact_uri")),
        _texts(os.path.join(folder, "params"), problems),
        _texts(os.path.join(folder, "tags"), problems),
        {name: [*_points(name, text, problems)] for name, text in metrics.items()},
        artifacts if os.path.isdir(artifacts) else None,
        problems,
    )


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)


def _texts(folder: str, problems: list[str]) -> dict[str, str]:
    """Return the text of each file below a folder by its name."""
    found = {}
    for name, path in files_below(folder):
        try:
            found[name] = read_text(path)
        except ImportFailed as error:  # noqa: PERF203 - each file is checked separately
            problems.append(str(error))
    return found


def _points(name: str, text: str, problems: list[str]) -> Iterator[Point]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        try:
            # The oldest stores have no steps; the newest have further fields after the step.
            at, value, *rest = line.split()
            yield Point(number, int(at), int(rest[0]) if rest else 0, float(value))
        except ValueError:
            problems.append(f"line {number} of the metric {name} is invalid: {line[:80]!r}")


# A database


def read_database(path: str) -> Iterator[Run]:
    """Yield the runs in an SQLite database, without changing it.

    Raises
    ------
    ImportFailed
        the database is not MLflow's, or cannot be read
    """
    from sqlite3 import Error

    try:
        with open_database(path) as database:
            yield from _runs(database.execute, os.path.dirname(path))
    except (Error, TypeError, ValueError) as error:
        raise _no_store(path, error) from error


def _runs(ask: Callable[..., Cursor], folder: str) -> Iterator[Run]:
    found = ask(_RUNS, [DELETED, DELETED]).fetchall()
    for uid, experiment, name, status, start, end, artifacts in found:
        params = ask("SELECT key, value FROM params WHERE run_uuid = ? ORDER BY rowid", [uid])
        tags = ask("SELECT key, value FROM tags WHERE run_uuid = ? ORDER BY rowid", [uid])
        metrics: dict[str, list[Point]] = {}
        problems: list[str] = []
        for key, at, step, value, is_nan in ask(
            "SELECT key, timestamp, step, value, is_nan FROM metrics WHERE run_uuid = ? "
            "ORDER BY rowid",
            [uid],
        ):
            number = nan if is_nan else _INFINITIES.get(value, value)
            points = metrics.setdefault(key, [])
            try:
                points.append(Point(len(points) + 1, int(at), int(step), float(number)))
            except (TypeError, ValueError) as error:
                problems.append(f"a point of the metric {key} is not a number: {error}")
        about = uid, experiment, name, status, start, end, artifacts, dict(params), dict(tags)
        yield Run(*about, metrics, _local_path(artifacts, folder), problems)


def _local_path(uri: Any, folder: str) -> str | None:
    """Return the local folder of a URI, None if it is elsewhere."""
    if not isinstance(uri, str) or not uri:
        return None
    path = unquote(uri.removeprefix("file://")) if uri.startswith("file:") else uri
    path = os.path.join(folder, path)
    return path if os.path.isdir(path) else None


_INFINITIES = {_LARGEST: inf, -_LARGEST: -inf}


def _no_store(path: str, why: object) -> ImportFailed:
    return ImportFailed(
        f"{path} is not an MLflow store ({why}): give its folder, usually mlruns, or its SQLite "
        "database, usually mlflow.db"
    )
