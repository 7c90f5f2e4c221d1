"""A callback for Ray Tune: ``RunConfig(callbacks=[TrackCallback("file:/data/report.json")])``."""

from __future__ import annotations

from typing import Any

from track.integrations.packages import need
from track.integrations.run import Run
from track.integrations.trainings import ManyRuns

_logger = need("ray.tune.logger", names=["LoggerCallback"], install="'ray[tune]'")

_BOOKKEEPING = frozenset(
    (
        *("checkpoint_dir_name", "config", "date", "done", "experiment_tag", "hostname"),
        *("iterations_since_restore", "node_ip", "pid", "should_checkpoint", "time_since_restore"),
        *("time_this_iter_s", "time_total_s", "timestamp", "training_iteration", "trial_id"),
    )
)
"""The names that Ray adds to each result."""


class TrackCallback(ManyRuns, _logger.LoggerCallback):  # type: ignore[misc,name-defined]  # of Ray
    """Logs each trial of Ray Tune as a trial, in the process of the tuner.

    Parameters
    ----------
    to
        where to log: the URI of a store, with an absolute path
    settings
        further arguments of :class:`track.integrations.run.Run`
    """

    def log_trial_start(self, trial: Any) -> None:
        self._run_of(trial)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        values = {
            name: value
            for name, value in result.items()
            if name not in _BOOKKEEPING and not name.startswith("config/")
        }
        self._run_of(trial).log(values, result.get("training_iteration", iteration))

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        error = RuntimeError(_failure_of(trial))
        self.end(trial.trial_id, *((RuntimeError, error) if failed else ()))

    def _run_of(self, trial: Any) -> Run:
        run = self.run_of(trial.trial_id)
        if run is None:  # the trial is new, or the tuner was restored, which keeps its trial ids
            run = self.begin(trial.trial_id, name=str(trial), run_id=trial.trial_id)
            run.configure(trial.config)
            run.start_once()
        return run


def _failure_of(trial: Any) -> str:
    """Return the error report of a trial; by now, Ray keeps it only in a file."""
    try:
        with open(trial.error_file, encoding="utf-8", errors="replace") as file:
            return file.read()
    except Exception:  # noqa: BLE001 - versions of Ray differ in how it is missing
        return "the trial failed"
