"""Read the folders and zip files of ClearML's offline mode."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

from track.errors import ImportFailed
from track.events.types import MetricsLogged
from track.exchange.mlflow_terms import value_of
from track.exchange.source_run import (
    MS,
    Entry,
    Log,
    MediaFound,
    Source,
    SourceRun,
    dict_or_empty,
    parse_json,
    read_json,
)
from track.exchange.sources.finding import folders_below, read_each
from track.exchange.sources.shown import MediaFolder
from track.media import Image

TASK, METRICS = "task.json", "metrics.jsonl"

_SECTION = "General"
"""The section of hyperparameters without a section."""

_SCALAR, _PICTURE = "training_stats_scalar", "training_debug_image"
_LONGEST_LINE = 2**28
_MOST_FILES, _LEAST_LIMIT, _MOST_RATIO = 100_000, 2**26, 200
"""The limits of a zip file, which ClearML's never reach: the number of files, the size of the
contents that is always allowed, and their size relative to the zip file."""


def read_clearml(path: str, project: str) -> Iterator[Source]:
    """Yield the tasks in a folder that ClearML wrote offline, in one above it, or in its zip file.

    A metric is called ``title/series``, or by its title if both are the same. Debug images become
    media by step; plots are left out. ClearML does not record offline how a task ended, so the
    status is ``FinishedGroup``.

    Raises
    ------
    ImportFailed
        the path has no task, or the zip file is damaged or too large
    """
    if os.path.isfile(path):
        with TemporaryDirectory() as folder:
            _unpack(path, folder)
            yield from read_clearml(folder, project)
        return
    yield from read_each(
        folders_below(path, is_clearml),
        lambda folder: _task(folder, project),
        f"no {TASK} of ClearML below {path}: give an offline folder, or its zip",
    )


def is_clearml(path: str, names: list[str] | None = None) -> bool:
    """Return whether a folder, with these files, or a zip file holds a task of ClearML."""
    if names is None:
        try:
            if not is_zipfile(path):
                return False
            with ZipFile(path) as file:
                names = file.namelist()
        except (OSError, BadZipFile):
            return False
    return TASK in names and not {METRICS, "log.jsonl"}.isdisjoint(names)


def _unpack(path: str, folder: str) -> None:
    limit = max(_LEAST_LIMIT, _MOST_RATIO * os.path.getsize(path))
    try:
        with ZipFile(path) as file:
            known = file.infolist()
            if len(known) > _MOST_FILES or sum(one.file_size for one in known) > limit:
                raise ImportFailed(f"{path} is too large to unpack: unpack it yourself")
            file.extractall(folder)  # keeps all names inside the folder
    except (BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ImportFailed(f"cannot unpack {path}: {error}") from error


def _task(folder: str, project: str) -> Iterator[SourceRun]:
    said = read_json(os.path.join(folder, TASK))
    uid = str(said.get("id") or os.path.basename(folder))
    tags = said.get("tags")
    run = SourceRun(
        key=f"clearml:{uid}",
        project=str(said.get("project_name") or project),
        name=str(said.get("name") or uid),
        description=str(said["comment"]) if said.get("comment") else None,
        version=dict_or_empty(said.get("script")).get("version_num") or None,
        parameters=_parameters(said.get("hyperparams")),
        tags={str(tag): None for tag in tags} if isinstance(tags, list) else {},
    )
    path = os.path.join(folder, METRICS)
    # What cannot be read is reported when the events are recorded.
    run.started_ns = next((at_ns for _, at_ns, _ in _events(path, lambda _: None)), None)
    run.logs.append(Log("metrics", _entries(run, path, os.path.join(folder, "data"), folder)))
    run.add_files(os.path.join(folder, "data"), folder)
    run.files = {name.partition(f".{uid}/")[2] or name: at for name, at in run.files.items()}
    if os.path.isfile(console := os.path.join(folder, "log.jsonl")):
        run.files["log.jsonl"] = console
    yield run


def _parameters(sections: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for section, values in dict_or_empty(sections).items():
        for name, said in dict_or_empty(values).items():
            if isinstance(said, dict):
                key = name if section == _SECTION else f"{section}/{name}"
                found[key] = _value(str(said.get("type")), said.get("value"))
    return found


def _value(kind: str, text: Any) -> Any:
    if not isinstance(text, str) or kind == "str":
        return text
    try:
        return parse_json(text, "a parameter")
    except ImportFailed:
        return value_of(text)


def _events(path: str, tell: Callable[[str], None]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield place, time and content of each event; a line is a list of events."""
    place = 0
    try:
        with open(path, "rb") as file:
            while line := file.readline(_LONGEST_LINE):
                try:
                    events = parse_json(line, f"a line of {METRICS}")
                except ImportFailed as error:
                    tell(str(error))
                    continue
                for event in events if isinstance(events, list) else ():
                    place += 1
                    at_ms = event.get("timestamp") if isinstance(event, dict) else None
                    if isinstance(at_ms, int):
                        yield place, at_ms * MS, event
                    else:
                        tell("an event without a time was left out")
    except FileNotFoundError:
        return  # nothing was logged
    except OSError as error:
        tell(f"cannot read {path}: {error.strerror}")


def _name(event: dict[str, Any]) -> str:
    title, series = str(event.get("metric")), str(event.get("variant"))
    return title if title == series else f"{title}/{series}"


def _entries(run: SourceRun, path: str, data: str, root: str) -> Iterator[Entry]:
    folder = MediaFolder(run, data, root)
    for place, at_ns, event in _events(path, run.miss):
        kind, name, step = event.get("type"), _name(event), event.get("iter")
        if kind == _SCALAR:
            yield Entry(place, at_ns, MetricsLogged(step, {name: event.get("value")}, None))
        elif kind == _PICTURE:
            with run.leave_out(f"a picture of {name!r}"):
                picture = Image(folder.content(event.get("key")))
                yield Entry(place, at_ns, MediaFound(step, {name: [picture]}), "media")
        else:
            run.miss(f"events of the type {kind} are not imported")
