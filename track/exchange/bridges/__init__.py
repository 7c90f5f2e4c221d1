"""Push trials to other tools while they are logged, or afterwards, each value once.

A bridge is a :class:`~track.exchange.bridges.contract.Target` in a module of its own, and knows
only the tool. What to send is decided in :mod:`track.exchange.bridges.pushing`.
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
"""What the tool is called in what :func:`open_target` is given, and where its bridge is."""


def open_target(to: str) -> Target:
    """Open a bridge to another tool.

    Parameters
    ----------
    to
        the tool, a colon, and where it is: ``mlflow:http://localhost:5000``, ``mlflow:`` (the
        server of ``MLFLOW_TRACKING_URI``), ``tensorboard:runs`` (a folder), ``wandb:`` or
        ``wandb:entity``

    Raises
    ------
    PushFailed
        there is no bridge to such a tool, or the address is not one of it
    MissingPackage
        the bridge needs a package that is not installed
    """
    tool, colon, where = to.partition(":")
    if tool not in TARGETS or not colon:
        raise PushFailed(
            f"there is no bridge to {tool!r}: give one of mlflow:URL, tensorboard:FOLDER and "
            "wandb:ENTITY"
        )
    target: Target = load(TARGETS[tool])(where)
    return target
