"""Times are printed in one zone, which is marked, and what is printed can be given back."""

import json
import re
import time

import numpy as np
import pandas as pd
import pytest

from track import open as open_store

TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z(?!\S)")


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/New_York"], autouse=True)
def _zone(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def positions(text):
    return [json.loads(line)["position"] for line in text.splitlines()]


def test_times_of_events_can_be_given_back(track, store):
    """As the first and as the last moment: the event of which it is the time is in both."""
    lines = track("log").out.splitlines()
    assert all(len(TIME.findall(line)) == 1 for line in lines)
    for line in (lines[0], lines[7], lines[-1]):
        position, (at,) = int(line.split()[0]), TIME.findall(line)
        assert positions(track("log", "--since", at, "--json").out)[0] == position
        assert positions(track("log", "--until", at, "--json").out)[-1] == position
        assert track("report", "--at", at).out == track("report", "--at", str(position)).out


@pytest.mark.parametrize("words", [["show", "baseline"], ["blame", "baseline", "metrics.loss.3"]])
def test_other_times_can_be_given_back(track, store, words):
    """Those of attempts, and of who set a value."""
    (at,) = TIME.findall(track(*words).out)
    assert track("show", "baseline", "--at", at).code == 0
    since = track("log", "baseline", "--since", at, "--json").out.splitlines()
    assert [at] == TIME.findall(json.loads(since[0])["at"])


def test_how_long_ago_something_was_can_be_given_back(track, store):
    """As lists say it, however short it is."""
    for ago in ("3ms ago", "1.5s ago", "2w ago"):
        assert track("report", "--at", ago).code == 0
    (first, *_) = [json.loads(line) for line in track("ls", "--json").out.splitlines()]
    assert track("show", "baseline", "--at", str(first["changed"])).code == 0
    printed = re.search(r"[0-9.]+m?s ago", track("ls", "--columns", "changed").out)
    assert printed is None or track("report", "--at", printed[0]).code == 0


def test_times_of_python_can_be_given_back(store):
    """Whatever kind of number or time they are, to the last nanosecond."""
    with open_store(store) as reader:
        event = list(reader.history("baseline"))[6]
        stamp = pd.Timestamp(event.at, tz="UTC")
        for at in (event.at, str(event.at), np.int64(event.at), stamp, str(stamp)):
            assert list(reader.history("baseline", until=at))[-1] == event
        for at in (stamp.to_datetime64(), stamp.tz_convert("Asia/Tokyo").isoformat()):
            assert list(reader.history("baseline", until=at))[-1] == event
        # A float has too few digits for a nanosecond.
        assert event in reader.history("baseline", until=event.at / 1e9 + 1e-6)
        changed = reader.trial("baseline").metadata["_last_change"]
        assert list(reader.history("baseline", until=changed + 1e-6))
