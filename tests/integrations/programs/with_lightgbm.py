"""Boost trees with LightGBM, in one process or in two."""

import os
import sys

import lightgbm as lgb
import numpy as np

from tests.integrations.said import MODE, in_two_processes, maybe_die, say
from track.integrations.lightgbm import TrackCallback

ROUNDS, MODEL = 6, "model.txt"


def saying(env):
    """Say what is trained, and keep the model of each round."""
    (result,) = env.evaluation_result_list
    if env.params.get("local_listen_port", 0) == int(sys.argv[2] if MODE == "two" else 0):
        say("training/auc", env.iteration, result[2])
        env.model.save_model(MODEL)
    maybe_die(env.iteration)


saying.order = 99


def train(rank=0, **distributed):
    rng = np.random.default_rng(rank)
    x = rng.normal(size=(200, 4))
    data = lgb.Dataset(x, x[:, 0] > 0)
    before = lgb.Booster(model_file=MODEL) if MODE == "resumed" else None
    lgb.train(
        {"objective": "binary", "metric": "auc", "num_leaves": 4, "verbose": -1, **distributed},
        data,
        ROUNDS - (before.num_trees() if before else 0),
        valid_sets=[data],
        init_model=before,
        callbacks=[TrackCallback(f"file:{os.getcwd()}/r.json", run_id="one"), saying],
    )


def work(rank, ports):
    machines = ",".join(f"127.0.0.1:{port}" for port in ports)
    train(
        rank,
        machines=machines,
        local_listen_port=ports[rank],
        num_machines=2,
        tree_learner="data",
    )


if __name__ == "__main__":
    if MODE == "two":
        in_two_processes(work, [int(port) for port in sys.argv[2:4]])
    else:
        train()
