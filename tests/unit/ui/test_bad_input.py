"""Queries that make no sense, odd names, and stores that go away: each has its clear answer."""

import math
import os

import pytest

import track
from tests.unit.ui.conftest import columns_of, fill, page_of
from track.reader import Reader


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("/api/trials?limit=1001", "from 0 to 1000"),
        ("/api/trials?limit=-1", "from 0 to 1000"),
        ("/api/trials?offset=1e3", "is not an integer"),
        ("/api/trials?offset=%F0%9D%9F%99", "is not an integer"),
        ("/api/trials?where=%3C%3C", "invalid condition"),
        ("/api/trials?where=parameters.rl=1", "parameters.lr"),
        ("/api/trials?where=name~(", "regular expression"),
        ("/api/trials?sort=metrics.los", "metrics.loss"),
        ("/api/trials?archived=maybe", "must be 1 or 0"),
        ("/api/trials?at=yesterday", "yesterday"),
        ("/api/trials?filter=x", "unknown parameter 'filter'"),
        ("/api/columns?where=%3C%3C", "invalid condition"),
        ("/api/events?limit=0", "from 1 to 1000"),
        ("/api/events?kind=Nothing", "MetricsLogged"),
        ("/api/live?after=x", "is not an integer"),
        ("/api/origins?trial=baseline", "path is missing"),
        ("/api/origins?path=status", "trial is missing"),
        ("/api/diff?right=baseline", "left is missing"),
        ("/api/file?trial=baseline", "name is missing"),
        ("/api/trials?where=" + "x" * 20_001, "characters"),
        ("/api/trials?" + "&".join(f"where=a{n}" for n in range(51)), "limit of 50"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(page, address, says):
    answer = page.get(address)
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    "address",
    [
        "/api/trial/nothing",
        "/api/trial/%00",
        "/api/events?trial=nothing",
        "/api/origins?trial=nothing&path=status",
        "/api/diff?left=baseline&right=nothing",
        "/api/file?trial=baseline&name=nothing.txt",
        "/api/moments?trial=nothing",
        "/api/nothing",
    ],
)
def test_what_is_not_there_is_not_found(page, address):
    answer = page.get(address)
    assert answer.status_code == 404
    assert answer.json()["error"]


@pytest.mark.parametrize("at", ["0", "1", str(2**62), "1d", "2010-01-01", "2090-01-01"])
def test_a_moment_before_the_first_event_or_in_the_future_is_no_mistake(get, at):
    store = get("/api/store", at=at)
    trials = get("/api/trials", at=at, sort="metrics.loss", where="status=completed")
    assert trials["total"] == store["counts"].get("completed", 0)
    assert store["counts"]["trials"] in (0, 3)


ODD = [
    "<script>alert(1)</script>",
    "\x00\x1b[31m\u202e",
    "👩‍🔬" * 5,
    "x" * 10_000,
    "\ud800",
    'a.b["c"]',
]


def test_odd_names_and_values_come_through_as_they_are():
    client = track.TrackClient("memory:")
    for name in ODD:
        trial = client.new_trial(force=True, name=name, parameters={name: name, "n": math.nan})
        with trial:
            client.add_tags(**{name: math.inf})
            trial.log_metrics(step=0, **{name: 1e308})
            trial.log_metadata(note={name: [b"\xff", 10**5000, None]})
    page = page_of(Reader(client.protocol))
    rows = page.get("/api/trials").json()["rows"]
    assert [row["name"] for row in rows] == [n if len(n) < 2000 else n[:1999] + "…" for n in ODD]
    for name, row in zip(ODD, rows, strict=True):
        whole = page.get(f"/api/trial/{row['uid']}").json()
        assert whole["name"] == name
        assert whole["document"] == {name: name, "n": "NaN"}
        assert whole["tags"] == {name: "Infinity"}
        if name != "\ud800":  # which no browser can put into an address
            answer = page.get("/api/series", params={"trial": row["uid"], "metric": name})
            assert columns_of(answer.content)[1][0][2] == [1e308]
    assert page.get("/api/store").status_code == 200
    assert len(page.get("/api/events?limit=1000").json()["events"]) > len(ODD) * 5
    client.close()


def test_thousands_of_metrics_in_one_trial_are_no_more_than_a_list_has_room_for():
    client = track.TrackClient("memory:")
    trial = client.new_trial(force=True, name="many")
    with trial:
        trial.log_metrics(step=0, **{f"m{n}": float(n) for n in range(3000)})
    page = page_of(Reader(client.protocol))
    (row,) = page.get("/api/trials").json()["rows"]
    assert len(row["metrics"]) == 200
    (row,) = page.get("/api/trials?metric=m2999&metric=m7").json()["rows"]
    assert sorted(row["metrics"]) == ["m2999", "m7"]
    assert len(page.get("/api/trial/many").json()["metrics"]) == 3000
    client.close()


def test_a_damaged_store_says_so_and_shows_what_is_left(told):
    fill(track.TrackClient("file:store.json")).close()
    with open("store.json.journal", "r+b") as file:
        file.seek(os.path.getsize("store.json.journal") // 2)
        file.write(b"\xff" * 40)
    if os.path.exists("store.json.journal.cache"):
        os.remove("store.json.journal.cache")
    with track.open("file:store.json") as reader:
        found = page_of(reader).get("/api/store").json()
    assert any("damaged" in problem for problem in found["problems"])
    assert found["counts"]["trials"] >= 1


@pytest.mark.parametrize(
    "address",
    ["/api/store", "/api/trials?at=5", "/api/events", "/api/moments"],
)
def test_a_store_that_was_closed_is_an_answer_and_no_traceback(reader, address):
    page = page_of(reader)
    assert page.get("/api/store").status_code == 200
    reader.close()
    answer = page.get(address)
    assert answer.status_code == 503
    assert "closed" in answer.json()["error"]
