"""Media and machines on the page: listed, sent as what they are, and never trusted."""

import math

import numpy as np
import pytest
from starlette.testclient import TestClient

from track import TrackClient
from track.media import Html, Image, Medium, Text
from track.reader import Reader
from track.ui.app import make_app
from track.ui.images import thinned
from track.ui.security import Rules
from track.ui.store import Store

NOISE = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)


@pytest.fixture
def logged(tmp_path):
    """A page, and a trial that logged media and samples of two machines."""
    client = TrackClient(f"file:{tmp_path}/s.json")
    trial = client.new_trial(name="t", parameters={})
    for step in range(3):
        trial.log(
            {"noise": Image(NOISE, caption="c" * 5000), "texts": [Text("a"), Text("b")]}, step
        )
    trial.log_media({"page": Html("<script>1</script>"), "odd": Medium(b"x", "application/x-sh")})
    for load in range(2500):
        values = {"host.load_1m": float(load), "gpu.0.percent": math.nan}
        client.protocol.log_trial_system_metrics(trial.trial, values, rank=1)
    page = TestClient(
        make_app(Store(Reader(client.protocol)), Rules()), base_url="http://127.0.0.1"
    )
    yield page
    client.close()


def media(page, **parameters):
    return page.get("/api/media", params={"trial": "t"} | parameters).json()


def content(page, medium, **parameters):
    where = {"trial": "t", **{key: medium[key] for key in ("position", "name", "place")}}
    return page.get("/api/medium", params=where | parameters)


def test_media_are_listed_without_their_contents(logged):
    """In the order in which they were logged; long captions are cut."""
    found = media(logged)
    assert found["total"] == 3 * 3 + 2
    first = found["media"][0]
    assert (first["name"], first["step"], first["kind"]) == ("noise", 0, "image")
    assert first["facts"] == {"width": 200, "height": 200}
    assert len(first["caption"]) == 2000
    assert "data" not in first
    earlier = media(logged, at=found["media"][4]["position"])
    assert earlier["media"] == found["media"][: len(earlier["media"])]
    assert earlier["total"] == 6


@pytest.mark.parametrize("what", ["media", "system"])
def test_what_is_new_is_asked_for_by_position(logged, what):
    """So that a page that stays open is sent each of them once."""

    def ask(**parameters):
        return logged.get(f"/api/{what}", params={"trial": "t"} | parameters).json()

    found = ask()
    assert ask(after=found["position"])[{"media": "media", "system": "processes"}[what]] == []
    middle = media(logged)["media"][3]["position"]
    behind = ask(after=middle)
    if what == "media":
        assert behind["media"] == found["media"][6:]
    else:
        assert len(behind["processes"][0]["times"]) == 834
    assert ask(after=middle + 1) == behind
    assert logged.get("/api/store").json()["problems"] == []


def test_contents_are_sent_as_what_they_are(logged):
    """From the journal or from the folder beside it, to be shown if a browser may."""
    found = media(logged)["media"]
    answer = content(logged, found[0])
    assert (answer.status_code, answer.content) == (200, Image(NOISE).data)
    assert answer.headers["content-type"] == "image/png"
    assert content(logged, found[2]).text == "b"
    assert logged.get("/api/store").json()["problems"] == []
    assert content(logged, found[2]).headers["content-type"].startswith("text/plain")


def test_no_content_is_trusted(logged):
    """It runs nothing, wherever it is opened, and what is not to be shown is saved."""
    found = {medium["name"]: medium for medium in media(logged)["media"]}
    for medium in found.values():
        answer = content(logged, medium)
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
    odd = content(logged, found["odd"])
    assert odd.headers["content-type"] == "application/octet-stream"
    assert odd.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"position": 1}, 404),
        ({"position": "x"}, 400),
        ({"position": 2**62}, 404),
        ({"name": "nothing"}, 404),
        ({"place": 9}, 404),
        ({"trial": "nobody"}, 404),
        ({"more": 1}, 400),
    ],
)
def test_what_is_not_there_is_told(logged, wrong, status):
    """And nothing else is sent."""
    answer = content(logged, media(logged)["media"][0], **wrong)
    assert answer.status_code == status
    assert answer.json()["error"]


def images(page, **parameters):
    return page.get("/api/images", params={"trial": "t"} | parameters).json()


def test_images_of_trials_are_listed_by_step(logged):
    """Those of one name, without texts; of many steps, some with the same distance."""
    found = images(logged)
    assert (found["names"], found["name"], found["steps"]) == (["noise"], "noise", [0, 1, 2])
    assert [one["step"] for one in found["images"]] == [0, 1, 2]
    assert {one["trial"] for one in found["images"]} == {logged.get("/api/trial/t").json()["uid"]}
    few = images(logged, n=2)
    assert (few["total"], few["steps"]) == (3, [0, 2])
    assert [one["step"] for one in few["images"]] == [0, 2]
    earlier = images(logged, at=found["images"][1]["position"])
    assert earlier["images"] == found["images"][:2]
    assert images(logged, name="nothing")["images"] == []
    assert logged.get("/api/images", params={"trial": "nobody"}).status_code == 404


def test_steps_are_thinned_evenly():
    """With both ends."""
    assert thinned(range(10), 4) == [0, 3, 6, 9]
    assert thinned(range(3), 3) == [0, 1, 2]
    assert thinned("abc", 1) == ["c"]


def test_samples_are_sent_as_columns(logged):
    """Of many, each point is the largest of some; what was not measured is null."""
    (process,) = logged.get("/api/system", params={"trial": "t"}).json()["processes"]
    assert (process["rank"], process["each"]) == (1, 3)
    assert len(process["times"]) == len(process["values"]["host.load_1m"]) == 834
    assert process["values"]["host.load_1m"][:2] == [2.0, 5.0]
    assert process["values"]["host.load_1m"][-1] == 2499.0
    assert set(process["values"]["gpu.0.percent"]) == {None}
