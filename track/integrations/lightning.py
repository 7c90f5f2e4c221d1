"""A logger for PyTorch Lightning: ``Trainer(logger=TrackLogger("file:report.json"))``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from track.integrations.packages import need
from track.integrations.run import LazyRun
from track.logger import TrialLogger
from track.media import Image, Table

_loggers = need(
    "lightning.pytorch.loggers.logger",
    "pytorch_lightning.loggers.logger",
    names=["Logger"],
    install="lightning",
)
_utilities = need(
    "lightning.pytorch.utilities",
    "pytorch_lightning.utilities",
    names=["rank_zero_only"],
    install="lightning",
)
_rank_zero_only = _utilities.rank_zero_only


class TrackLogger(_loggers.Logger):  # type: ignore[misc,name-defined]  # of Lightning
    """Logs everything that a ``Trainer`` logs, in the process of rank zero.

    Parameters
    ----------
    to
        where to log, see :class:`track.integrations.run.Run`
    save_dir
        where Lightning saves checkpoints: ``<save_dir>/<name>/<run_id>/checkpoints``; by default
        under the ``default_root_dir`` of the trainer
    prefix
        is prepended to the names of all metrics, followed by a ``/``
    settings
        further arguments of :class:`~track.integrations.run.Run`

    Notes
    -----
    Hyperparameters that are logged before the first value (``save_hyperparameters``) are the
    parameters of the trial. An exception that ends a training is recorded with its traceback. With
    the same ``run_id``, a training that resumes from a checkpoint continues its trial.
    """

    def __init__(
        self,
        to: Any = None,
        *,
        save_dir: str | os.PathLike[str] | None = None,
        prefix: str = "",
        **settings: Any,
    ) -> None:
        super().__init__()
        self.run = LazyRun(to, **settings)
        self._save_dir = None if save_dir is None else os.fspath(save_dir)
        self._prefix = f"{prefix}/" if prefix else ""
        self._checkpoints: dict[str, Any] = {}

    @property
    def experiment(self) -> TrialLogger | None:
        """Return the logger of the trial in the process of rank zero, None elsewhere."""
        found: TrialLogger | None = self._trial()
        return found

    @_rank_zero_only  # type: ignore[untyped-decorator]  # of Lightning
    def _trial(self) -> TrialLogger:
        return self.run.trial

    @property
    def name(self) -> str:
        """Return the name of the checkpoint folder."""
        return self.run.name or self.run.project or "track"

    @property
    def version(self) -> str:
        """Return the id of this run, stored as ``run_id`` in the metadata of the trial."""
        return self.run.known_as()

    @property
    def save_dir(self) -> str | None:
        return self._save_dir

    @_rank_zero_only  # type: ignore[untyped-decorator]
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.run.configure(params)

    @_rank_zero_only  # type: ignore[untyped-decorator]
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        if self._prefix:
            metrics = {f"{self._prefix}{name}": value for name, value in metrics.items()}
        self.run.log(metrics, step)

    @_rank_zero_only  # type: ignore[untyped-decorator]
    def log_image(
        self, key: str, images: list[Any], step: int | None = None, caption: Any = None
    ) -> None:
        """Log images, optionally with one caption each."""
        captions = caption or [None] * len(images)
        pairs = [*zip(images, captions, strict=True)]
        self.run.media(f"{self._prefix}{key}", lambda: [Image(*pair) for pair in pairs], step)

    @_rank_zero_only  # type: ignore[untyped-decorator]
    def log_table(
        self,
        key: str,
        columns: list[str] | None = None,
        data: Any = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log a table, given as a data frame or as rows and column names."""
        table, names = (data, columns) if dataframe is None else (dataframe, None)
        self.run.media(f"{self._prefix}{key}", lambda: Table(table, names), step)

    @_rank_zero_only  # type: ignore[untyped-decorator]
    def log_graph(self, model: Any, input_array: Any = None) -> None:
        self.run.metadata({"model": type(model).__qualname__})

    @_rank_zero_only  # type: ignore[untyped-decorator]
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        known = {
            "path": str(getattr(checkpoint_callback, "best_model_path", "") or ""),
            "score": getattr(checkpoint_callback, "best_model_score", None),
            "last": str(getattr(checkpoint_callback, "last_model_path", "") or ""),
            "monitor": getattr(checkpoint_callback, "monitor", None),
        }
        if known != self._checkpoints:
            self._checkpoints = known
            self.run.metadata({"checkpoint": known})

    @_rank_zero_only  # type: ignore[untyped-decorator]
    def finalize(self, status: str) -> None:
        if not self.run.is_open:
            return  # nothing was logged
        exc_info = sys.exc_info()
        if status == "failed" and exc_info[0] is None:
            self.run.finish(RuntimeError, RuntimeError("the trainer reported that training failed"))
        elif status == "failed":
            self.run.finish(*exc_info)
        else:
            self.run.finish()
