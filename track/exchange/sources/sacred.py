"""Read the folders of Sacred's ``FileStorageObserver``, one per run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from track.events.types import MetricsLogged
from track.exchange.source_run import (
    Entry,
    Log,
    Source,
    SourceRun,
    dict_or_empty,
    is_inside,
    parse_time,
    read_json,
)
from track.exchange.sources.finding import folders_below, read_each
from track.structure import Status

RUN_FILE = "run.json"

_STATUS = {
    "RUNNING": Status.Running,
    "QUEUED": Status.CreatedGroup,
    "COMPLETED": Status.Completed,
    "INTERRUPTED": Status.Interrupted,
    "TIMEOUT": Status.Interrupted,
    "FAILED": Status.Exception,
}
_OWN_FILES = (RUN_FILE, "config.json", "metrics.json", "info.json")
_METADATA = ("command", "host", "result", "resources")


def read_sacred(path: str, project: str) -> Iterator[Source]:
    """Yield the runs below a folder.

    The project is named after the experiment. Artifacts, sources and the captured output are
    imported as files; host, command, result and info become metadata.

    Raises
    ------
    ImportFailed
        no folder has a ``run.json``
    """
    return read_each(
        folders_below(path, lambda _, names: RUN_FILE in names),
        lambda folder: _read_run(folder, path, project),
        f"no folder below {path} has a {RUN_FILE}: give the folder of the runs",
    )


def _read_run(folder: str, root: str, project: str) -> Iterator[SourceRun]:
    said = read_json(os.path.join(folder, RUN_FILE))
    experiment = dict_or_empty(said.get("experiment"))
    name = str(experiment.get("name") or project)
    uid = os.path.basename(os.path.abspath(folder))
    run = SourceRun(
        # Sacred numbers the runs of each folder from 1.
        key=f"sacred:{name}/{uid}/{said.get('start_time')}",
        project=name,
        name=f"{name}-{uid}",
        status=_STATUS.get(str(said.get("status")), Status.FinishedGroup),
        started_ns=parse_time(said.get("start_time")),
        ended_ns=parse_time(said.get("stop_time")),
        metadata={key: said[key] for key in _METADATA if said.get(key) is not None},
    )
    if trace := said.get("fail_trace"):
        run.error = "".join(map(str, trace)) if isinstance(trace, list) else str(trace)
    repositories = experiment.get("repositories")
    if isinstance(repositories, list) and repositories:
        run.version = dict_or_empty(repositories[0]).get("commit")
    run.parameters = run.read(os.path.join(folder, "config.json"), read_json)
    if info := run.read(os.path.join(folder, "info.json"), read_json):
        run.metadata["info"] = info
    for metric, values in run.read(os.path.join(folder, "metrics.json"), read_json).items():
        run.logs.append(Log(metric, _entries(run, metric, dict_or_empty(values))))
    run.add_files(folder, root)
    for own in _OWN_FILES:
        run.files.pop(own, None)
    _add_sources(run, experiment.get("sources"), os.path.dirname(os.path.abspath(folder)), root)
    yield run


def _add_sources(run: SourceRun, sources: Any, parent: str, root: str) -> None:
    """Add the sources of the experiment, which the runs of a folder share."""
    for pair in sources if isinstance(sources, list) else ():
        if isinstance(pair, list) and len(pair) == len(("name", "path")):
            path = os.path.join(parent, str(pair[1]))
            if is_inside(path, root) and os.path.isfile(path):
                run.files[f"source/{pair[0]}"] = path
            else:
                run.miss(f"the source {pair[0]} is not in {root}")


def _entries(run: SourceRun, metric: str, values: dict[str, Any]) -> Iterator[Entry]:
    columns = [values.get(name) for name in ("steps", "values", "timestamps")]
    if not all(isinstance(column, list) for column in columns):
        run.miss(f"the metric {metric} has no lists of steps, values and timestamps")
        return
    for place, (step, value, time) in enumerate(zip(*columns), 1):  # noqa: B905 - a file may be truncated
        if isinstance(step, (int, float, str)):
            yield Entry(place, parse_time(time) or 0, MetricsLogged(step, {metric: value}, None))
        else:
            run.miss(f"a step of the metric {metric} is not a number")
