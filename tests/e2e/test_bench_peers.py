"""The comparison with other trackers runs, and finds in Track what it logged."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def bench_peers(*arguments):
    command = [sys.executable, ROOT / "tools" / "bench_peers.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_track_is_measured_and_loses_nothing(tmp_path):
    """Every measurement of Track comes out, in a table and in JSON."""
    results = tmp_path / "results.json"
    printed = bench_peers("--quick", "--only", "track", "--json", results)
    (track,) = json.loads(results.read_text())["peers"]
    assert track["log"]["read_steps"] == track["log"]["count"]
    assert track["sharing"]["many"]["found"] == track["sharing"]["many"]["wanted"]
    for kill in track["killed"] + track["killed_slow"]:
        assert kill["acknowledged"] > 0
        assert kill["lost"] == 0
    assert "What failed" not in printed
    assert bench_peers("--from", results) == printed


def test_no_tracker_finds_the_repository_of_the_project(tmp_path):
    """Each is in one of its own: DVCLive, for example, writes to the root of what it finds."""
    program = "import sys; from pathlib import Path; import bench_peers as bench\n"
    program += "folder = Path(sys.argv[1]); bench.make_repository(folder)\n"
    program += "print(bench.new_folder(folder))"
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / "inside").mkdir()
    store = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "inside"],
        cwd=ROOT / "tools",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    command = ["git", "-C", store, "rev-parse", "--show-toplevel", "HEAD"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said[0] == str(tmp_path / "inside")
    assert len(said) == len(["top level", "commit"])


def test_a_tracker_that_cannot_be_used_is_named_with_the_reason(tmp_path):
    """Whoever misses a tracker in the tables reads why it is not there."""
    results = tmp_path / "results.json"
    measured = {
        "date": "2026-01-01",
        "machine": "2 cores",
        "python": "3.11",
        "quick": False,
        "peers": [
            {"name": "aim", "not_installed": "no wheel for this Python"},
            {"name": "wandb", "log": {"impossible": "it ended with 1"}},
        ],
    }
    results.write_text(json.dumps(measured))
    printed = bench_peers("--from", results)
    assert "* Aim could not be installed: no wheel for this Python" in printed
    assert "* W&B, log: it ended with 1" in printed
