"""Hydra: single jobs, several of one run, and one that fails."""

from importlib.util import find_spec

import pytest

from tests.integrations.support import run_program, trials_in
from track.structure import Status

pytestmark = pytest.mark.skipif(find_spec("hydra") is None, reason="hydra is not installed")

PROGRAM = """
import os
import hydra
from hydra.core.config_store import ConfigStore
from track import TrackClient

callback = {"_target_": "track.integrations.hydra.TrackCallback", "to": "file:r.json",
            "project": "p"}
ConfigStore.instance().store(name="config", node={
    "lr": 0.1, "model": {"depth": 2}, "hydra": {"callbacks": {"track": callback}}})

@hydra.main(version_base=None, config_name="config")
def main(config):
    client = TrackClient()
    client.log({"loss": config.lr, "process": os.getpid()}, step=0)
    if config.lr == 0:
        os.kill(os.getpid(), 9)
    client.close()
    if config.lr > 1:
        raise ValueError("boom")
    return config.lr

if __name__ == "__main__":
    main()
"""


needs_joblib = pytest.mark.skipif(
    find_spec("hydra_plugins") is None or find_spec("hydra_plugins.hydra_joblib_launcher") is None,
    reason="hydra-joblib-launcher is not installed",
)


@pytest.mark.parametrize(
    "launcher", ["basic", pytest.param("joblib", marks=needs_joblib)], ids="{}".format
)
def test_each_job_of_a_multirun_is_a_trial(launcher):
    """Its configuration are its parameters, and what it returns is a result, in any process."""
    processes = ["hydra.launcher.n_jobs=2"] if launcher == "joblib" else []
    run_program(PROGRAM, "--multirun", "lr=0.5,0.25", f"hydra/launcher={launcher}", *processes)
    trials = sorted(trials_in("file:r.json"), key=lambda trial: -trial.parameters["lr"])
    pids = {trial.metrics.pop("process")[0] for trial in trials}
    assert len(pids) == (2 if launcher == "joblib" else 1)
    assert [trial.parameters for trial in trials] == [
        {"lr": lr, "model": {"depth": 2}} for lr in (0.5, 0.25)
    ]
    assert [trial.metrics for trial in trials] == [
        {"loss": {0: lr}, "result": [lr]} for lr in (0.5, 0.25)
    ]
    assert {(trial.status, trial.project_id) for trial in trials} == {(Status.Completed, "p")}
    assert trials[0].metadata["overrides"] == ["lr=0.5"]


def test_a_job_that_fails():
    """The trial has the exception, which Hydra keeps to itself otherwise."""
    with pytest.raises(AssertionError, match="boom"):
        run_program(PROGRAM, "lr=2")
    (trial,) = trials_in("file:r.json")
    assert trial.status == Status.Exception
    assert "ValueError: boom" in trial.failure["message"]
    assert trial.metrics["loss"] == {0: 2}


def test_a_job_that_is_killed():
    """Is not completed; what it logged is there. Another run of it is the next revision."""
    run_program(PROGRAM, "lr=0", killed=True)
    (trial,) = trials_in("file:r.json")
    assert (trial.metrics["loss"], trial.parameters["lr"]) == ({0: 0}, 0)
    assert trial.status != Status.Completed
