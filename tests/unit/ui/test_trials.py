"""The store, lists of trials, and each by itself, as the page gets them."""

import pytest

import track
from tests.programs import run_python
from tests.unit.ui.conftest import columns_of


def test_the_store_says_what_is_in_it(get):
    found = get("/api/store")
    assert found["name"] == "store"
    assert found["counts"] == {"trials": 3, "archived": 0, "completed": 3}
    assert [project["uid"] for project in found["projects"]] == ["paper"]
    assert [group["name"] for group in found["groups"]] == ["sweep"]
    assert found["problems"] == []
    assert found["writable"] is False


def test_a_trial_has_its_alerts_and_artifacts(store, get):
    """And a list has the value of a metric that was defined."""
    client = track.TrackClient(store)
    found = {one.name: one for one in client.protocol.fetch_trials()}
    trial = client.set_trial(uid=found["baseline"].uid)
    trial.define_metric("loss", "max")
    trial.alert("slow", "very", "error")
    with open("model.pt", "wb") as file:
        file.write(b"weights")
    digest = trial.log_artifact("model.pt", "weights")
    client.set_trial(uid=found["wider"].uid, force=True).use_artifact("weights")
    client.close()
    baseline = get(f"/api/trial/{trial.uid}")
    (alert,) = baseline["alerts"]
    assert (alert["level"], alert["title"], alert["text"]) == ("error", "slow", "very")
    weights = {"name": "weights", "version": "v0", "files": 1, "size": 7, "sha256": digest}
    assert baseline["artifacts"] == [{**weights, "made": True, "used": False}]
    wider = get(f"/api/trial/{found['wider'].uid}")
    assert (wider["alerts"], wider["artifacts"]) == ([], [{**weights, "made": False, "used": True}])
    assert baseline["metrics"]["loss"]["value"] == 1.0
    assert not [name for name in baseline["metadata"] if name.startswith("_")]
    rows = get("/api/trials", where="metrics.loss=1")["rows"]
    assert [row["name"] for row in rows] == ["baseline"]


def test_what_values_are_called_is_told_to_who_asks(get):
    """The store is asked about twice a second, and names are many."""
    found = get("/api/columns")
    assert found["metrics"] == ["loss", "gap"]
    assert [one["name"] for one in found["parameters"]] == ["lr", "optimizer.name"]
    assert found["tags"] == ["kind"]
    assert not {"metrics", "parameters", "tags"} & set(get("/api/store"))


def test_a_row_has_what_a_list_shows(get):
    found = get("/api/trials")
    assert found["total"] == 3
    first = found["rows"][0]
    assert first["name"] == "baseline"
    assert first["status"] == "completed"
    assert first["group"] == "sweep"
    assert first["parameters"] == {"lr": 0.1, "optimizer.name": "adam"}
    assert first["tags"] == {"kind": "test"}
    loss = first["metrics"]["loss"]
    assert loss == {"value": 0.1, "last": 0.1, "min": 0.1, "max": 1.0, "count": 10, "step": 9}
    assert first["metrics"]["gap"]["last"] == "NaN"
    assert 1.6e12 < first["start"] <= first["end"]


def test_the_list_is_what_ls_says(get, reader):
    found = get("/api/trials", where="parameters.lr>0.15", sort="metrics.loss", descending="1")
    assert [row["name"] for row in found["rows"]] == ["wider", "<b>odd</b>"]
    window = get("/api/trials", sort="-parameters.lr", offset=1, limit=1)
    assert (window["total"], [row["name"] for row in window["rows"]]) == (3, ["wider"])


@pytest.mark.parametrize("which", ["uid", "name"])
def test_a_trial_has_everything(get, reader, which):
    trial = reader.trials()[1]
    found = get(f"/api/trial/{getattr(trial, which)}")
    assert found["document"] == {"lr": 0.2, "optimizer": {"name": "adam"}}
    assert found["uid"] == trial.uid
    assert [attempt["status"] for attempt in found["attempts"]] == ["completed"]
    assert "python" in found["attempts"][0]
    assert found["metrics"]["loss"]["count"] == 20


def test_curves_are_columns(page, reader):
    uids = [trial.uid for trial in reader.trials()]
    answer = page.get("/api/series", params={"trial": uids, "metric": ["loss", "gap"]})
    header, columns = columns_of(answer.content)
    assert [one["trial"] for one in header["series"]] == [uid for uid in uids for _ in range(2)]
    steps, times, values = columns[0]
    assert steps == [*range(10)]
    assert values == [1 / (step + 1) for step in range(10)]
    assert all(at > 1.6e12 for at in times)


def test_a_moment_shows_the_store_as_it_stood(get, reader):
    second = reader.trials()[1]
    events = [*reader.history(second)]
    found = get("/api/trials", at=events[0].position)
    assert [row["name"] for row in found["rows"]] == ["baseline", "wider"]
    assert found["rows"][1]["metrics"] == {}
    assert get("/api/store", at=0)["counts"]["trials"] == 0


def test_the_package_does_not_need_what_the_page_needs():
    """Nobody who logs waits for a web server."""
    code = "import sys, track, track.reader; sys.exit('starlette' in sys.modules)"
    run_python(code)
