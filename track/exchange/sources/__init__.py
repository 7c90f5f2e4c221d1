"""Read the runs of other trackers, each in a module of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from track.errors import ImportFailed
from track.exchange.source_run import Source
from track.exchange.sources.mlflow import read_mlflow
from track.exchange.sources.tensorboard import read_tensorboard
from track.exchange.sources.wandb import SUFFIX, read_wandb

_READERS: dict[str, Callable[[str, str], Iterator[Source]]] = {
    "mlflow": read_mlflow,
    "tensorboard": read_tensorboard,
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
        what the tool wrote
    tool
        the tool that wrote it, one of :data:`TOOLS`; by default it is told by the files
    project
        the project of runs whose tool has none; by default it has the name of the folder

    Yields
    ------
    The runs, for :func:`track.exchange.import_runs`; files that cannot be read among them.

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
        raise ImportFailed(f"{path}: give the tool that wrote it, one of {', '.join(TOOLS)}")
    name = os.path.basename(os.path.abspath(path)) or "imported"
    yield from _READERS[tool](path, project or name)


def tool_of(path: str) -> str | None:
    """Return the tool that wrote a file or folder, judged by the names of its files."""
    if not os.path.isdir(path):
        if path.endswith(SUFFIX):
            return "wandb"
        return "mlflow" if path.endswith((".db", ".sqlite", ".sqlite3")) else None
    for _, _, names in os.walk(path):
        for name in names:
            if name.endswith(SUFFIX):
                return "wandb"
            if name == "meta.yaml":
                return "mlflow"
            if "events.out.tfevents" in name:
                return "tensorboard"
    return None
