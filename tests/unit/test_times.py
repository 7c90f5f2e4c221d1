"""Tables say when: when trials started and ended, and when each value was logged."""

import csv
import io
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import track
from track import TrackClient
from track.aggregators.aggregator import RingAggregator, StatAggregator
from track.cli.app import run
from track.events.types import MetricsLogged, TrialFinished, TrialStarted
from track.projections.trials import stream_of
from track.reader import Reader
from track.structure import Trial

UTC = "datetime64[ns, UTC]"


def log(uri, trials=1):
    """Log trials with metrics of every kind."""
    client = TrackClient(uri)
    for number in range(trials):
        with client.new_trial(name=f"t{number}", parameters={"n": number}, force=True) as trial:
            for step in range(40):  # enough to be read as columns
                trial.log_metrics(step=step, loss=1.0 / (step + 1))
            trial.log_metrics(step=7, loss=0.0)  # again
            trial.log_metrics(step="end", loss="text")
            for value in (1, 2, 3):
                trial.log_metrics(listed=value, mixed=value, halves=value / 2)
            trial.log_metrics(step=9, mixed=4, halves=0.5)
            for value in range(5):
                trial.log_metrics(aggregator=RingAggregator.lazy(2), ring=value)
                trial.log_metrics(aggregator=StatAggregator.lazy(0), stat=value)
            trial.add_tags(kind="x")
            trial.log_metadata(note={"a": 1})
    client.close()


def logged(store, name):
    """Return the times of the events that logged something, by its name and step."""
    found = {}
    for recorded in store.history(name):
        if isinstance(recorded.event, MetricsLogged):
            for metric in recorded.event._asdict()["values"]:
                found.setdefault((metric, recorded.event.step), []).append(recorded.at)
    return found


@pytest.mark.parametrize("trials", [1, 20])
@pytest.mark.parametrize("uri", ["file:s.json", "lmdb:s.lmdb"])
def test_each_value_has_the_time_of_its_event(uri, trials):
    """With a step or without, logged again, among many or few, aggregated or not."""
    log(uri, trials)
    with track.open(uri) as store:
        frame = store.to_pandas(metrics=True)
        assert frame["time"].dtype == UTC
        assert frame["time"].notna().all()
        known = logged(store, "t0")
        mine = frame[frame["trial"] == store.trial("t0").uid]
        times = {
            (row.metric, row.step, row.place): row.time.value
            for row in mine.rename(columns={"index": "place"}).itertuples()
        }
    by_step = {step: at for (name, step, _), at in times.items() if name == "loss"}
    assert by_step == {step: ats[-1] for (name, step), ats in known.items() if name == "loss"}
    by_place = [at for (name, *_), at in times.items() if name == "listed"]
    assert by_place == known["listed", None]
    for metric in ("mixed", "halves"):
        found = [at for (name, *_), at in times.items() if name == metric]
        assert found == [*known[metric, None], *known[metric, 9]]
    ring = [at for (name, *_), at in times.items() if name == "ring"]
    assert ring == known["ring", None][-2:]
    stat = {at for (name, *_), at in times.items() if name == "stat"}
    assert stat == {known["stat", None][-1]}


def test_trials_have_a_start_and_an_end():
    """The first start, and the last end unless one runs again; tags and metadata, too."""
    log("file:s.json", 2)
    client = TrackClient("file:s.json")
    with track.open("file:s.json") as store:
        events = list(store.history("t0"))
        uid = store.trial("t1").uid
    again = client.set_trial(uid=uid).start()
    client.new_trial(name="never started", parameters={}, force=True)
    with track.open("file:s.json") as store:
        frame = store.to_pandas().set_index("name")
        assert (frame["start"].dtype, frame["end"].dtype) == (UTC, UTC)
        starts = [event.at for event in events if isinstance(event.event, TrialStarted)]
        ends = [event.at for event in events if isinstance(event.event, TrialFinished)]
        assert (frame.start["t0"].value, frame.end["t0"].value) == (starts[0], ends[-1])
        assert frame.start["t1"] > frame.end["t0"]
        assert pd.isna(frame.end["t1"])
        assert pd.isna(frame.start["never started"])
        assert list(frame.columns[:8]) == [
            *("uid", "revision", "project", "group", "status", "start", "end", "runtime")
        ]
        assert frame["tags.kind"]["t0"] == "x"
        assert frame["metadata.note"]["t0"] == {"a": 1}
        assert not [name for name in frame.columns if "_last_change" in name]
        # What is printed is a moment.
        assert store.trial("t0", at=frame.start["t0"]).metrics == {}
        assert store.trial("t0", at=frame.end["t0"]).metrics["listed"] == [1, 2, 3]
    again.finish()
    client.close()


def test_exports_have_the_same_times():
    """In files of every format that has a place for them."""
    log("file:s.json")
    for form, path in [
        ("csv", "m.csv"),
        ("trials-csv", "t.csv"),
        ("parquet", "tables"),
        ("tensorboard", "runs"),
    ]:
        assert run(["export", "-f", form, "-o", path]) == 0
    with track.open("file:s.json") as store:
        frame, trials = store.to_pandas(metrics=True), store.to_pandas()
        arrow = store.to_arrow(metrics=True)
    rows = list(csv.DictReader(io.StringIO(Path("m.csv").read_text())))
    assert [pd.Timestamp(row["time"]) for row in rows] == list(frame["time"])
    (row,) = csv.DictReader(io.StringIO(Path("t.csv").read_text()))
    assert [pd.Timestamp(row[name]) for name in ("start", "end")] == [
        trials[name][0] for name in ("start", "end")
    ]
    for table in (arrow, pq.read_table("tables/metrics.parquet")):
        assert list(table["time"].to_pandas()) == list(frame["time"])
    assert pq.read_table("tables/trials.parquet")["start"].to_pandas()[0] == trials["start"][0]
    assert run(["import", "runs", "-s", "file:again.json"]) == 0
    with track.open("file:again.json") as store:
        again = store.to_pandas(metrics=True)["time"]
    numbers = frame[[isinstance(value, (int, float)) for value in frame["value"]]]["time"]
    for found, expected in ((again.min(), numbers.min()), (again.max(), numbers.max())):
        assert found.timestamp() == pytest.approx(expected.timestamp(), abs=1e-3)


def test_what_was_there_at_the_start_has_the_time_of_the_creation():
    """A trial that is made with metrics logged them then."""
    client = TrackClient("file:s.json")
    client.set_project(name="p")
    client.protocol.new_trial(
        Trial(_hash="made", project_id="p", metrics={"a": [1, 2], "b": {0: 1.0}, "c": 3})
    )
    client.close()
    with track.open("file:s.json") as store:
        (created,) = store.history("made_0")
        frame = store.to_pandas(metrics=True)
        assert {stamp.value for stamp in frame["time"]} == {created.at}


def test_an_empty_store_has_tables():
    """With the same columns and types."""
    TrackClient("file:s.json").close()
    with track.open("file:s.json") as store:
        assert store.to_pandas(metrics=True)["time"].dtype == UTC
        assert store.to_pandas()["start"].dtype == UTC
        assert store.to_arrow().num_rows == store.to_arrow(metrics=True).num_rows == 0


@pytest.mark.parametrize("uri", ["file:s.json", "lmdb:s.lmdb", "memory:"])
def test_values_that_say_when_they_were_measured_have_that_time(uri):
    """The event keeps the time of the call; what is no time counts as none."""
    client = TrackClient(uri)
    trial = client.new_trial(name="t", parameters={}).trial
    stream, record = stream_of(trial.uid), client.protocol.producer.record
    for step, at in enumerate([5_000_000, None, -1, "noon", 7]):
        record(stream, MetricsLogged(step, {"loss": 0.5}, None, at))
    record(stream, MetricsLogged(None, {"listed": 0.5}, None, 9))
    reader = Reader(client.protocol)
    events = [one for one in reader.history(trial) if isinstance(one.event, MetricsLogged)]
    called = [one.at for one in events]
    expected = [5_000_000, called[1], called[2], called[3], 7]
    assert [*reader.trial("t").metrics["loss"].times] == expected
    times = reader.times([reader.trial("t")])[trial.uid].metrics
    assert [*times["loss"].values()] == expected
    assert times["listed"] == [9]
    assert min(called) > 10**18
    client.close()
