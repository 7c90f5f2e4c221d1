"""A class of the shape of TensorBoard's ``SummaryWriter``, for scripts that use that."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from track.integrations.run import Run


class SummaryWriter:
    """Logs to a trial what a script logs to TensorBoard.

    Parameters
    ----------
    log_dir, comment
        what is made of them is the name of the trial, if none is given
    purge_step, max_queue, flush_secs, filename_suffix
        have no effect
    to
        where to log, see :class:`track.integrations.run.Run`
    settings
        further arguments of :class:`~track.integrations.run.Run`

    Notes
    -----
    Scalars, their groups (as ``main_tag/key``), texts and hyperparameters are logged. What else can
    be added (images, histograms, …) is not kept, which is said once for each kind.
    """

    def __init__(  # noqa: PLR0917 - as it is called
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
        *,
        to: Any = None,
        **settings: Any,
    ) -> None:
        self.log_dir = os.fspath(log_dir) if log_dir is not None else ""
        name = (os.path.basename(self.log_dir.rstrip(os.sep)) + comment) or None
        self.run = Run(to, **{"name": name, **settings})

    def get_logdir(self) -> str:
        """Return the folder that was given; nothing is written there."""
        return self.log_dir

    def add_scalar(  # noqa: PLR0917 - as it is called
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Log one value."""
        self._log({tag: scalar_value}, global_step)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Log several values, under joined names."""
        self._log({main_tag: dict(tag_scalar_dict)}, global_step)

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Log a text."""
        self._log({tag: text_string}, global_step)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Any = None,
        run_name: str | None = None,
        global_step: Any = None,
    ) -> None:
        """Log parameters, or metadata if a value was logged before, and results."""
        self.run.configure(hparam_dict)
        self._log(dict(metric_dict), global_step)

    def _log(self, values: Mapping[str, Any], step: Any) -> None:
        self.run.start_once()
        self.run.log(values, step)

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith("add_"):
            raise AttributeError(f"SummaryWriter has no attribute {name!r}")
        kind = name.removeprefix("add_")

        def not_kept(*args: Any, **kwargs: Any) -> None:
            self.run.miss(f"{kind}: only scalars, texts and hyperparameters are kept")

        return not_kept

    def flush(self) -> None:
        """Return: whatever was logged is recorded."""

    def close(self) -> None:
        """End the trial."""
        self.run.finish()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.run.finish(*exc_info)
