"""What the tests of real frameworks share: programs of their own, and what a store has of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import track

ROOT = Path(track.__file__).resolve().parents[1]
PATIENCE_S = 300

ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "KERAS_BACKEND": "torch",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "ignore",
    "TOKENIZERS_PARALLELISM": "false",
}


def run_program(
    source: str | Path, *arguments: str, killed: bool = False, **environment: str
) -> str:
    """Run a program to its end; return what it printed.

    Parameters
    ----------
    source
        its text, or its path
    arguments
        of the program
    killed
        whether it kills itself
    environment
        further variables
    """
    path = source
    if isinstance(source, str):
        path = Path("program.py")
        path.write_text(textwrap.dedent(source), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(path), *arguments],
        env={**os.environ, **ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    expected = -signal.SIGKILL if killed else 0
    assert done.returncode == expected, done.stderr[-4000:]
    return done.stdout


def wait_until(condition: Any) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def trials_in(uri: str) -> list[Any]:
    """Return the trials of a store, oldest first, with plain metrics."""
    with track.open(uri) as store:
        found = store.trials()
        for trial in found:
            trial.attempts = len(store.attempts(trial))
            trial.metrics = {
                name: dict(values) if hasattr(values, "items") else list(values)
                for name, values in trial.metrics.items()
            }
        return list(found)


def only_trial(uri: str) -> Any:
    """Return the only trial of a store."""
    (trial,) = trials_in(uri)
    return trial


def new_run(store, experiment, *tags, name=None, start=1000):
    """Make a run in a store of MLflow's, or one for it; return its id."""
    from mlflow.entities import RunTag

    tags = [RunTag(key, value) for key, value in tags]
    return store.create_run(experiment, "me", start, tags, name).info.run_id


def code_of(raised):
    """Return the code of an exception of MLflow's."""
    return raised.value.error_code
