"""Read MLflow: experiments are projects, runs are trials."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from track.events.types import MetricsLogged
from track.exchange.mlflow_terms import TO_TRACK, value_of
from track.exchange.source_run import MS, Entry, Log, MediaFound, Source, SourceRun, Unreadable
from track.exchange.sources.mlflow_stores import Point, Run, read_database, read_folder
from track.media import Image
from track.structure import Status

_PICTURE = re.compile(
    r"images/(?P<key>[^/]+?)(?P<gap>[+%])step(?P=gap)(?P<step>-?\d{1,18})"
    r"(?P=gap)timestamp(?P=gap)(?P<at>\d{1,18})(?P=gap)[^+%/]+\.png"
)
"""The path of a picture by step; slashes in the key are another character there."""

_REMOTE = re.compile("(?!file:)[a-z][a-z0-9+.-]+:/")


def read_mlflow(path: str, _project: str) -> Iterator[Source]:
    """Yield the runs of a folder of files (``mlruns``) or an SQLite database (``mlflow.db``).

    Deleted experiments and runs are left out. The hash of a trial is the id of its run.

    A metric with several values that all have step 0 was logged without steps, and becomes a list.
    MLflow stores parameters as text: text that Python would write for a number, True, False or None
    is converted back. Tags stay text. FINISHED becomes Completed, FAILED Exception, KILLED
    Interrupted, RUNNING Running, and SCHEDULED CreatedGroup. Artifacts are imported if they are
    below the folder of the store; otherwise, ``artifact_uri`` in the metadata tells where they are.
    Images logged by step also become media.

    Raises
    ------
    ImportFailed
        the path does not hold an MLflow store, or the database cannot be read
    MissingPackage
        it is a folder, and pyyaml is not installed
    """
    is_folder = os.path.isdir(path)
    root = path if is_folder else os.path.dirname(os.path.abspath(path))
    for run in (read_folder if is_folder else read_database)(path):
        yield run if isinstance(run, Unreadable) else _source_run(run, root)


def _source_run(run: Run, root: str) -> SourceRun:
    is_over = run.end_ms is not None and run.status not in {"RUNNING", "SCHEDULED"}
    source = SourceRun(
        key=f"mlflow:{run.uid}",
        uid=run.uid,
        project=run.experiment,
        name=run.name or run.tags.get("mlflow.runName"),
        description=run.tags.get("mlflow.note.content"),
        version=run.tags.get("mlflow.source.git.commit"),
        parameters={name: value_of(text) for name, text in run.params.items()},
        tags=run.tags,
        status=TO_TRACK.get(run.status, Status.FinishedGroup),
        started_ns=run.start_ms * MS if run.start_ms else None,
        ended_ns=run.end_ms * MS if run.end_ms and is_over else None,
        logs=[Log(name, _entries(name, points)) for name, points in run.metrics.items()],
    )
    for problem in run.problems:
        source.miss(problem)
    if run.artifacts:
        source.metadata["artifact_uri"] = run.artifacts
    if run.folder is not None:
        source.add_files(run.folder, root)
        source.logs += _pictures(source)
    elif run.artifacts and _REMOTE.match(run.artifacts):
        source.miss(f"artifacts at {run.artifacts}, if any, were not imported")
    return source


def _pictures(source: SourceRun) -> Iterator[Log]:
    """Yield each picture of ``log_image`` as a log: its file name has the step and the time."""
    for name, path in source.files.items():
        found = _PICTURE.fullmatch(name)
        if found is not None:
            yield Log(f"picture:{name}", _picture(source, path, found))


def _picture(source: SourceRun, path: str, found: re.Match[str]) -> Iterator[Entry]:
    with source.leave_out(f"the picture {found[0]}"):
        step, at_ns = int(found["step"]), int(found["at"]) * MS
        yield Entry(1, at_ns, MediaFound(step, {re.sub("[~#]", "/", found["key"]): [Image(path)]}))


def _entries(name: str, points: list[Point]) -> Iterator[Entry]:
    has_steps = len(points) == 1 or any(point.step for point in points)
    for place, at_ms, step, value in points:
        logged = MetricsLogged(step if has_steps else None, {name: value}, None)
        yield Entry(place, at_ms * MS, logged)
