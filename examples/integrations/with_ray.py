"""Search with Ray Tune: ``pip install 'ray[tune]'``."""

import os

from ray import tune

from track.integrations.ray import TrackCallback


def train(config):
    """Report a few results."""
    for step in range(3):
        tune.report({"loss": config["lr"] / (step + 1)})


if __name__ == "__main__":
    callback = TrackCallback(f"file:{os.getcwd()}/report.json", project="examples")
    tuner = tune.Tuner(
        train,
        param_space={"lr": tune.grid_search([0.1, 0.2])},
        run_config=tune.RunConfig(callbacks=[callback], storage_path=os.getcwd()),
    )
    tuner.fit()
