"""Search with Optuna, in two threads: ``pip install optuna``."""

import optuna

from track.integrations.optuna import TrackCallback

callback = TrackCallback("file:report.json", metrics="loss")


@callback.track
def objective(trial):
    """Return the loss after some steps of descent on a parabola."""
    lr = trial.suggest_float("lr", 0.01, 1, log=True)
    x = 1.0
    for step in range(10):
        x -= lr * 2 * x
        callback.log(trial, {"train/loss": x**2}, step)
        trial.report(x**2, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x**2


study = optuna.create_study(study_name="examples", pruner=optuna.pruners.MedianPruner())
study.optimize(objective, n_trials=10, n_jobs=2, callbacks=[callback])
