"""A store with a few trials, and the application that shows it."""

import json
import math
import sys
from array import array

import pytest
from starlette.testclient import TestClient

import track
from track.reader import Reader
from track.ui.app import make_app
from track.ui.security import Rules
from track.ui.store import Store


def fill(client):
    """Log three trials in two groups, odd values among what they log."""
    client.set_project(name="paper")
    client.set_group(name="sweep")
    for number, name in enumerate(("baseline", "wider", "<b>odd</b>")):
        parameters = {"lr": 0.1 * (number + 1), "optimizer": {"name": "adam"}}
        trial = client.new_trial(force=True, name=name, parameters=parameters)
        with trial:
            client.add_tags(kind="test")
            for step in range(10 * (number + 1)):
                trial.log_metrics(step=step, loss=1 / (step + 1 + number))
            trial.log_metrics(gap=math.nan)
    return client


@pytest.fixture
def store():
    """A store in the working folder."""
    fill(track.TrackClient("file:store.json")).close()
    return "file:store.json"


@pytest.fixture
def reader(store):
    with track.open(store) as opened:
        yield opened


def page_of(reader: Reader, rules: Rules = Rules(), *, write: bool = False) -> TestClient:  # noqa: B008 - a tuple
    """Return what asks the application that shows a store."""
    app = make_app(Store(reader, is_writable=write), rules)
    return TestClient(app, base_url="http://127.0.0.1")


@pytest.fixture
def page(reader):
    return page_of(reader)


@pytest.fixture
def get(page):
    """Return the JSON of an address that is answered."""

    def get_json(address, **parameters):
        answer = page.get(address, params=parameters)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.content, parse_constant=pytest.fail)

    return get_json


def columns_of(content: bytes):
    """Return the header of an answer with series, and steps, times and values of each."""
    length = int.from_bytes(content[:4], "little")
    assert (length + 4) % 8 == 0
    header = json.loads(content[4 : 4 + length])
    column = array("d")
    column.frombytes(content[4 + length :])
    if sys.byteorder == "big":
        column.byteswap()
    found, start = [], 0
    for series in header["series"]:
        parts = []
        for name in ("steps", "times", "values"):
            count = series["columns"][name]
            parts.append([*column[start : start + count]])
            start += count
        found.append(parts)
    assert start == len(column)
    return header, found
