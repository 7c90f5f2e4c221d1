"""A store with two trials, and the command line."""

import math
from typing import NamedTuple

import pytest

from track import TrackClient
from track.cli.app import run


class Result(NamedTuple):
    """What a command line did: its exit code, and what it wrote where."""

    code: int
    out: str
    err: str


@pytest.fixture
def track(capsys):
    """Run a command line in this process."""

    def run_here(*arguments):
        capsys.readouterr()
        code = run([*map(str, arguments)])
        return Result(code, *capsys.readouterr())

    return run_here


def fill(uri):
    """Log two trials, odd values among what they log."""
    client = TrackClient(uri)
    client.set_project(name="paper")
    client.set_group(name="sweep")
    for name, lr in (("baseline", 0.1), ("wider", 0.2)):
        trial = client.new_trial(force=True, name=name, parameters={"lr": lr, "odd": "\x1b[31m"})
        with trial:
            for step in range(5):
                trial.log_metrics(step=step, loss=lr / (step + 1))
            trial.log_metrics(gaps=math.nan)
            trial.log_metadata(raw=b"\xff", half="\ud800", huge=10**400)
    client.close()


@pytest.fixture
def store():
    """A store in the working folder, the only one there."""
    fill("file:store.json")
    return "file:store.json"
