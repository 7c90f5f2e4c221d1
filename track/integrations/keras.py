"""A callback for Keras: ``model.fit(…, callbacks=[TrackCallback("file:report.json")])``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from track.integrations.packages import need
from track.integrations.run import Run

_callbacks = need("keras.callbacks", names=["Callback"], install="keras")


class TrackCallback(_callbacks.Callback):  # type: ignore[misc,name-defined]  # of Keras
    """Logs the metrics of each epoch and, on request, of every n-th batch.

    Parameters
    ----------
    to
        where to log, see :class:`track.integrations.run.Run`
    every
        also log every ``every``-th batch, as ``batch/loss``; batches are counted across epochs
    settings
        further arguments of :class:`~track.integrations.run.Run`

    Notes
    -----
    The parameters of the trial are those of the optimizer and the number of epochs. A second
    ``fit`` with the same callback continues the trial.
    """

    def __init__(self, to: Any = None, *, every: int | None = None, **settings: Any) -> None:
        super().__init__()
        self.run = Run(to, **settings)
        self.every = every
        self.async_safe = every is None  # otherwise, Keras waits for the device after each batch
        self._batches = 0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        optimizer: Any = getattr(self.model, "optimizer", None)
        settings: dict[str, Any] = {"epochs": (self.params or {}).get("epochs")}
        if hasattr(optimizer, "get_config"):
            settings["optimizer"] = optimizer.get_config()
        self.run.configure(settings)
        self.run.describe({"model": getattr(self.model, "name", None), "fit": self.params or {}})
        self.run.start()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.run.log(logs or {}, epoch)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.every is not None and self._batches % self.every == 0:
            self.run.log({"batch": dict(logs or {})}, self._batches)
        self._batches += 1

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if not self.run.is_open:  # an evaluation without a training
            self.run.start_once()
            self.run.log({"test": dict(logs or {})})
            self.run.finish()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self.run.finish()
