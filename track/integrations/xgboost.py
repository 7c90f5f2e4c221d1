"""A callback for XGBoost: ``xgb.train(…, callbacks=[TrackCallback("file:report.json")])``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from track.integrations.packages import need
from track.integrations.trainings import Trainings

_callback = need("xgboost.callback", names=["TrainingCallback"], install="xgboost")
_collective = need("xgboost.collective", names=["get_rank"], install="xgboost")


class TrackCallback(Trainings, _callback.TrainingCallback):  # type: ignore[misc,name-defined]
    """Logs the results of each round as ``<data set>/<metric>``, in the process of rank zero.

    It takes the parameters of :class:`track.integrations.trainings.Trainings`. XGBoost's
    configuration becomes the parameters of the trial; a training that continues a model continues
    its numbering of rounds.
    """

    def before_training(self, model: Any) -> Any:
        if _collective.get_rank() == 0:
            run = self.begin(model)
            run.configure(_configuration(model))
            run.first_step = _rounds_of(model)
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        run = self.run_of(model)
        if run is None and _collective.get_rank() == 0:  # some versions call no earlier hook
            run = self.begin(model)
        if run is not None:
            run.log(_last_of(evals_log), run.first_step + epoch)
        return False

    def after_training(self, model: Any) -> Any:
        self.end(model)
        return model


def _last_of(evals_log: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for data, metrics in evals_log.items():
        for metric, history in metrics.items():
            last = history[-1]
            name = f"{data}/{metric}"
            if isinstance(last, tuple):  # mean and deviation of a cross-validation
                values[name], values[f"{name}/std"] = last
            else:
                values[name] = last
    return values


def _rounds_of(model: Any) -> int:
    """Return for how many rounds a model has already been trained."""
    with suppress(Exception):  # new models fail, and those of cross-validations lack the method
        return int(model.num_boosted_rounds())
    return 0


def _configuration(model: Any) -> dict[str, Any]:
    """Return the settings of a booster that define what is trained."""
    with suppress(Exception):  # the format differs between versions
        learner = json.loads(model.save_config())["learner"]
        booster = learner["gradient_booster"]
        return {
            "objective": learner["objective"]["name"],
            "booster": booster.get("name"),
            **{name: _number(text) for name, text in booster.get("tree_train_param", {}).items()},
        }
    return {}


def _number(text: Any) -> Any:
    for kind in (int, float):
        with suppress(TypeError, ValueError):
            return kind(text)
    return text
