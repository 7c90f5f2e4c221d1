"""What happened to a trial, and how things stood at some moment."""

import time
from itertools import starmap

import pytest

import track
from track.errors import TrialDoesNotExist
from track.events.codec import Encoder, decode
from track.events.types import (
    MetricsLogged,
    StatusChanged,
    TrialAddedToProject,
    TrialCreated,
)
from track.persistence import make_local
from track.projections.history import as_of, assignments_of, until, without_other_steps
from track.projections.trials import stream_of
from track.structure import Project, Status, Trial


@pytest.fixture(params=["memory:", "file:store.json"])
def store(request):
    """A store with two trials, one of which ran."""
    opened = make_local(request.param)
    opened.new_project(Project(name="p"))
    for digest in "ab":
        opened.new_trial(Trial(_hash=digest, project_id="p"))
    trial = Trial(_hash="a")
    opened.set_trial_status(trial, Status.Running)
    opened.log_trial_metrics(Trial(_hash="b"), loss=9.0)
    time.sleep(0.001)
    opened.log_trial_metrics(trial, loss=1.0)
    opened.add_project_trial(Project(name="p"), trial)
    opened.set_trial_status(trial, Status.Completed)
    yield opened
    opened.close()


def test_a_trial_has_its_own_events_in_order(store):
    """What happened to other trials, or to its project, is not among them."""
    kinds = [type(one.event) for one in store.trial_history(Trial(_hash="a"))]
    assert kinds == [TrialCreated, StatusChanged, MetricsLogged, StatusChanged]
    assert store.trial_history(Trial(_hash="unknown")) == []
    assert TrialAddedToProject in {type(one.event) for one in store.events()}


def test_events_can_be_read_behind_a_position(store):
    """Reading goes on where it stopped."""
    everything = list(store.events())
    assert list(store.events(after=everything[2].position)) == everything[3:]
    positions = [one.position for one in everything]
    assert positions == sorted(set(positions))


def test_a_clock_that_goes_back_in_a_run_takes_nothing_from_it(tmp_path):
    """Wherever somebody looks, what came before in the trial belongs to the moment, too."""
    uri = f"file:{tmp_path}/store.json"
    store, encode = make_local(uri), Encoder().encode
    trial = Trial(_hash="a")
    stream = stream_of(trial.uid)
    nothing = dict.fromkeys(TrialCreated._fields) | {"tags": [], "errors": []}
    dictionaries = {key: {} for key in ("parameters", "metadata", "metrics", "chronos")}
    created = TrialCreated(**nothing | dictionaries | {"hash": "a", "revision": 0})
    logged = [MetricsLogged(step, {"loss": 0.5}, None) for step in range(3)]
    story = [(created, 10), (StatusChanged("Running", 101, None), 5)]
    story += zip(logged, (6, 7, 11), strict=True)
    for sequence, (event, at) in enumerate(story, 1):
        store.journal.append([encode(type(event), [*event], stream, 1, sequence, at * 10**17)])
    store.close()
    with track.open(uri) as reader:
        for at, steps in ((5, None), (6, [0]), (7, [0, 1]), (10, [0, 1]), (11, [0, 1, 2])):
            then = reader.trial(trial.uid, at=at * 10**17)
            assert [*then.metrics.get("loss", {})] == (steps or [])
            assert then.status is Status.Running
            (whole,) = reader.trials(at=at * 10**17)
            assert [*whole.metrics.get("loss", {})] == (steps or [])
            events = [*reader.history(trial.uid, until=at * 10**17)]
            assert len(events) == 2 + len(steps or [])
        with pytest.raises(TrialDoesNotExist, match=r"did not exist yet at 1982-09-04T15:06:40\."):
            reader.trial(trial.uid, at=4 * 10**17)
        for at, said in (("2800w", "2800w ago"), ("2800w ago", "2800w ago"), (1, "at position 1")):
            with pytest.raises(TrialDoesNotExist, match=f"did not exist yet {said}$"):
                reader.trial(trial.uid, at=at)


def test_a_position_is_a_moment(store):
    """Each event of a trial leads to the state right behind it."""
    statuses = [
        store.as_of(position=one.position).trials["a_0"].status
        for one in store.trial_history(Trial(_hash="a"))
    ]
    assert statuses == [Status.CreatedGroup, Status.Running, Status.Running, Status.Completed]
    assert store.as_of(position=0).trials == {}


def test_a_time_is_a_moment(store):
    """What was recorded later has not happened yet."""
    logged = next(
        one for one in store.trial_history(Trial(_hash="a")) if isinstance(one.event, MetricsLogged)
    )
    before, then = (store.as_of(at_ns=at).trials["a_0"] for at in (logged.at - 1, logged.at))
    assert (before.metrics, then.metrics) == ({}, {"loss": [1.0]})
    assert store.as_of(at_ns=0).projects == {}
    assert store.as_of().trials["a_0"].status is Status.Completed


def test_both_limits_apply(store):
    """An event must be within the position and within the time."""
    everything = list(store.journal.read_batches())
    third = everything[0][0][2]
    (found,) = until(everything, position=third)
    assert [*map(list, found)] == [list(everything[0][0][:3]), everything[0][1][:3]]
    assert list(until(everything, position=third, ends={})) == []
    assert as_of(everything, position=third).position == third


def test_looking_back_changes_nothing(store):
    """The past can be asked for again, from the same list of events."""
    everything = list(store.journal.read_batches())
    last, earlier = everything[0][0][-1], everything[0][0][3]
    for position in (last, earlier, last):
        past = as_of(everything, position=position)
        (now,) = store.fetch_trials({"uid": "a_0"})
        assert now.status is Status.Completed
    assert past.trials["a_0"].metadata == now.metadata


@pytest.mark.parametrize(
    "path", ["loss.5", "loss.700", "loss", "a.5", "other.5", "late.1", "loss.x"]
)
def test_who_set_a_metric_is_found_without_reading_all_of_them(path):
    """What is left out sets nothing, whatever else a trial logged in between."""
    store, trial = make_local("memory:"), Trial(_hash="a")
    store.new_trial(trial)
    for step in (*range(900), *range(690, 720), 5):
        store.log_trial_metrics(trial, step=step, loss=step / 2, a=0.5)
    store.log_trial_metrics(trial, step=5, other=1.0)
    for value in range(20):
        store.log_trial_metrics(trial, late=float(value))
    store.log_trial_metrics(trial, step="x", loss=9.0)
    batches = [*store.journal.read_stream(stream_of(trial.uid))]
    keys = path.split(".")
    fewer = [without_other_steps(batch, keys) for batch in batches]
    everything, some = ([*starmap(decode, pairs_of(found))] for found in (batches, fewer))
    assert assignments_of(some, f"metrics.{path}") == assignments_of(everything, f"metrics.{path}")
    assert len(some) <= len(everything)


def pairs_of(batches):
    """Return the positions and payloads of batches."""
    return [pair for batch in batches for pair in zip(*batch, strict=True)]
