"""The page shows the same of every backend, now and at each moment."""

import json

from starlette.testclient import TestClient

from track import TrackClient
from track.ui.app import make_app
from track.ui.security import Rules
from track.ui.store import Store


def fill(reader):
    client = TrackClient(reader.protocol)
    client.set_project(name="paper")
    for name, lr in (("one", 0.1), ("two", 0.2), ("three", 0.3)):
        with client.new_trial(force=True, name=name, parameters={"lr": lr}) as trial:
            for step in range(12):
                trial.log_metrics(step=step, loss=lr / (step + 1))
    reader.protocol.archive_trial(trial.trial)
    reader.protocol.commit()


def test_lists_trials_events_and_curves_are_those_of_the_reader(reader):
    fill(reader)
    page = TestClient(make_app(Store(reader), Rules()), base_url="http://127.0.0.1")

    def get(address, **parameters):
        answer = page.get(address, params=parameters)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.content)

    expected = reader.summaries(sort="-parameters.lr")
    found = get("/api/trials", sort="parameters.lr", descending="1")
    assert found["position"] == expected.position
    assert [row["uid"] for row in found["rows"]] == [one.uid for one in expected.trials]
    assert get("/api/store")["counts"] == {"trials": 2, "archived": 1, "completed": 2}
    events = [*reader.events()]
    assert [one["position"] for one in get("/api/events", limit=1000)["events"]] == [
        event.position for event in events
    ]
    assert get("/api/trial/two")["metrics"]["loss"]["count"] == 12
    answer = page.get("/api/series", params={"trial": "two", "metric": "loss"})
    assert answer.status_code == 200


def test_each_moment_is_that_of_a_replay(reader):
    fill(reader)
    page = TestClient(make_app(Store(reader), Rules()), base_url="http://127.0.0.1")
    positions = [event.position for event in reader.events()]
    for at in [*positions[::7], *positions[::-5]]:
        expected = reader.summaries(at=at)
        found = page.get("/api/trials", params={"at": at}).json()
        assert found["position"] == expected.position
        assert [
            (row["uid"], row["status"], row["parameters"], row["metrics"].get("loss"))
            for row in found["rows"]
        ] == [
            (one.uid, one.status, one.parameters, _curve(one.curves.get("loss")))
            for one in expected.trials
        ]


def _curve(curve):
    if curve is None:
        return None
    names = {"value": curve.last, "last": curve.last}
    names |= {"min": curve.minimum, "max": curve.maximum}
    return {**names, "count": curve.length, "step": curve.step}
