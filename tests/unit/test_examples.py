"""The example runs as the documentation says, as a program of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_digits(*arguments):
    command = [sys.executable, ROOT / "examples" / "digits.py", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def printed_report(output):
    """Return the report: the last JSON object that starts a line."""
    return json.loads(output[output.rindex("\n{\n") :])


def test_digits_twice_makes_two_revisions(tmp_path):
    pytest.importorskip("sklearn")
    for revision in range(2):
        report = printed_report(run_digits("--epochs", "1").stdout)
        assert report["revision"] == revision
        assert report["status"]["name"] == "Completed"
        assert 0.5 < report["metrics"]["test_accuracy"][0] <= 1
        assert report["chronos"]["batch"]["unit"] == "s"

    (project,) = json.loads((tmp_path / "digits.json").read_text())
    assert sorted(trial["revision"] for trial in project["trials"]) == [0, 1]
    first, second = project["trials"]
    assert first["hash"] == second["hash"]
    assert first["metrics"] == second["metrics"], "the same seed trains the same classifier"
