"""Read the folders of DVCLive, one per run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from track.errors import ImportFailed
from track.events.types import MetricsLogged
from track.exchange.source_run import (
    MS,
    Entry,
    Log,
    Source,
    SourceRun,
    files_below,
    read_json,
    read_text,
)
from track.exchange.sources.finding import folders_below, path_below, read_each
from track.exchange.sources.yaml_files import read_yaml

METRICS = os.path.join("plots", "metrics")
_OWN_FILES = ("metrics.json", "params.yaml", "dvc.yaml")


def read_dvclive(path: str, project: str) -> Iterator[Source]:
    """Yield the runs below a folder, named by their relative paths.

    Values without a time get the modification time of their file. DVCLive does not record how a run
    ended, so the status is ``FinishedGroup``.

    Raises
    ------
    ImportFailed
        no folder contains ``plots/metrics``
    MissingPackage
        a run has ``params.yaml``, and pyyaml is not installed
    """
    return read_each(
        folders_below(path, lambda folder, _: is_dvclive(folder)),
        lambda folder: _read_run(folder, path, project),
        f"no folder below {path} has {METRICS}: give the folder that DVCLive wrote",
    )


def is_dvclive(folder: str) -> bool:
    """Return whether a folder holds a run."""
    return os.path.isdir(os.path.join(folder, METRICS))


def _read_run(folder: str, root: str, project: str) -> Iterator[SourceRun]:
    name = path_below(folder, root) or project
    run = SourceRun(key=f"dvclive:{project}/{name}", project=project, name=name)
    run.parameters = run.read(os.path.join(folder, "params.yaml"), read_yaml)
    if summary := run.read(os.path.join(folder, "metrics.json"), read_json):
        run.metadata["summary"] = summary
    times = []
    for metric, path in files_below(os.path.join(folder, METRICS)):
        if metric.endswith(".tsv"):
            entries = [*_entries(run, metric.removesuffix(".tsv"), path)]
            times += [entry.at_ns for entry in entries]
            run.logs.append(Log(metric, entries))
    run.started_ns = min(times, default=None)
    run.add_files(folder, root)
    for own in [own for own in run.files if own in _OWN_FILES or own.endswith(".tsv")]:
        del run.files[own]
    yield run


def _entries(run: SourceRun, metric: str, path: str) -> Iterator[Entry]:
    try:
        lines = read_text(path).split("\n")
        changed_ns = os.stat(path).st_mtime_ns
    except (ImportFailed, OSError) as error:
        run.miss(str(error))
        return
    names = lines[0].rstrip("\r").split("\t")
    for place, line in enumerate(lines[1:], 1):
        if not line.strip():
            continue
        row = dict(zip(names, line.rstrip("\r").split("\t"), strict=False))
        try:
            step = int(row["step"])
            at_ns = int(row["timestamp"]) * MS if "timestamp" in row else changed_ns
            value = _value(row[names[-1]])
        except (KeyError, ValueError):
            run.miss(f"line {place + 1} of the metric {metric} is invalid: {line[:80]!r}")
            continue
        yield Entry(place, at_ns, MetricsLogged(step, {metric: value}, None))


def _value(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text
