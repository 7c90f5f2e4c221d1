"""Train trees with CatBoost: ``pip install catboost``."""

import numpy as np
from catboost import CatBoostRegressor

from track.integrations.catboost import TrackCallback

rng = np.random.default_rng(0)
x = rng.normal(size=(500, 4))
y = x[:, 0] ** 2 + x[:, 1]
settings = {"depth": 3, "iterations": 20}

with TrackCallback(
    "file:report.json", project="examples", name="catboost", parameters=settings
) as callback:
    model = CatBoostRegressor(**settings, verbose=False, allow_writing_files=False)
    model.fit(x, y, callbacks=[callback])
