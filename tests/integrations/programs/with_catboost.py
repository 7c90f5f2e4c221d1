"""Boost trees with CatBoost, which resumes from a snapshot by itself."""

import numpy as np
from catboost import CatBoostClassifier

from tests.integrations.said import maybe_die, say
from track.integrations.catboost import TrackCallback


class Saying:
    """Says what is trained."""

    def after_iteration(self, info):
        say("learn/Logloss", info.iteration - 1, info.metrics["learn"]["Logloss"][-1])
        maybe_die(info.iteration - 1)
        return True


x = np.random.default_rng(0).normal(size=(100, 4))
with TrackCallback("file:r.json", run_id="one") as callback:
    model = CatBoostClassifier(
        iterations=6, depth=2, verbose=False, save_snapshot=True, snapshot_interval=0
    )
    model.fit(x, x[:, 0] > 0, callbacks=[callback, Saying()])
