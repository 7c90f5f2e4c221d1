"""A logger for PyTorch-Ignite, with the interface of its built-in loggers."""

from __future__ import annotations

from typing import Any

from track.integrations.packages import need
from track.integrations.run import LazyRun

_base = need(
    "ignite.handlers.base_logger",
    names=("BaseLogger", "BaseOutputHandler", "BaseOptimizerParamsHandler"),
    install="pytorch-ignite",
)
_distributed = need("ignite.distributed", names=["get_rank"], install="pytorch-ignite")


class TrackLogger(_base.BaseLogger):  # type: ignore[misc,name-defined]  # of Ignite
    """Logs outputs and metrics of engines, in the process of rank zero.

    It takes the parameters of :class:`track.integrations.run.Run`.

    ``attach_output_handler`` and ``attach_opt_params_handler`` work as in every logger of Ignite.
    Leaving ``with TrackLogger(…) as logger:`` finishes the trial, as ``close`` does.
    """

    def __init__(self, to: Any = None, **settings: Any) -> None:
        self.run = LazyRun(to, **settings)

    def log_params(self, params: Any) -> None:
        """Log parameters; once a value has been logged, log them as metadata."""
        if _distributed.get_rank() == 0:
            self.run.configure(params)

    def log(self, values: dict[str, Any], step: Any = None) -> None:
        """Log metrics."""
        if _distributed.get_rank() == 0:
            self.run.log(values, step)

    def close(self) -> None:
        """Finish the trial."""
        if _distributed.get_rank() == 0:
            self.run.finish()

    def __exit__(self, *exc_info: object) -> None:
        if _distributed.get_rank() == 0:
            self.run.finish(*exc_info)

    def _create_output_handler(self, *args: Any, **kwargs: Any) -> OutputHandler:
        return OutputHandler(*args, **kwargs)

    def _create_opt_params_handler(self, *args: Any, **kwargs: Any) -> OptimizerParamsHandler:
        return OptimizerParamsHandler(*args, **kwargs)


class OutputHandler(_base.BaseOutputHandler):  # type: ignore[misc,name-defined]  # of Ignite
    """Logs the output and the metrics of an engine; takes the arguments of Ignite's base class."""

    def __call__(self, engine: Any, logger: TrackLogger, event_name: Any) -> None:
        values = self._setup_output_metrics_state_attrs(engine, key_tuple=False)
        step = self.global_step_transform(engine, event_name)
        logger.log(values, step)


class OptimizerParamsHandler(_base.BaseOptimizerParamsHandler):  # type: ignore[misc,name-defined]
    """Logs one parameter per group of an optimizer; takes the arguments of Ignite's base class."""

    def __call__(self, engine: Any, logger: TrackLogger, event_name: Any) -> None:
        step = engine.state.get_event_attrib_value(event_name)
        prefix = f"{self.tag}/" if self.tag else ""
        values = {
            f"{prefix}{self.param_name}/group_{index}": group[self.param_name]
            for index, group in enumerate(self.optimizer.param_groups)
        }
        logger.log(values, step)
