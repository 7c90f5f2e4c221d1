"""What other trackers write today is imported."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.imported import NOTHING, added, imported
from track.persistence import get_protocol

TOOL = Path(__file__).parents[2] / "tools" / "make_import_samples.py"
LOSS = {step: 1 / (step + 1) for step in range(3)}


@pytest.mark.parametrize("name", ["wandb", "trackio", "sacred", "dvclive"])
def test_what_a_tracker_writes_is_imported(name, tmp_path, monkeypatch):
    """All that was logged is there, and once."""
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, str(TOOL), "samples", name], check=True, timeout=300)
    store = get_protocol("file:store.json")
    done, trials = imported(tmp_path / "samples" / name, store)
    assert done.problems == []
    for trial in trials.values():
        assert trial.metrics["loss"].items() >= LOSS.items()
        assert trial.parameters["lr"] == 0.1
    assert added(imported(tmp_path / "samples" / name, store)[0]) == NOTHING
