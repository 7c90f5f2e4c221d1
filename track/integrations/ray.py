"""A callback for Ray Tune: ``RunConfig(callbacks=[TrackCallback("file:/data/report.json")])``."""

from __future__ import annotations

from typing import Any

from track.integrations.packages import need
from track.integrations.run import Run, settled

_logger = need("ray.tune.logger", install="'ray[tune]'")

_BOOKKEEPING = frozenset(
    (
        *("checkpoint_dir_name", "config", "date", "done", "experiment_tag", "hostname"),
        *("iterations_since_restore", "node_ip", "pid", "should_checkpoint", "time_since_restore"),
        *("time_this_iter_s", "time_total_s", "timestamp", "training_iteration", "trial_id"),
    )
)
"""What Ray adds to each result."""


class TrackCallback(_logger.LoggerCallback):  # type: ignore[misc,name-defined]  # of Ray
    """Logs each trial of Ray Tune as a trial, in the process of the tuner.

    Parameters
    ----------
    to
        where to log: the URI of a store, with an absolute path
    settings
        further arguments of :class:`track.integrations.run.Run`
    """

    def __init__(self, to: str | None = None, **settings: Any) -> None:
        self.to = settled(to)
        self.settings = settings
        self._runs: dict[str, Run] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_runs": {}}

    def get_state(self) -> dict[str, Any]:
        """Return which trials are which, for a tuner that is restored."""
        return {"uids": {trial_id: run.uid for trial_id, run in self._runs.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue the trials that a tuner had."""
        for trial_id, uid in (state.get("uids") or {}).items():
            self._runs[trial_id] = Run(self.to, **{**self.settings, "uid": uid})

    def log_trial_start(self, trial: Any) -> None:
        run = self._runs.get(trial.trial_id)
        if run is None:
            run = Run(self.to, **{"name": str(trial), "run_id": trial.trial_id, **self.settings})
            self._runs[trial.trial_id] = run
        run.configure(trial.config)
        run.start_once()

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        if trial.trial_id not in self._runs:
            self.log_trial_start(trial)
        values = {
            name: value
            for name, value in result.items()
            if name not in _BOOKKEEPING and not name.startswith("config/")
        }
        self._runs[trial.trial_id].log(values, result.get("training_iteration", iteration))

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        run = self._runs.get(trial.trial_id)
        if run is None:
            return
        if failed:
            run.finish(RuntimeError, RuntimeError(_failure_of(trial)))
        else:
            run.finish()


def _failure_of(trial: Any) -> str:
    try:
        return str(trial.get_error() or "the trial failed")
    except Exception:  # noqa: BLE001 - of each version of Ray another way to tell
        return "the trial failed"
