"""Read runs of Neptune that ``neptune-exporter`` saved: Parquet files, and files beside them."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Callable, Iterator
from typing import Any

from track.errors import EncodingError, ImportFailed
from track.events.types import Event, MetricsLogged, OutputCaptured, SystemSampled
from track.exchange.optional import load
from track.exchange.source_run import (
    Entry,
    Log,
    MediaFound,
    Source,
    SourceRun,
    Unreadable,
    is_inside,
)
from track.media import Audio, Histogram, Image, Medium, Text
from track.moment import time_text
from track.structure import Status

_PART = re.compile(r"(?:(.*)_)?part_(\d+)\.parquet")
_BATCH = 65_536

_SYS, _MONITORING = "sys/", "monitoring/"
_SINGLE = ("float", "int", "string", "bool", "datetime", "string_set")
_FILES = ("file", "file_set", "artifact")
_SOURCES = {"stdout": 1, "stderr": 2}
_RUNNING = ("running", "active")
_KNOWN = ("custom_run_id", "description", "failed", "id", "name", "state", "tags", "trashed")
"""The values of a run below ``sys`` that become attributes of a trial."""


def read_neptune(path: str, _project: str) -> Iterator[Source]:
    """Yield the runs in a folder of Parquet files that ``neptune-exporter`` saved, or above it.

    Single values become parameters by their paths. Series of Neptune's monitoring become system
    metrics and output. Files are looked up in a folder ``files`` beside that of the Parquet files,
    as the exporter puts it by default.

    Raises
    ------
    ImportFailed
        the path has no such Parquet files
    MissingPackage
        pyarrow is not installed
    """
    parts = _parts(path)
    if not parts:
        raise ImportFailed(f"no …_part_0.parquet of neptune-exporter in {path}: give its data path")
    reader = load("pyarrow.parquet", "parquet")
    for (folder, _), numbered in sorted(parts.items(), key=lambda one: str(one[0])):
        runs: dict[tuple[str, str], _Run] = {}
        missing = [] if 0 in numbered else [0]
        for number, name in sorted(numbered.items()):
            part = os.path.join(folder, name)
            try:
                for row in _rows(reader, part):
                    key = str(row["project_id"]), str(row["run_id"])
                    if key not in runs:
                        runs[key] = _Run(*key, folder)
                    runs[key].read(row)
            except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
                yield Unreadable(part, str(error))
                missing.append(number)
        for run in runs.values():
            yield run.finish(missing)


def is_neptune(name: str) -> bool:
    """Return whether the name of a file is one that ``neptune-exporter`` gives."""
    return _PART.fullmatch(name) is not None


def _parts(path: str) -> dict[tuple[str, str | None], dict[int, str]]:
    """Return the names of Parquet files by folder and run, and by number."""
    if os.path.isdir(path):
        places = [(folder, names) for folder, _, names in os.walk(path)]
        alone = None
    else:
        folder, name = os.path.split(os.path.abspath(path))
        places, alone = [(folder, os.listdir(folder))], _PART.fullmatch(name)
    found: dict[tuple[str, str | None], dict[int, str]] = {}
    for folder, names in places:
        for name in names:
            said = _PART.fullmatch(name)
            if said and (alone is None or alone[1] == said[1]):
                found.setdefault((folder, said[1]), {})[int(said[2])] = name
    return found


def _rows(reader: Any, path: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, with steps as floats and times in nanoseconds."""
    arrow = load("pyarrow", "parquet")
    with reader.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH):
            columns = {name: batch.column(name) for name in batch.schema.names}
            columns["step"] = columns["step"].cast(arrow.float64())
            for name in ("timestamp", "datetime_value"):
                times = columns[name].cast(arrow.timestamp("ns", "UTC"))
                columns[name] = times.cast(arrow.int64())
            values = [column.to_pylist() for column in columns.values()]
            for row in zip(*values, strict=True):
                yield dict(zip(columns, row, strict=True))


class _Points:
    """Collects the points of a float series, possibly millions."""

    def __init__(self) -> None:
        self._steps, self._times, self._values = array("d"), array("q"), array("d")

    def add(self, step: float, at_ns: int, value: Any) -> None:
        self._steps.append(step)
        self._times.append(at_ns)
        self._values.append(value)

    def __iter__(self) -> Iterator[tuple[float, int, Any]]:
        return zip(self._steps, self._times, self._values, strict=True)


class _Run:
    """Collects the content of a run from rows.

    Parameters
    ----------
    project, uid
        the names of the project and of the run
    folder
        the folder of the Parquet files of the project
    """

    def __init__(self, project: str, uid: str, folder: str) -> None:
        self._run = SourceRun(key=f"neptune:{project}/{uid}", project=project, name=uid)
        self._uid = uid
        data, self._name = os.path.split(os.path.abspath(folder))
        self._files = os.path.join(os.path.dirname(data), "files")
        self._sys: dict[str, Any] = {}
        self._times: dict[str, int] = {}
        self._series: dict[tuple[str, str], Any] = {}
        self._last_ns = 0

    def read(self, row: dict[str, Any]) -> None:
        """Add the content of a row."""
        run, path, kind = self._run, str(row["attribute_path"]), str(row["attribute_type"])
        if kind in _SINGLE:
            value = row[f"{kind}_value"]
            if path.startswith(_SYS) and kind == "datetime" and value is not None:
                self._times[path.removeprefix(_SYS)] = value
            elif path.startswith(_SYS):
                self._sys[path.removeprefix(_SYS)] = value
            else:
                is_time = kind == "datetime" and value is not None
                kept = run.metadata if path.startswith(_MONITORING) else run.parameters
                kept[path] = time_text(value) if is_time else value
        elif kind in _FILES:
            self._add_file(path, row)
        elif kind == "float_series" or kind in _EVENTS:
            self._add_point(path, kind, row)
        else:
            run.miss(f"{path} was left out: Track has nothing like {kind}")

    def _add_point(self, path: str, kind: str, row: dict[str, Any]) -> None:
        value = row[f"{kind.removesuffix('_series')}_value"]
        if row["step"] is None or value is None:
            self._run.miss(f"a value of {path!r} was left out: it has no step, or is empty")
            return
        if kind == "file_series" and not self._is_shown(path, row):
            return
        at_ns = row["timestamp"] or 0
        self._last_ns = max(self._last_ns, at_ns)
        if kind == "float_series":
            self._series.setdefault((path, kind), _Points()).add(row["step"], at_ns, value)
        else:
            self._series.setdefault((path, kind), []).append((row["step"], at_ns, value))

    def finish(self, missing: list[int]) -> SourceRun:
        """Return the run after its last row.

        Parameters
        ----------
        missing
            the numbers of its parts that are missing or damaged
        """
        run, said = self._run, self._sys
        if 0 in missing:  # the exporter names this part last
            run.miss("its export was interrupted, or its first part is damaged: export it again")
        run.description = said.get("description") or None
        run.tags = dict.fromkeys(said.get("tags") or ())
        run.is_archived = bool(said.get("trashed"))
        if said.get("name") and said.get("id") == self._uid:
            run.name = str(said["name"])  # Neptune 2
        elif said.get("name"):
            run.group = str(said["name"])  # Neptune 3, in which an experiment may have several runs
        run.started_ns = self._times.get("creation_time")
        if str(said.get("state")).lower() in _RUNNING:
            run.status = Status.Running
        else:
            run.status = Status.Exception if said.get("failed") else Status.FinishedGroup
            run.error = "Neptune says that the run failed" if said.get("failed") else None
            run.ended_ns = max(self._times.get("ping_time", 0), self._last_ns, run.started_ns or 0)
        rest = {name: value for name, value in said.items() if name not in _KNOWN}
        if rest:
            run.metadata["sys"] = rest
        for (path, kind), points in sorted(self._series.items()):
            # Points are counted, so a complete export and a partial one need different logs.
            log = f"{kind} {path}{f' without {missing}' if missing else ''}"
            run.logs.append(Log(log, self._entries(path, kind, points)))
        return run

    def _entries(self, path: str, kind: str, points: Any) -> Iterator[Entry]:
        """Yield the points of a series by their steps, since those of Neptune only increase."""
        for place, (step, at_ns, value) in enumerate(sorted(points, key=lambda one: one[0]), 1):
            number = int(step) if step.is_integer() else step
            with self._run.leave_out(f"a value of {path!r}"):
                event = self._event(path, kind, (number, at_ns, value))
                yield Entry(place, at_ns or self._run.started_ns or 0, event)

    def _event(self, path: str, kind: str, point: tuple[Any, int, Any]) -> Event | MediaFound:
        step, at_ns, value = point
        if path.startswith(_MONITORING) and kind == "float_series":
            host, _, inner = path.removeprefix(_MONITORING).partition("/")
            return SystemSampled(host, 0, None, {inner or host: value})
        if kind == "float_series":
            return MetricsLogged(step, {path: value}, None)
        source = _SOURCES.get(path.rpartition("/")[2])
        if kind == "string_series" and source is not None:
            lines = [[at_ns, source, f"{line}\n"] for line in value.splitlines() or [""]]
            return OutputCaptured("", 0, None, lines)
        return MediaFound(step, {path: [_EVENTS[kind](value, self._path_of)]})

    # Files

    def _is_shown(self, path: str, row: dict[str, Any]) -> bool:
        """Return whether a file of a series is a medium; otherwise keep it as a file."""
        with self._run.leave_out(f"a value of {path!r}"):
            try:
                _shown(row["file_value"], self._path_of)
            except EncodingError:
                step = f"{row['step']:.6f}".rstrip("0").rstrip(".")
                self._add_file(f"{path}/{step}", row)
            else:
                return True
        return False

    def _add_file(self, path: str, row: dict[str, Any]) -> None:
        with self._run.leave_out(f"the file {path}"):
            found = self._path_of(row["file_value"])
            if os.path.isdir(found):
                self._run.add_files(found, self._files, prefix=f"{path}/")
            else:
                self._run.files[path] = found

    def _path_of(self, said: Any) -> str:
        """Return the path of a downloaded file.

        Raises
        ------
        ImportFailed
            the file is not in the folder of files
        """
        name = said.get("path") if isinstance(said, dict) else None
        if not name or "\0" in name:
            raise ImportFailed("the file was not downloaded")
        for folder in (os.path.join(self._files, self._name), self._files):
            path = os.path.join(folder, str(name))
            if not is_inside(path, self._files):
                raise ImportFailed(f"{name} is outside {self._files}")
            if os.path.exists(path):
                return path
        raise ImportFailed(f"{name} is not in {self._files}: move the exported files there")


def _shown(value: Any, path_of: Callable[[Any], str]) -> Medium:
    """Return a file of a series as an image or as audio.

    Raises
    ------
    EncodingError
        the file is neither
    """
    path = path_of(value)
    try:
        return Image(path)
    except EncodingError:
        return Audio(path)


_EVENTS: dict[str, Callable[[Any, Callable[[Any], str]], Medium]] = {
    "string_series": lambda text, _: Text(text),
    "histogram_series": lambda said, _: Histogram.counted(said["edges"], said["values"]),
    "file_series": _shown,
}
"""Functions that convert values of series to media."""
