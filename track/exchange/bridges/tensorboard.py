"""A bridge to TensorBoard, which appends to event files (the extra ``tensorboard``)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from track.exchange.bridges.contract import (
    Content,
    Counterpart,
    Description,
    OpenFile,
    Refused,
    Row,
    Target,
)
from track.exchange.event_files import EVENT_FILE, EXTRA, Scalar, Writing
from track.exchange.media_summaries import step_of, summary_of
from track.exchange.optional import load
from track.exchange.tensorboard import folder_name, hparams_of
from track.utils.files import fresh_path

EVENTS = f"{EVENT_FILE}.0.track-push"
PUSHED = "track-pushed.json"
"""The file next to the events of a run that stores how many rows and bytes were written."""


class TensorBoard(Target):
    """A folder of runs for TensorBoard.

    Parameters
    ----------
    folder
        the folder for ``tensorboard --logdir``, created if missing

    Raises
    ------
    MissingPackage
        tensorboardX is not installed
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        load("tensorboardX", EXTRA)
        self.folder = os.path.abspath(folder)
        self.name = f"tensorboard:{self.folder}"

    def open(self, description: Description) -> Counterpart:
        parts = [description.project, description.group, description.uid]
        names = (folder_name(part) for part in parts if part is not None)
        return _Run(self, os.path.join(self.folder, *names))


class _Run(Counterpart):
    """The folder of a run.

    A chunk is first appended to the events, and then counted. Data that was appended but not
    counted is cut off before the next append, and appended again.
    """

    def __init__(self, target: TensorBoard, folder: str) -> None:
        self._target, self._folder = target, folder
        self._events = os.path.join(folder, EVENTS)
        self._writing = Writing()
        self.rows = self._size = 0
        self._parameters: str | None = None
        try:
            os.makedirs(folder, exist_ok=True)
            self._load()
        except OSError as error:
            raise Refused(f"cannot write to {folder}: {error.strerror}") from error

    def _load(self) -> None:
        try:
            with open(os.path.join(self._folder, PUSHED), encoding="utf-8") as file:
                said = json.load(file)
            rows, size, parameters = int(said["rows"]), int(said["size"]), said["parameters"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            rows, size, parameters = 0, 0, None
        there = os.path.getsize(self._events) if os.path.exists(self._events) else 0
        if there < size:  # the events were removed
            rows, size, parameters = 0, 0, None
        if there > size:
            os.truncate(self._events, size)
        self.rows, self._size, self._parameters = rows, size, parameters

    def describe(self, description: Description) -> None:
        values = hparams_of(description.parameters)
        digest = sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
        if values and digest != self._parameters:
            wall_time = (description.started_ns or 0) * 1e-9
            self._append(self._writing.hparams(values, wall_time), self.rows, digest)

    def conclude(self, description: Description) -> None:
        """Do nothing: TensorBoard has no status of runs."""

    def add(self, rows: Sequence[Row], content: Content, open_file: OpenFile) -> None:
        if any(row.files for row in rows):
            self._target.miss("files are left out, since TensorBoard has no place for them")
        data = b"".join(record for row in rows for record in self._records(row, content))
        self._append(data, rows[-1].number, self._parameters)

    def _records(self, row: Row, content: Content) -> Iterator[bytes]:
        wall_time = row.at_ns * 1e-9
        for name, step, value in row.points:
            yield self._writing.scalar(Scalar(name, step, wall_time, value))
        for medium in row.media:
            with self._target.leave_out(repr(medium.name)):
                summary = summary_of(medium, content(medium))
                if summary is None:
                    self._target.miss(f"{medium.kind} media ({medium.mime}) are left out")
                else:
                    yield self._writing.summary(summary, step_of(medium), wall_time)

    def _append(self, data: bytes, rows: int, parameters: str | None) -> None:
        try:
            with open(self._events, "ab") as file:
                if self._size == 0:
                    data = self._writing.head() + data
                file.write(data)
            self._count(rows, self._size + len(data), parameters)
        except OSError as error:
            raise Refused(f"cannot write to {self._folder}: {error.strerror}") from error

    def _count(self, rows: int, size: int, parameters: str | None) -> None:
        path = os.path.join(self._folder, PUSHED)
        said: dict[str, Any] = {"rows": rows, "size": size, "parameters": parameters}
        with fresh_path(path) as fresh:
            with open(fresh, "x", encoding="utf-8") as file:
                json.dump(said, file)
            os.replace(fresh, path)
        self.rows, self._size, self._parameters = rows, size, parameters
