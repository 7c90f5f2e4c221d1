"""Captured output on the page: the latest lines, and then those that come."""

import pytest
from starlette.testclient import TestClient

from track import TrackClient
from track.reader import Reader
from track.ui.app import make_app
from track.ui.security import Rules
from track.ui.store import Store

AT = 1_700_000_000 * 10**9


@pytest.fixture
def printed(tmp_path):
    """A page, and a function that records lines of its trial."""
    client = TrackClient(f"file:{tmp_path}/s.json")
    trial = client.new_trial(name="t", parameters={})
    app = make_app(Store(Reader(client.protocol)), Rules())
    page = TestClient(app, base_url="http://127.0.0.1")

    def record(*lines, rank=None):
        client.protocol.log_trial_output(trial.trial, [*lines], rank)

    def output(**parameters):
        return page.get("/api/output", params={"trial": "t"} | parameters).json()

    yield record, output
    client.close()


def texts(answer):
    return [line[2] for line in answer["lines"]]


def test_lines_have_their_time_source_and_process(printed):
    """Unfinished ones give way to others of their process; long ones are cut."""
    record, output = printed
    assert output()["lines"] == []
    record([AT, 1, "one\n"], [AT, 2, "10%"])
    record([AT + 5_000_000, 2, "20%"], [AT, 1, 3], rank=0)
    first, second, gap = output()["lines"]
    assert first == [AT * 1e-6, "stdout", "one", True, 0, 0]
    assert second == [AT * 1e-6 + 5, "stderr", "20%", False, 0, 1]
    assert gap[1:] == ["stdout", "", True, 3, 1]
    record([AT, 2, "x" * 5000 + "\n"])
    assert [len(text) for text in texts(output())] == [3, 0, 2000]
    assert [one["rank"] for one in output()["processes"]] == [None, 0]


def test_only_what_is_new_is_sent(printed):
    """And what there was at a moment."""
    record, output = printed
    record([AT, 1, "one\n"])
    first = output()
    assert output(after=first["position"])["lines"] == []
    record([AT, 1, "two\n"])
    assert texts(output(after=first["position"])) == ["two"]
    assert texts(output(at=first["position"])) == ["one"]


def test_of_many_lines_the_latest_are_sent(printed):
    """With the number of those before them."""
    record, output = printed
    record(*([AT, 1, f"{number}\n"] for number in range(2500)))
    answer = output()
    assert (answer["earlier"], len(answer["lines"])) == (500, 2000)
    assert texts(answer)[::1999] == ["500", "2499"]
