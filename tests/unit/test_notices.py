"""What people are to notice of a trial: its alerts, and the value that sums up a metric."""

from pathlib import Path

import pytest

import track
from track import TrackClient
from track.aggregators.aggregator import StatAggregator
from track.containers.alerts import ALERTS, MOST_ALERTS
from track.moment import Moment
from track.projections.definitions import DEFINITIONS
from track.reader import Reader
from track.stores.redaction import redact
from track.structure import Trial


@pytest.fixture
def client():
    client = TrackClient("file:s.json")
    yield client
    client.close()


def test_alerts_are_part_of_a_trial(client):
    """With their level and time, as of any moment."""
    trial = client.new_trial(name="t", parameters={})
    trial.alert("slow", level="info")
    client.alert("not finite", "the loss at step 7", level="WARN")
    store = Reader(client.protocol)
    first, second = store.trial("t").alerts
    assert (first.level, first.title, first.text) == ("info", "slow", "")
    assert second[1:] == ("warning", "not finite", "the loss at step 7")
    events = [one for one in store.history("t") if type(one.event).__name__ == "AlertRaised"]
    assert [one.at for one in events] == [first.at, second.at]
    earlier = store.trial("t", at=Moment(position=events[0].position))
    assert earlier.alerts == [first]
    assert [one.name for one in store.trials({"alerts.-1.level": "warning"})] == ["t"]
    assert store.trials({"alerts.-1.level": "error"}) == []
    assert [one.name for one in store.summaries(["alerts.0.title=slow"]).trials] == ["t"]


def test_only_the_latest_alerts_are_kept_with_a_trial(client):
    """A loop that raises one at each step makes nothing else slow; the events have all."""
    trial = client.new_trial(name="t", parameters={})
    for number in range(MOST_ALERTS + 5):
        trial.alert(f"number {number}")
    kept = Reader(client.protocol).trial("t").alerts
    assert [kept[0].title, kept[-1].title] == ["number 5", f"number {MOST_ALERTS + 4}"]


@pytest.mark.parametrize("level", ["severe", None, 3])
def test_a_level_that_is_none_is_refused(client, level):
    """By one error that names the levels; nothing is recorded."""
    trial = client.new_trial(name="t", parameters={})
    with pytest.raises(ValueError, match="use one of info, warning, error"):
        trial.alert("slow", level=level)
    assert Reader(client.protocol).trial("t").alerts == []


def test_what_somebody_wrote_in_the_place_of_alerts_does_no_harm(client):
    """Neither by metadata, nor by the one who makes a trial."""
    client.protocol.new_trial(Trial(_hash="odd", metadata={ALERTS: [3], DEFINITIONS: "x"}))
    odd = client.set_trial(uid="odd_0")
    assert odd.trial.alerts == []
    odd.log_metadata({ALERTS: 7})
    odd.alert("slow")
    odd.define_metric("loss", "min")
    store = Reader(client.protocol)
    assert [alert.title for alert in store.trial("odd_0").alerts] == ["slow"]
    assert not store.objects().failed_events


def test_lists_show_the_value_that_was_defined(client):
    """They sort and filter by it, from the cache, too; the definition may come first or last."""
    for name, goal, values in (("a", "minimize", [3, 1, 2]), ("b", "maximize", [4, 6, 5])):
        trial = client.new_trial(force=True, name=name, parameters={"n": name})
        trial.define_metric("loss", goal=goal)
        for step, value in enumerate(values):
            trial.log_metrics(step=step, loss=float(value), other=float(value))
    trial.define_metric("ot*", summary="min")
    client.close()
    for _ in range(2):  # the first look writes the cache, the second one reads it
        with track.open("file:s.json") as store:
            page = store.summaries(sort="-metrics.loss").trials
            assert [one.metrics for one in page] == [
                {"loss": 6.0, "other": 4.0},
                {"loss": 1.0, "other": 2.0},
            ]
            assert [one.name for one in store.summaries(["metrics.loss<2"]).trials] == ["a"]
            assert [one.curves["loss"].last for one in page] == [5.0, 2.0]
            assert store.trial("a").metrics["loss"].last == 2.0
            with store.overview.glance() as glance:
                assert [one.metrics["loss"] for one in glance.all] == [1.0, 6.0]


def test_a_name_comes_before_a_pattern_and_the_latest_pattern_before_others(client):
    """In whatever order they were defined."""
    trial = client.new_trial(name="t", parameters={})
    trial.define_metric("val/loss", "last")
    trial.define_metric("val/*", "max")
    trial.define_metric("*", "min")
    trial.define_metric("val/*", "max")
    for step, value in enumerate([2.0, 1.0, 3.0, 1.5]):
        trial.log({"val/loss": value, "val/acc": value, "loss": value}, step)
    (found,) = Reader(client.protocol).summaries().trials
    assert found.metrics == {"val/loss": 1.5, "val/acc": 3.0, "loss": 1.0}


def test_values_without_extremes_are_summed_up_by_the_last(client):
    """Texts, lists without numbers; and statistics stay what they are."""
    trial = client.new_trial(name="t", parameters={})
    trial.define_metric("*", "min")
    trial.log_metrics(step=0, word="x")
    trial.log_metrics(plain=2.0)
    trial.log_metrics(plain=3.0)
    trial.log_metrics({"stat": 1.0}, StatAggregator.lazy(0))
    (found,) = Reader(client.protocol).summaries().trials
    assert (found.metrics["word"], found.metrics["plain"]) == ("x", 2.0)
    assert found.metrics["stat"]["avg"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"summary": "median"}, "use one of last, min, max, best"),
        ({"goal": "up"}, "use one of minimize, maximize"),
        ({"summary": "best"}, "needs a goal"),
    ],
)
def test_a_definition_that_is_none_is_refused(client, arguments, why):
    """By one error that tells what there is."""
    trial = client.new_trial(name="t", parameters={})
    with pytest.raises(ValueError, match=why):
        trial.define_metric("loss", **arguments)


def test_nothing_is_left_of_the_alerts_of_an_erased_trial(client):
    """Neither of the names of its metrics."""
    trial = client.new_trial(name="t", parameters={})
    trial.alert("the patient is Jane Doe", "who was born in Oslo")
    trial.define_metric("weight of Jane", "min")
    uid = trial.uid
    client.close()
    redact("file:s.json", uid)
    content = b"".join(path.read_bytes() for path in Path().rglob("*") if path.is_file())
    assert b"Jane" not in content
    assert b"Oslo" not in content
