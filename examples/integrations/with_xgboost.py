"""Train trees with XGBoost: ``pip install xgboost``, or ``xgboost-cpu``."""

import numpy as np
import xgboost as xgb

from track.integrations.xgboost import TrackCallback

rng = np.random.default_rng(0)
x = rng.normal(size=(500, 4))
y = x[:, 0] ** 2 + x[:, 1]
train, valid = xgb.DMatrix(x[:400], y[:400]), xgb.DMatrix(x[400:], y[400:])
xgb.train(
    {"objective": "reg:squarederror", "max_depth": 3},
    train,
    num_boost_round=20,
    evals=[(train, "train"), (valid, "valid")],
    verbose_eval=False,
    callbacks=[TrackCallback("file:report.json", project="examples", name="xgboost")],
)
