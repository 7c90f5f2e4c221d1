"""`track system`: what was measured of the machines of a trial."""

import json

import pytest

from track import TrackClient
from track.cli.app import NOT_FOUND


@pytest.fixture
def sampled():
    """A store with a trial that two processes sampled, and another one that none did."""
    client = TrackClient("file:s.json")
    trial = client.new_trial(name="t", parameters={"lr": 0.1})
    for load in (0.5, 1.5):
        values = {"host.load_1m": load, "process.memory_bytes": 2.5e9 * load}
        client.protocol.log_trial_system_metrics(trial.trial, values, rank=0)
    client.protocol.log_trial_system_metrics(trial.trial, {"gpu.0.percent": 97.0}, rank=1)
    client.new_trial(force=True, name="u", parameters={"lr": 0.2})
    client.close()


def test_each_process_has_a_table(track, sampled):
    """With the curve, the mean, the most and the last of each measurement."""
    result = track("system", "t")
    assert (result.code, result.err) == (0, "")
    lines = [line.split("  ") for line in result.out.splitlines()]
    said = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert "rank 0: 2 samples" in said[0][0]
    assert said[1] == ["metric", "over time", "mean", "max", "last"]
    assert said[2] == ["host.load_1m", "▁█", "1", "1.5", "1.5"]
    assert said[3] == ["process.memory_bytes", "▁█", "2.5 GB", "3.75 GB", "3.75 GB"]
    assert "rank 1: 1 sample," in said[4][0]
    assert said[6] == ["gpu.0.percent", "▅", "97 %", "97 %", "97 %"]


def test_the_samples_as_json(track, sampled):
    """One process a line."""
    first, second = map(json.loads, track("system", "t", "--json").out.splitlines())
    assert (first["rank"], second["rank"]) == (0, 1)
    assert first["values"]["host.load_1m"] == [0.5, 1.5]
    assert len(first["times"]) == 2


def test_a_trial_without_samples_says_how_to_get_some(track, sampled):
    """And one that does not exist is not found."""
    result = track("system", "u")
    assert result.code == 0
    assert "TRACK_SYSTEM_INTERVAL" in result.out
    assert track("system", "v").code == NOT_FOUND


def test_samples_are_told_with_their_trial(track, sampled):
    """Among the events of the store."""
    lines = track("tail").out.splitlines()
    assert [line.split()[3] for line in lines if "SystemSampled" in line] == ["t"] * 3
