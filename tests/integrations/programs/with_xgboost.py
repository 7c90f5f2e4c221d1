"""Boost trees with XGBoost, in one process or in two."""

import os

import numpy as np
import xgboost as xgb

from tests.integrations.said import MODE, in_two_processes, maybe_die, say
from track.integrations.xgboost import TrackCallback

ROUNDS, MODEL = 6, "model.ubj"


class Saying(xgb.callback.TrainingCallback):
    """Says what is trained, and keeps the model of each round."""

    def after_iteration(self, model, epoch, evals_log):
        step = model.num_boosted_rounds() - 1
        if xgb.collective.get_rank() == 0:
            say("train/logloss", step, evals_log["train"]["logloss"][-1])
            model.save_model(MODEL)
        maybe_die(step)
        return False


def train(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(100, 4))
    data = xgb.DMatrix(x, x[:, 0] > 0)
    before = xgb.Booster(model_file=MODEL) if MODE == "resumed" else None
    xgb.train(
        {"objective": "binary:logistic", "eval_metric": "logloss", "max_depth": 2},
        data,
        ROUNDS - (before.num_boosted_rounds() if before else 0),
        evals=[(data, "train")],
        verbose_eval=False,
        xgb_model=before,
        callbacks=[TrackCallback(f"file:{os.getcwd()}/r.json", run_id="one"), Saying()],
    )


def work(rank, tracker):
    with xgb.collective.CommunicatorContext(**tracker):
        train(rank)


if __name__ == "__main__":
    if MODE == "two":
        from xgboost.tracker import RabitTracker

        tracker = RabitTracker(n_workers=2, host_ip="127.0.0.1")
        tracker.start()
        in_two_processes(work, tracker.worker_args())
        tracker.wait_for()
    else:
        train()
