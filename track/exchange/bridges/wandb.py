"""A bridge to Weights & Biases, through its package (the extra ``wandb``)."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

from track.errors import PushFailed
from track.exchange.bridges.contract import (
    Content,
    Counterpart,
    Description,
    OpenFile,
    Refused,
    Row,
    SentFile,
    Target,
)
from track.exchange.optional import load
from track.projections.media import LoggedMedium
from track.structure import Status

STEP = "track/step"
"""The metric that holds the step of each row, and is the x axis of all others."""

_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "audio/wav": ".wav"}


class WandB(Target):
    """Projects of W&B.

    Parameters
    ----------
    entity
        the user or team, by default ``WANDB_ENTITY`` or the user. The package finds the key in
        ``WANDB_API_KEY`` or after ``wandb login``

    Raises
    ------
    MissingPackage
        wandb is not installed
    """

    def __init__(self, entity: str = "") -> None:
        super().__init__()
        self.sdk = load("wandb", "wandb")
        self.entity = entity or None
        self.name = f"wandb:{entity}"

    def open(self, description: Description) -> Counterpart:
        return _Run(self, description)


class _Run(Counterpart):
    """A run of W&B, whose id is the uid of the trial.

    The number of a row becomes the step of W&B, because those of a run only increase and W&B
    reports where a run continues.
    """

    def __init__(self, target: WandB, description: Description) -> None:
        self._target, self._sdk = target, target.sdk
        self._config: dict[str, Any] = {}
        self._exit_code: int | None = None
        try:
            self._run = self._sdk.init(
                entity=target.entity,
                project=description.project,
                group=description.group,
                name=description.name,
                notes=description.description,
                tags=[*description.tags] or None,
                id=description.uid,
                resume="allow",
                reinit="create_new",
                settings=self._sdk.Settings(
                    console="off",
                    disable_code=True,
                    disable_git=True,
                    silent=True,
                    x_disable_meta=True,
                    x_disable_stats=True,
                ),
            )
        except Exception as error:
            raise PushFailed(f"W&B cannot start run {description.uid}: {error}") from error
        self.rows = max(self._run.step - 1, 0)  # it says the step of the next row
        self._run.define_metric(STEP)
        self._run.define_metric("*", step_metric=STEP)

    def describe(self, description: Description) -> None:
        config = dict(description.parameters)
        if config != self._config:
            self._run.config.update(config, allow_val_change=True)
            self._config = config

    def add(self, rows: Sequence[Row], content: Content, open_file: OpenFile) -> None:
        for row in rows:
            if row.files:
                self._add_files(row.files, open_file)
            values: dict[str, Any] = {point.name: point.value for point in row.points}
            media: dict[str, list[Any]] = {}
            steps = [point.step for point in row.points]
            for medium in row.media:
                shown = self._shown(medium, content)
                if shown is not None:
                    alone = medium.kind == "audio" and medium.place > 0
                    name = f"{medium.name}/{medium.place}" if alone else medium.name
                    media.setdefault(name, []).append(shown)
                steps += [medium.step] if type(medium.step) is int else []
            values |= {name: one[0] if len(one) == 1 else one for name, one in media.items()}
            if values:
                values |= {STEP: max(steps, default=0), "_timestamp": row.at_ns * 1e-9}
                self._log(values, row.number)
            self.rows = row.number

    def _add_files(self, files: Sequence[SentFile], open_file: OpenFile) -> None:
        """Send files as a version of an artifact, and wait until W&B has it.

        Only then may a later row be logged, since it says that all rows before it have arrived. A
        version that is logged twice exists once.
        """
        name = files[0].artifact
        kind = "files" if name is None else "artifact"
        version, taken = None, 0
        with self._target.leave_out(f"the artifact {name}"):
            version = self._sdk.Artifact(name or f"files-{self._run.id}", kind)
        for file in files if version is not None else ():
            inner = file.path.split("/", 1 if name is None else 2)[-1]
            with self._target.leave_out(file.path):
                with open_file(file) as source, version.new_file(inner, "wb") as target:
                    shutil.copyfileobj(source, target)
                taken += 1
        if not taken:
            return
        try:
            logged = self._run.log_artifact(version)
            if not self._run.offline:
                logged.wait()
        except Exception as error:
            raise Refused(f"W&B rejected the artifact {version.name}: {error}") from error

    def _log(self, values: dict[str, Any], number: int) -> None:
        try:
            self._run.log(values, step=number, commit=True)
        except Exception as error:
            raise Refused(f"W&B rejected row {number}: {error}") from error

    def conclude(self, description: Description) -> None:
        if description.is_over:
            self._exit_code = 0 if description.status is Status.Completed else 1

    def close(self) -> None:
        try:
            self._run.finish(exit_code=self._exit_code)
        except Exception as error:
            raise PushFailed(f"W&B cannot finish run {self._run.id}: {error}") from error

    def _shown(self, medium: LoggedMedium, content: Content) -> Any:
        """Convert a medium to W&B's type, None if that is impossible."""
        with self._target.leave_out(repr(medium.name)):
            data = content(medium)
            if medium.kind == "histogram":
                said = json.loads(data)
                return self._sdk.Histogram(np_histogram=(said["counts"], said["edges"]))
            if medium.kind == "table":
                said = json.loads(data)
                return self._sdk.Table(columns=said["columns"], data=said["rows"])
            if medium.kind in ("html", "text"):
                return self._sdk.Html(_page_of(medium, data), inject=False)
            if medium.mime in _SUFFIXES:
                return self._of_file(medium, data)
            self._target.miss(f"{medium.kind} media ({medium.mime}) are left out")
        return None

    def _of_file(self, medium: LoggedMedium, data: bytes) -> Any:
        make = self._sdk.Audio if medium.kind == "audio" else self._sdk.Image
        with tempfile.NamedTemporaryFile(suffix=_SUFFIXES[medium.mime], delete=False) as file:
            file.write(data)
        try:
            return make(file.name, caption=medium.caption)  # W&B copies or moves the file
        finally:
            if os.path.exists(file.name):
                os.unlink(file.name)


def _page_of(medium: LoggedMedium, data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    if medium.kind == "html":
        return text
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return f"<pre>{escaped}</pre>"
