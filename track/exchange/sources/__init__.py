"""Readers for the runs of other trackers, one module per tool."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from track.errors import ImportFailed
from track.exchange.event_files import EVENT_FILE
from track.exchange.source_run import Source
from track.exchange.sources.aim import is_aim, read_aim
from track.exchange.sources.clearml import is_clearml, read_clearml
from track.exchange.sources.dvclive import is_dvclive, read_dvclive
from track.exchange.sources.mlflow import read_mlflow
from track.exchange.sources.neptune import is_neptune, read_neptune
from track.exchange.sources.sacred import RUN_FILE, read_sacred
from track.exchange.sources.tensorboard import read_tensorboard
from track.exchange.sources.trackio import is_trackio, read_trackio
from track.exchange.sources.wandb import SUFFIX, read_wandb

_READERS: dict[str, Callable[[str, str], Iterator[Source]]] = {
    "aim": read_aim,
    "clearml": read_clearml,
    "dvclive": read_dvclive,
    "mlflow": read_mlflow,
    "neptune": read_neptune,
    "sacred": read_sacred,
    "tensorboard": read_tensorboard,
    "trackio": read_trackio,
    "wandb": read_wandb,
}

TOOLS = (*_READERS,)
"""The tools whose runs can be read."""


def read_runs(
    path: str, *, tool: str | None = None, project: str | None = None
) -> Iterator[Source]:
    """Yield the runs of another tracker in a file or a folder.

    Parameters
    ----------
    path
        the file or folder that the tool wrote
    tool
        the tool that wrote it, one of :data:`TOOLS`; by default it is detected from the files
    project
        the project of runs whose tool has no projects; by default the name of the folder

    Yields
    ------
    The runs, for :func:`track.exchange.import_runs`, including files that cannot be read.

    Raises
    ------
    ImportFailed
        the path does not hold runs of the tool
    MissingPackage
        reading them needs an optional package
    """
    if not os.path.exists(path):
        raise ImportFailed(f"{path} does not exist: check the path")
    tool = tool or tool_of(path)
    if tool not in _READERS:
        raise ImportFailed(f"unknown files in {path}: give the tool, one of {', '.join(TOOLS)}")
    name = os.path.basename(os.path.abspath(path)) or "imported"
    yield from _READERS[tool](path, project or name)


def tool_of(path: str) -> str | None:
    """Return the tool that wrote a file or folder, detected from the names of its files."""
    if not os.path.isdir(path):
        return _tool_of_file(os.path.dirname(path), os.path.basename(path))
    for folder, _, names in os.walk(path):
        if is_aim(folder, names):
            return "aim"
        if is_clearml(folder, names):
            return "clearml"
        if is_dvclive(folder):
            return "dvclive"
        for name in sorted(names):
            if tool := _tool_of_file(folder, name):
                return tool
    return None


def _tool_of_file(folder: str, name: str) -> str | None:
    if name.endswith(SUFFIX):
        return "wandb"
    if name.endswith((".db", ".sqlite", ".sqlite3")):
        return "trackio" if is_trackio(os.path.join(folder, name)) else "mlflow"
    if name.endswith(".zip"):
        return "clearml" if is_clearml(os.path.join(folder, name)) else None
    if is_neptune(name):
        return "neptune"
    if EVENT_FILE in name:
        return "tensorboard"
    return {"meta.yaml": "mlflow", RUN_FILE: "sacred"}.get(name)
