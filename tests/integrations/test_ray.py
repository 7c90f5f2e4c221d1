"""Ray Tune: trials in two workers, one that fails, and a tuner that is killed and restored."""

import json

import pytest

from tests.integrations.support import run_program, trials_in
from track.structure import Status

pytest.importorskip("ray")

PROGRAM = """
import json, os, sys
import ray
from ray import tune
from track.integrations.ray import TrackCallback

class Dying(tune.Callback):
    seen = 0
    def on_trial_result(self, iteration, trials, trial, result, **info):
        self.seen += 1
        if sys.argv[1] == "killed" and self.seen == 4:
            os.kill(os.getpid(), 9)

def train(config):
    checkpoint = tune.get_checkpoint()
    first = 1
    if checkpoint:
        with checkpoint.as_directory() as folder, open(f"{folder}/step") as file:
            first = int(file.read()) + 1
    for step in range(first, 5):
        if config["lr"] > 1 and step == 3:
            raise ValueError("boom")
        kept = os.path.abspath("kept")
        os.makedirs(kept, exist_ok=True)
        with open(f"{kept}/step", "w") as file:
            file.write(str(step))
        tune.report({"loss": config["lr"] / step}, checkpoint=tune.Checkpoint(kept))

if __name__ == "__main__":
    here = os.getcwd()
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    if sys.argv[1] == "resumed":
        tuner = tune.Tuner.restore(f"{here}/out/search", train)
    else:
        last = 2 if sys.argv[1] == "failed" else 0.3
        callback = TrackCallback(f"file:{here}/r.json", project="p")
        tuner = tune.Tuner(
            train,
            param_space={"lr": tune.grid_search([0.1, 0.2, last])},
            run_config=tune.RunConfig(
                name="search", storage_path=f"{here}/out", verbose=0,
                callbacks=[callback, Dying()]))
    said = {
        result.config["lr"]: dict(zip(
            map(int, result.metrics_dataframe["training_iteration"]),
            map(float, result.metrics_dataframe["loss"])))
        for result in tuner.fit()
    }
    print(json.dumps(said))
"""

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0"}


def train(mode, killed=False):
    """Search; return what Ray says of each trial, by its learning rate."""
    output = run_program(PROGRAM, mode, killed=killed, **QUIET)
    if killed:
        return None
    said = json.loads(output.strip().splitlines()[-1])
    return {float(lr): {int(n): loss for n, loss in steps.items()} for lr, steps in said.items()}


def recorded():
    """Return the trials of the store by their learning rate."""
    return {trial.parameters["lr"]: trial for trial in trials_in("file:r.json")}


def test_trials_in_two_workers_and_one_that_fails():
    """Each is a trial, with what it reported."""
    said = train("failed")
    found = recorded()
    assert {lr: trial.metrics["loss"] for lr, trial in found.items()} == said
    assert {lr: len(steps) for lr, steps in said.items()} == {0.1: 4, 0.2: 4, 2: 2}
    assert [found[lr].status for lr in (0.1, 0.2, 2)] == [
        Status.Completed, Status.Completed, Status.Exception,
    ]  # fmt: skip
    assert "boom" in found[2].failure["message"]
    assert {trial.project_id for trial in found.values()} == {"p"}
    assert all(set(trial.metrics) == {"loss"} for trial in found.values())


def test_a_tuner_that_is_killed_and_restored():
    """Its trials go on with theirs; what was reported before it was killed is there."""
    train("killed", killed=True)
    before = {trial.uid: dict(trial.metrics["loss"]) for trial in trials_in("file:r.json")}
    assert sum(map(len, before.values())) in (3, 4)
    said = train("resumed")
    found = recorded()
    assert sorted(found) == [0.1, 0.2, 0.3]
    assert set(before) <= {trial.uid for trial in found.values()}
    for lr, trial in found.items():
        assert trial.metrics["loss"] == {step: pytest.approx(lr / step) for step in range(1, 5)}
        assert trial.metrics["loss"].items() >= said[lr].items()
        assert trial.status == Status.Completed
