"""Train trees with LightGBM: ``pip install lightgbm``."""

import lightgbm as lgb
import numpy as np

from track.integrations.lightgbm import TrackCallback

rng = np.random.default_rng(0)
x = rng.normal(size=(500, 4))
y = x[:, 0] ** 2 + x[:, 1]
train = lgb.Dataset(x[:400], y[:400])
valid = lgb.Dataset(x[400:], y[400:], reference=train)
parameters = {"objective": "regression", "num_leaves": 7, "verbose": -1}

with TrackCallback("file:report.json", project="examples", name="lightgbm") as callback:
    lgb.train(
        parameters,
        train,
        num_boost_round=100,
        valid_sets=[valid],
        callbacks=[callback, lgb.early_stopping(3, verbose=False)],
    )
