"""Prometheus reads the last values of running trials."""

import math
import re

import pytest

from tests.unit.ui.conftest import page_of
from track import TrackClient
from track.reader import Reader
from track.ui.security import Rules

SAMPLE = re.compile(r'(\w+)\{((?:\w+="(?:[^"\\\n]|\\[\\"n])*",?)*)\} (\S+)')
"""A line, by the definition of the format."""


@pytest.fixture
def client(tmp_path):
    made = TrackClient(f"file:{tmp_path / 'runs.json'}")
    made.set_project("digits")
    yield made
    made.close()


def samples_of(answer):
    """Return the values of an answer by name and labels."""
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text.endswith("\n")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    found = {}
    for name, labels, value in (SAMPLE.fullmatch(line).groups() for line in lines):
        pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)
        key = (name, *(text for label, text in pairs if label != "uid"))
        found[key] = float(value)
    return found


def test_the_last_values_of_running_trials(client):
    """Those of ended trials are only counted."""
    with client.new_trial(name="over", parameters={}) as trial:
        trial.log_metrics(step=0, loss=1.0)
    with client.new_trial(name="now", parameters={"a": 1}, force=True) as trial:
        for step in range(3):
            trial.log_metrics(step=step, loss=1 / (step + 1))
        trial.log_metrics(step=1, odd=math.inf)
        trial.log_metrics(step=1, missing=math.nan)
        trial.log_metrics(step=1, text="no number")
        found = samples_of(page_of(Reader(client.protocol)).get("/metrics"))
    assert 1.7e9 < found.pop(("track_changed_seconds", "digits", "now")) < 1e11
    assert math.isnan(found.pop(("track_value", "digits", "now", "missing")))
    assert found == {
        ("track_trials", "completed"): 1,
        ("track_trials", "running"): 1,
        ("track_value", "digits", "now", "loss"): 1 / 3,
        ("track_value", "digits", "now", "odd"): math.inf,
        ("track_step", "digits", "now", "loss"): 2,
        ("track_step", "digits", "now", "odd"): 1,
        ("track_step", "digits", "now", "missing"): 1,
        ("track_step", "digits", "now", "text"): 1,
    }


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", 'x"} 1\ny{z="', "ü🙂"])
def test_odd_names_stay_labels(client, name):
    with client.new_trial(name=name, parameters={}) as trial:
        trial.log_metrics(step=0, **{name: 1.0})
        found = samples_of(page_of(Reader(client.protocol)).get("/metrics"))
    (labels,) = (key for key in found if key[0] == "track_value")
    escaped = name.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    assert labels == ("track_value", "digits", escaped, escaped)


def test_an_empty_store_has_no_samples(client):
    assert samples_of(page_of(Reader(client.protocol)).get("/metrics")) == {}


def test_prometheus_may_send_the_token_in_a_header(client):
    """It keeps no cookies."""
    page = page_of(Reader(client.protocol), Rules(token="secret" * 4))
    for header in ("", "Bearer wrong", "secret" * 4, "Basic " + "secret" * 4):
        assert page.get("/metrics", headers={"Authorization": header}).status_code == 403
    answer = page.get("/metrics", headers={"Authorization": "Bearer " + "secret" * 4})
    assert answer.status_code == 200
