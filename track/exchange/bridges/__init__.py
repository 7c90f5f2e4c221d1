"""Bridges that push trials to other tools, during or after logging, sending each value once.

A bridge is a :class:`~track.exchange.bridges.contract.Target` in its own module that only knows the
tool. :mod:`track.exchange.bridges.pushing` decides what to send.
"""

from __future__ import annotations

from track.errors import PushFailed
from track.exchange.bridges.contract import Target
from track.exchange.bridges.pushing import Pushed, Pusher
from track.persistence.registry import load

__all__ = ["TARGETS", "Pushed", "Pusher", "Target", "open_target"]

TARGETS = {
    "mlflow": "track.exchange.bridges.mlflow:MLflow",
    "tensorboard": "track.exchange.bridges.tensorboard:TensorBoard",
    "wandb": "track.exchange.bridges.wandb:WandB",
}
"""The scheme of each tool in the argument of :func:`open_target`, and the class of its bridge."""


def open_target(to: str) -> Target:
    """Open a bridge to another tool.

    Parameters
    ----------
    to
        the tool, a colon, and its address: ``mlflow:http://localhost:5000``, ``mlflow:`` (the
        server of ``MLFLOW_TRACKING_URI``), ``tensorboard:runs`` (a folder), ``wandb:`` or
        ``wandb:entity``

    Raises
    ------
    PushFailed
        the tool is unknown, or the address is invalid
    MissingPackage
        the bridge needs a package that is not installed
    """
    tool, colon, where = to.partition(":")
    if tool not in TARGETS or not colon:
        raise PushFailed(
            f"cannot push to {tool!r}: use mlflow:URL, tensorboard:FOLDER or wandb:ENTITY"
        )
    target: Target = load(TARGETS[tool])(where)
    return target
