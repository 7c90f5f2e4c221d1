"""The verb watch: a command is run when a rule becomes true, or an alert is raised."""

import json
import subprocess
import sys
import time

import pytest

from track import TrackClient
from track.cli.app import FAILURE, USAGE

TRACK = [sys.executable, "-m", "track"]
SEEN = 'echo "$TRACK_TRIAL_NAME $TRACK_PROJECT $TRACK_VALUES" >> seen.txt'
PATIENCE_S = 120


def watch(*arguments):
    return subprocess.Popen(
        [*TRACK, "watch", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_what_is_so_already_counts_if_it_is_asked_for(store, track):
    """With the values in the environment of the command; once."""
    done = track("watch", "--existing", "--once", "--when", "metrics.loss<0.03", "--run", SEEN)
    assert (done.code, done.err) == (0, "")
    assert "baseline" in done.out
    with open("seen.txt") as file:
        name, project, values = file.read().split(maxsplit=2)
    assert (name, project, json.loads(values)) == ("baseline", "paper", {"metrics.loss": 0.02})


def test_a_rule_counts_when_it_becomes_true(store):
    """Not for a trial for which it is true already, and once for each other one."""
    process = watch("--when", "metrics.loss<0.03", "--when", "name!=other", "--json")
    assert "1 trial meets the rule already" in process.stderr.readline()
    client = TrackClient(store)
    wider = next(one for one in client.protocol.fetch_trials() if one.name == "wider")
    logger = client.set_trial(uid=wider.uid)
    logger.log_metrics(step=5, loss=0.01)
    told = json.loads(process.stdout.readline())
    assert (told["trial"], told["values"]["metrics.loss"]) == (wider.uid, 0.01)
    logger.log_metrics(step=6, loss=1.0)
    logger.log_metrics(step=7, loss=0.02)
    client.new_trial(force=True, name="third", parameters={}).log_metrics(step=0, loss=0.0)
    assert json.loads(process.stdout.readline())["name"] == "third"
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    client.close()


def test_a_metric_may_come_later(store):
    """It is told that there is none by now."""
    process = watch("--when", "metrics.accuracy>0.9", "--once")
    assert "no trial meets the rule yet" in process.stderr.readline()
    client = TrackClient(store)
    client.new_trial(force=True, name="third", parameters={}).log_metrics(step=0, accuracy=0.95)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (0, "")
    assert "third" in out
    client.close()


def test_an_alert_runs_a_command(store):
    """If it is of the level or a worse one; whatever its text is, it harms nothing."""
    run = 'test "$TRACK_ALERT_LEVEL" = error && echo "$TRACK_ALERT_TITLE"'
    process = watch("--alert", "error", "--once", "--run", run)
    client = TrackClient(store)
    trial = client.new_trial(force=True, name="third", parameters={})
    while process.poll() is None:  # it begins to watch at some time
        trial.alert("mere warning")
        trial.alert("$(touch harm)\0\ud800", "text", "error")
        time.sleep(0.1)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert "$(touch harm)\\x00\\ud800" in out.splitlines()[-1]
    assert "mere" not in out
    client.close()


def test_a_command_that_fails_is_told(store, track):
    """By the exit code, too."""
    done = track("watch", "--existing", "--once", "--when", "name=wider", "--run", "exit 3")
    assert done.code == FAILURE
    assert "the command ended with code 3" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        *([], ["--when", "name=x", "--alert", "info"], ["--when", "<1"], ["--alert", "loud"]),
        ["--when", "bogus"],
    ],
)
def test_what_to_watch_for_must_be_said(store, track, arguments):
    """One of the two, and a rule that can be read."""
    done = track("watch", *arguments)
    assert done.code == USAGE
    assert done.err


def test_alerts_and_sums_are_shown_with_a_trial(store, track):
    """The alerts with their time, the sum beside the last value."""
    client = TrackClient(store)
    wider = next(one for one in client.protocol.fetch_trials() if one.name == "wider")
    logger = client.set_trial(uid=wider.uid)
    logger.alert("loss is high", "\x1b[31mover 0.1")
    logger.define_metric("loss", summary="max")
    client.close()
    shown = track("show", "wider").out
    assert "warning  loss is high: \\x1b[31mover 0.1" in shown
    assert "0.04  (max 0.2)" in shown
    assert "_alerts" not in shown
    assert "AlertRaised" in track("log", "wider", "--type", "AlertRaised").out
    listed = track("ls", "--columns", "name,metrics.loss", "--json").out.splitlines()
    assert [json.loads(line)["metrics.loss"] for line in listed] == [0.02, 0.2]
