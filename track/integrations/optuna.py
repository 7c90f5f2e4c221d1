"""A callback for Optuna: ``study.optimize(objective, callbacks=[TrackCallback("file:…")])``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from track.integrations.run import Run
from track.integrations.trainings import ManyRuns

UID = "track_uid"
"""The user attribute of an Optuna trial that holds the uid of its trial in Track."""


class TrackCallback(ManyRuns):
    """Logs each trial of a study, in a project named after the study.

    Parameters
    ----------
    to
        where to log: the URI of a store, or a client
    metrics
        the names of the objective's values, in order; by default ``value``, or ``value_0``,
        ``value_1`` and so on for several
    settings
        further arguments of :class:`track.integrations.run.Run`

    Notes
    -----
    A trial is logged when it ends, with its parameters, values and intermediate values; pruned
    trials get the tag ``pruned`` and failed ones are recorded as failed. With
    ``objective = callback.track(objective)``, a trial is visible while it runs and the objective
    can log more to it with :meth:`log`.
    """

    def __init__(
        self, to: Any = None, *, metrics: str | list[str] | None = None, **settings: Any
    ) -> None:
        super().__init__(to, **settings)
        self.metrics = [metrics] if isinstance(metrics, str) else metrics

    def track(self, objective: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Wrap an objective so that its trials are logged as running while it runs."""

        @wraps(objective)
        def tracked(trial: Any) -> Any:
            run = self._run_of(trial.study, trial)
            try:
                return objective(trial)
            except Exception as error:
                run.error = error  # Optuna does not pass it to callbacks
                raise
            finally:
                run.configure(trial.params)
                run.start_once()
                with run.guest("the uid"):
                    trial.set_user_attr(UID, run.uid)

        return tracked

    def log(self, trial: Any, values: Mapping[str, Any], step: Any = None) -> None:
        """Log metrics of a running trial; call this after all its parameters are suggested."""
        run = self._run_of(trial.study, trial)
        if run.uid is None:
            run.configure(trial.params)
        run.log(values, step)

    def __call__(self, study: Any, trial: Any) -> None:
        run = self._run_of(study, trial)
        run.configure(trial.params)
        state = trial.state.name
        for step, value in sorted(trial.intermediate_values.items()):
            run.log({"intermediate": value}, step)
        values = trial.values or []
        run.log(dict(zip(self._names(len(values)), values, strict=False)))
        run.describe(
            {"optuna": {"study": study.study_name, "number": trial.number, "state": state}}
        )
        run.describe({n: v for n, v in trial.user_attrs.items() if n != UID})
        if state == "PRUNED":
            with run.guest("the tag"):
                run.trial.add_tags(pruned=True)
        error = run.error or RuntimeError("the objective failed")
        failure = (type(error), error, error.__traceback__) if state == "FAIL" else ()
        self.end(_key(study, trial), *failure)

    def _run_of(self, study: Any, trial: Any) -> Run:
        key = _key(study, trial)
        named = {"project": study.study_name, "name": f"trial {trial.number}"}
        return self.run_of(key) or self.begin(key, **named)

    def _names(self, count: int) -> list[str]:
        if self.metrics is not None:
            return self.metrics
        return ["value"] if count == 1 else [f"value_{index}" for index in range(count)]


def _key(study: Any, trial: Any) -> tuple[str, int]:
    return study.study_name, trial.number
