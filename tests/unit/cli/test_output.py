"""`track output`: what the processes of a trial printed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from track import TrackClient
from track.cli.app import NOT_FOUND, USAGE

AT = 1_700_000_000 * 10**9
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def captured():
    """A store with a trial that printed something, and another one that did not."""
    client = TrackClient("file:s.json")
    trial = client.new_trial(name="t", parameters={"lr": 0.1})
    lines = [[AT, 1, "one\ttab \x1b[31m\n"], [AT + 1, 1, 7], [AT + 2, 2, " 10%"]]
    client.protocol.log_trial_output(trial.trial, lines)
    client.protocol.log_trial_output(trial.trial, [[AT + 3, 2, "100%\n"], [AT + 4, 2, "wait"]])
    client.new_trial(force=True, name="u", parameters={"lr": 0.2})
    return client


def test_each_line_has_its_time(track, captured):
    """What a terminal would obey is escaped, and progress bars show their last state."""
    result = track("output", "t")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "2023-11-14T22:13:20.000000000Z  one     tab \\x1b[31m",
        "2023-11-14T22:13:20.000000001Z  … 7 lines were left out",
        "2023-11-14T22:13:20.000000003Z  100%",
        "2023-11-14T22:13:20.000000004Z  wait",
    ]


def test_the_lines_alone_the_last_ones_and_as_json(track, captured):
    """Or only what is no standard output."""
    assert track("output", "t", "--text", "-n", 2).out == "100%\nwait\n"
    assert track("output", "t", "--text", "--stderr").out == "100%\nwait\n"
    first, *_, last = map(json.loads, track("output", "t", "--json").out.splitlines())
    assert (first["source"], first["text"], first["pid"]) == (
        "stdout",
        "one\ttab \x1b[31m",
        os.getpid(),
    )
    assert (last["text"], last["is_whole"]) == ("wait", False)


def test_a_trial_without_output_says_how_to_get_some(track, captured):
    """And one that does not exist is not found."""
    result = track("output", "u")
    assert (result.code, result.out) == (0, "")
    assert "TRACK_OUTPUT_CAPTURE" in result.err
    assert track("output", "v").code == NOT_FOUND
    assert track("output", "t", "--follow", "--at", "2h").code == USAGE


def test_new_lines_are_followed(captured):
    """Those that are whole, as they come."""
    command = [sys.executable, "-m", "track", "output", "t", "--follow", "--text"]
    following = subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True
    )
    assert [following.stdout.readline() for _ in range(4)][-1] == "wait\n"
    captured.protocol.log_trial_output(captured.trial, [[AT, 1, "of the other trial\n"]])
    (followed,) = captured.protocol.fetch_trials({"name": "t"})
    captured.protocol.log_trial_output(followed, [[AT, 2, "3%"], [AT, 1, "next\n"]])
    assert following.stdout.readline() == "next\n"
    following.kill()
    following.communicate()
