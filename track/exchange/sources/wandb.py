"""Read the run folders of Weights & Biases, offline or synced, without its package."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from track.errors import ImportFailed
from track.events.types import SystemSampled
from track.exchange.source_run import (
    NS,
    Entry,
    Log,
    Source,
    SourceRun,
    Unreadable,
    flat,
    parse_json,
    parse_seconds,
)
from track.exchange.sources.protobuf import (
    BadMessage,
    Field,
    double,
    fields,
    signed,
    text,
    time_ns,
)
from track.exchange.sources.shown import MediaFolder
from track.exchange.sources.wandb_log import MAGIC, read_records
from track.structure import Status

SUFFIX = ".wandb"

_HISTORY, _SUMMARY, _CONFIG, _STATS, _ARTIFACT, _RUN, _EXIT = 2, 3, 5, 7, 8, 17, 18
"""The field numbers of a record."""

_RUN_CONFIG, _RUN_TAG, _RUN_STARTED, _RUN_GIT = 4, 10, 17, 21
_RUN_METADATA = {7: "job_type", 12: "sweep_id", 13: "host"}

_DEEPEST = 50
"""The deepest nesting of an item's names."""

_JSON = (8, 16)
_TYPED: dict[int, Callable[[Field], Any]] = {
    3: lambda _: None,
    4: bool,
    5: signed,
    6: double,
    7: lambda value: text(value) or "",
}
"""Readers for the typed fields that newer versions write instead of JSON."""


def read_wandb(path: str, project: str) -> Iterator[Source]:
    """Yield the runs in a folder ``wandb``, a run folder, or a ``.wandb`` file.

    Nested settings stay nested; nested metrics have slashes in their names. A resumed run becomes
    one trial with one attempt per run folder. The summary becomes metadata; files are imported,
    except those that ``wandb.save`` only linked.

    Raises
    ------
    ImportFailed
        no ``.wandb`` file was found
    """
    paths = sorted(_files(path))
    if not paths:
        raise ImportFailed(f"no {SUFFIX} files in {path}: give the folder wandb or a run folder")
    root = path if os.path.isdir(path) else os.path.dirname(os.path.abspath(path))
    runs: dict[str, list[_Part]] = {}
    for each in paths:
        try:
            part = _read_file(each, project, root)
        except (ImportFailed, OSError) as error:  # noqa: PERF203 - each file is checked separately
            yield Unreadable(each, str(error))
        else:
            runs.setdefault(part.run.key, []).append(part)
    for parts in runs.values():
        parts.sort(key=lambda part: (part.run.started_ns or 0, part.run.part))
        yield from _resumed(parts, root)


def _files(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield from [path] if path.endswith(SUFFIX) else []
    for folder, _, names in os.walk(path):
        yield from (os.path.join(folder, name) for name in names if name.endswith(SUFFIX))


def _resumed(parts: list[_Part], root: str) -> Iterator[SourceRun]:
    """Yield the parts of a resumed run, each with the settings known at the end of the last one."""
    runs = [part.run for part in parts]
    parameters = {name: value for run in runs for name, value in run.parameters.items()}
    tags = {name: value for run in runs for name, value in run.tags.items()}
    metadata = {name: value for run in runs for name, value in run.metadata.items()}
    for number, part in enumerate(parts):
        run = part.run
        run.parameters, run.tags, run.metadata = parameters, tags, dict(metadata)
        run.add_files(part.folder, root, prefix=f"{run.part}/" if number else "")
        yield run


def _read_file(path: str, project: str, root: str) -> _Part:
    """Read everything in a file except its history."""
    part = _Part(path, project)
    with open(path, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ImportFailed(f"it is not a {SUFFIX} file")
        file.seek(0)
        for _, record in read_records(file, part.run.miss):
            try:
                part.read(record)
            except BadMessage as error:  # noqa: PERF203 - each record is checked separately
                part.run.miss(f"a record cannot be read: {error}")
    part.finish(root)
    return part


class _Part:
    """The part of a run that is in one file."""

    def __init__(self, path: str, project: str) -> None:
        self.folder = os.path.join(os.path.dirname(path), "files")
        name = os.path.basename(os.path.dirname(os.path.abspath(path)))
        self.run = SourceRun(key="", project=project, part=name, status=Status.Running)
        self._path = path
        self._summary: dict[str, Any] = {}
        self._last_ns = 0
        self._last_logged = self._last_sampled = b""
        self._id = self._entity = ""

    def read(self, record: bytes) -> None:
        """Process a record.

        Raises
        ------
        BadMessage
            the record cannot be read
        """
        for number, value in fields(record):
            if isinstance(value, bytes) and number in _READ:
                _READ[number](self, value)

    def finish(self, root: str) -> None:
        """Complete the run after the last record.

        Raises
        ------
        ImportFailed
            the file does not identify its run
        """
        run = self.run
        if not self._id:
            raise ImportFailed("it does not identify its run")
        run.key = f"wandb:{self._entity}/{run.project}/{self._id}"
        run.logs.append(Log("history", self._entries(MediaFolder(run, self.folder, root))))
        run.parameters.pop("_wandb", None)
        self._summary.pop("_wandb", None)
        if self._summary:
            run.metadata["summary"] = self._summary
        if run.status is Status.Running:
            run.miss("its end was not recorded: it is still running, or its process was killed")
        else:
            with suppress(BadMessage):  # reported when the samples are recorded
                self._last_ns = max(self._last_ns, _logged(self._last_logged)[0])
                self._last_ns = max(self._last_ns, _sampled(self._last_sampled)[0])
            run.ended_ns = max(self._last_ns, run.started_ns or 0)

    def _entries(self, media: MediaFolder) -> Iterator[Entry]:
        """Yield what was logged."""
        with open(self._path, "rb") as file:
            for place, record in read_records(file):
                with suppress(BadMessage):  # damage to the file was already reported
                    for number, message in [*fields(record)]:
                        with self.run.leave_out("a record", BadMessage):
                            yield from self._entries_of(place, number, _bytes(message), media)

    def _entries_of(
        self, place: int, kind: int, message: bytes, media: MediaFolder
    ) -> Iterator[Entry]:
        if kind == _HISTORY and message:
            at_ns, step, values = _logged(message)
            yield from media.entries(place, at_ns, step, values, "media")
        elif kind == _STATS and message:
            at_ns, sample = _sampled(message)
            host = str(self.run.metadata.get("host", ""))
            yield Entry(place, at_ns, SystemSampled(host, 0, None, sample), "system")

    def described(self, message: bytes) -> None:
        """Process the identity of the run: id, name, project and group."""
        run = self.run
        for number, value in fields(message):
            if number == _RUN_CONFIG and isinstance(value, bytes):
                self.configured(value)
            elif number == _RUN_TAG:
                run.tags[text(value) or ""] = None
            elif number == _RUN_STARTED:
                run.started_ns = self._last_ns = time_ns(value) or 0
            elif number == _RUN_GIT and isinstance(value, bytes):
                run.version = text(dict(fields(value)).get(2))
            elif number in _RUN_METADATA and (said := text(value)):
                run.metadata[_RUN_METADATA[number]] = said
        parts = dict(fields(message))
        self._id, self._entity = text(parts.get(1)) or "", text(parts.get(2)) or ""
        run.project = text(parts.get(3)) or run.project
        run.group, run.name = text(parts.get(6)), text(parts.get(8)) or self._id
        run.description = text(parts.get(9))

    def configured(self, message: bytes) -> None:
        """Process settings."""
        _update(self.run.parameters, message)

    def summarized(self, message: bytes) -> None:
        """Process the summary."""
        _update(self._summary, message)

    def logged(self, message: bytes) -> None:
        """Remember the last logged values for their time; they are recorded later."""
        self._last_logged = message

    def sampled(self, message: bytes) -> None:
        """Remember the last system sample for its time."""
        self._last_sampled = message

    def used(self, message: bytes) -> None:
        """Report an artifact as not imported."""
        name = text(dict(fields(message)).get(5))
        self.run.miss(f"the artifact {name} is not imported")

    def exited(self, message: bytes) -> None:
        """Process the end of the run."""
        said = dict(fields(message))
        code = signed(said.get(1))
        self.run.status = Status.Exception if code else Status.Completed
        self.run.error = f"exit code {code}" if code else None
        runtime_ns = signed(said.get(2)) * NS
        self._last_ns = max(self._last_ns, (self.run.started_ns or 0) + runtime_ns)


_READ = {
    _HISTORY: _Part.logged,
    _SUMMARY: _Part.summarized,
    _CONFIG: _Part.configured,
    _STATS: _Part.sampled,
    _ARTIFACT: _Part.used,
    _RUN: _Part.described,
    _EXIT: _Part.exited,
}


# The logs


def _logged(message: bytes) -> tuple[int, Any, dict[str, Any]]:
    """Return the time, the step and the logged values, without W&B's own (``_…``)."""
    values = _items(message, 1)
    step = values.pop("_step", None)
    if not isinstance(step, (int, float)):
        step = signed(dict(fields(_bytes(dict(fields(message)).get(2)))).get(1))
    at_ns = parse_seconds(values.pop("_timestamp", None))
    return at_ns, step, {name: one for name, one in flat(values) if not name.startswith("_")}


def _sampled(message: bytes) -> tuple[int, dict[str, float]]:
    """Return the time and the values of a system sample."""
    values = {
        name: float(value)
        for name, value in _items(message, 3).items()
        if isinstance(value, (int, float))
    }
    return time_ns(dict(fields(message)).get(2)) or 0, values


# Names and values


def _update(values: dict[str, Any], message: bytes) -> None:
    """Set the items of a message in nested values, and remove the items that it deletes."""
    for number, item in fields(message):
        names, value = _item(_bytes(item))
        if number in (1, 2) and names:
            inner = _inner(values, names)
            if number == 1:
                inner[names[-1]] = value
            else:
                inner.pop(names[-1], None)


def _items(message: bytes, wanted: int) -> dict[str, Any]:
    """Return the items in a field of a message, nested by their names."""
    values: dict[str, Any] = {}
    for number, item in fields(message):
        if number == wanted:
            names, value = _item(_bytes(item))
            if names:
                _inner(values, names)[names[-1]] = value
    return values


def _inner(values: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Return the innermost mapping, which holds the last name; create missing ones."""
    for name in names[:-1]:
        if not isinstance(values.get(name), dict):
            values[name] = {}
        values = values[name]
    return values


def _item(message: bytes) -> tuple[list[str], Any]:
    """Return the names of an item, outermost first, and its value."""
    names: list[str] = []
    value = None
    for number, said in fields(message):
        if number in (1, 2):
            names.append(text(said) or "")
        elif number in _JSON:
            try:
                value = parse_json(_bytes(said), "a value")
            except ImportFailed as error:
                raise BadMessage(str(error)) from error
        elif number in _TYPED:
            value = _TYPED[number](said)
    return names[:_DEEPEST], value


def _bytes(value: Field | None) -> bytes:
    return value if isinstance(value, bytes) else b""
