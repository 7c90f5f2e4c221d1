"""Events say which trial they are of."""

import json
import subprocess
import sys

from track import TrackClient
from track import open as open_store


def test_events_say_whose_they_are(track, store):
    """A trial by its uid and name, and what else there is by its kind and name."""
    with open_store(store) as reader:
        uid = reader.find_uid("wider")
    lines = track("log").out.splitlines()
    assert "project paper" in lines[0]
    assert "group sweep" in lines[1]
    assert any(f"  {uid[:8]}_0 wider " in line and "MetricsLogged" in line for line in lines)
    assert f"{uid[:8]}_0 wider" in track("tail", "-n", "1").out
    assert len({line.index("Metrics") for line in lines if "MetricsLogged" in line}) == 1


def test_uids_and_hashes_in_events_are_whole(track, store):
    """They are of use for finding something only then."""
    with open_store(store) as reader:
        digest, _, _ = reader.find_uid("wider").rpartition("_")
        (group,) = reader.groups()
    out = track("log").out
    assert f"hash={digest} " in out
    assert f"uid={group.uid} " in out


def test_events_of_trials_without_a_name_are_told_apart(track):
    """By their uids."""
    client = TrackClient("file:unnamed.json")
    uids = [client.new_trial(force=True, parameters={"n": n}).trial.uid for n in range(2)]
    client.close()
    lines = [line for line in track("log").out.splitlines() if "TrialCreated" in line]
    assert [uid[:8] in line for uid, line in zip(uids, lines, strict=True)] == [True, True]


def test_events_in_json_have_the_uid(track, store):
    """None, where an event is of no trial."""
    with open_store(store) as reader:
        uid = reader.find_uid("wider")
    events = [json.loads(line) for line in track("log", "--json").out.splitlines()]
    assert events[0]["trial"] is None
    assert events[-1]["trial"] == uid
    assert {event["trial"] for event in events if event["type"] == "MetricsLogged"} > {uid}


def test_the_last_events_of_a_trial_are_printed(track, store):
    """As log does it."""
    assert track("tail", "baseline", "-n", "3") == track("log", "baseline", "-n", "3")
    assert track("tail", "baseline", "-n", "1").out.count("baseline") == 1
    assert track("tail", "basline").code == 3


def test_events_that_come_say_whose_they_are(store):
    """Also those of trials that were made since."""
    command = [sys.executable, "-m", "track", "tail", "-f", "-n", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert "wider" in process.stdout.readline()
        client = TrackClient(store)
        trial = client.new_trial(name="new", parameters={})
        trial.log_metrics(step=0, loss=1.0)
        label = f"{trial.trial.uid[:8]}_0 new"
        assert "project orphan" in process.stdout.readline()
        came = process.stdout.readline(), process.stdout.readline()
        client.close()
        process.terminate()
    assert all(label in line for line in came), came
