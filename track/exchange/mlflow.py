"""Import MLflow: experiments become projects, runs become trials."""

from __future__ import annotations

import os
from typing import Any

from track.errors import ImportFailed
from track.exchange.mlflow_stores import Experiment, Point, Run, read_database, read_folder
from track.exchange.recording import END_TIME, START_TIME
from track.structure import Project, Status, Trial

_STATUS = {
    "RUNNING": Status.Running,
    "SCHEDULED": Status.CreatedGroup,
    "FINISHED": Status.Completed,
    "FAILED": Status.Exception,
    "KILLED": Status.Interrupted,
}

_WORDS = {"True": True, "False": False, "None": None}


def read_mlflow(path: str) -> list[Project]:
    """Read an MLflow store: a folder of files (``mlruns``) or an SQLite database (``mlflow.db``).

    Parameters
    ----------
    path
        the folder, which needs pyyaml (the extra ``mlflow``), or the database

    Returns
    -------
    A project for each experiment that has runs, without deleted ones. Each run is a trial whose
    hash is the id of the run.

    Raises
    ------
    ImportFailed
        the path does not hold an MLflow store, or it cannot be read
    MissingPackage
        pyyaml is not installed

    Notes
    -----
    Metrics are keyed by step; of several values for one step, the last one counts. A metric with
    several values that all have step 0 was logged without steps: it becomes a list in the order of
    time. MLflow stores parameters as text: text that Python would write for a number, True, False
    or None is converted back. Tags stay text. The start and the end are in the metadata, as
    ``start_time`` and ``end_time`` in seconds since 1970-01-01, and the time between is the trial's
    ``runtime``; times of single values are dropped. FINISHED becomes Completed, FAILED Exception,
    KILLED Interrupted, RUNNING Running, and SCHEDULED CreatedGroup. Artifacts stay where they are:
    ``artifact_uri`` in the metadata says where.
    """
    if not os.path.exists(path):
        raise ImportFailed(f"{path} does not exist: give the path of an MLflow store")
    read = read_folder if os.path.isdir(path) else read_database
    return [_project(experiment) for experiment in read(path) if experiment.runs]


def _project(experiment: Experiment) -> Project:
    trials = {_trial(experiment, run) for run in experiment.runs}
    return Project(name=experiment.name, metadata={"experiment_id": experiment.uid}, trials=trials)


def _trial(experiment: Experiment, run: Run) -> Trial:
    trial = Trial(
        _hash=run.uid,
        name=run.name or run.tags.get("mlflow.runName"),
        description=run.tags.get("mlflow.note.content"),
        version=run.tags.get("mlflow.source.git.commit"),
        tags=run.tags,
        project_id=experiment.name,
        parameters={name: _revive(text) for name, text in run.params.items()},
        metrics={name: _metric(points) for name, points in run.metrics.items()},
        status=_STATUS.get(run.status, Status.FinishedGroup),
    )
    about = {
        START_TIME: _seconds(run.start_ms),
        END_TIME: _seconds(run.end_ms),
        "artifact_uri": run.artifacts,
    }
    trial.metadata = {name: value for name, value in about.items() if value is not None}
    if run.start_ms and run.end_ms:
        trial.chronos["runtime"] = (run.end_ms - run.start_ms) / 1000
    return trial


def _metric(points: list[Point]) -> dict[int, float] | list[float]:
    points = sorted(points, key=lambda point: point.at_ms)
    if len(points) > 1 and not any(point.step for point in points):
        return [point.value for point in points]
    return {point.step: point.value for point in sorted(points, key=lambda point: point.step)}


def _seconds(ms: int | None) -> float | None:
    return ms / 1000 if ms else None


def _revive(text: str) -> Any:
    """Return the value of a parameter before it became text."""
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if repr(value) == text:
            return value
    return text
