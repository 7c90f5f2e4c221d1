"""Frameworks train, are killed, resume, and train in two processes: the store says the same.

Lightning, Transformers, Accelerate, Optuna, Ray, Hydra and scikit-learn have files of their own.
"""

import json
from importlib.util import find_spec

import pytest

from tests.integrations.support import ROOT, only_trial, run_program
from track.structure import Status

FOLDER = ROOT / "tests" / "integrations" / "programs"
NEEDS = {
    "catboost": ["catboost"],
    "ignite": ["ignite", "torch"],
    "keras": ["keras", "torch"],
    "lightgbm": ["lightgbm"],
    "stable_baselines3": ["stable_baselines3"],
    "tensorboard": [],
    "wandb": [],
    "xgboost": ["xgboost"],
}
"""What each program needs."""

IN_TWO_PROCESSES = ("ignite", "lightgbm", "xgboost")
"""Programs whose framework trains one model in several processes."""


@pytest.fixture(params=NEEDS)
def name(request):
    """A framework that is installed."""
    missing = [module for module in NEEDS[request.param] if find_spec(module) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    return request.param


def train(name, *arguments, killed=False):
    """Train; return what the framework said: values by step, by name."""
    output = run_program(FOLDER / f"with_{name}.py", *arguments, killed=killed)
    said = {}
    for line in output.splitlines():
        if line.startswith('["'):
            metric, step, value = json.loads(line)
            said.setdefault(metric, {})[step] = pytest.approx(value)
    assert said
    return said


def recorded(trial, said):
    """Return what the store has of what was said."""
    return {metric: trial.metrics.get(metric) for metric in said}


def test_a_training_that_is_killed_and_resumed(name):
    """What it said before it was killed is there, and it goes on with its trial."""
    first = train(name, "killed", killed=True)
    killed = only_trial("file:r.json")
    assert recorded(killed, first) == first
    assert killed.status != Status.Completed
    second = train(name, "resumed")
    assert all(min(second[metric]) > min(first[metric]) for metric in first)
    resumed = only_trial("file:r.json")
    said = {
        metric: {**first.get(metric, {}), **second.get(metric, {})} for metric in first | second
    }
    assert recorded(resumed, said) == said
    assert (resumed.uid, resumed.status, resumed.attempts) == (killed.uid, Status.Completed, 2)


@pytest.mark.parametrize("name", IN_TWO_PROCESSES, indirect=True)
def test_a_training_in_two_processes(name, free_tcp_ports):
    """It is one trial, of the first process."""
    said = train(name, "two", *map(str, free_tcp_ports))
    trial = only_trial("file:r.json")
    assert recorded(trial, said) == said
    assert (trial.status, trial.attempts) == (Status.Completed, 1)
