"""Objects and their dictionaries."""

import json
from collections import OrderedDict
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest

from track.aggregators.aggregator import RingAggregator, StatAggregator
from track.chrono import ChronoContext
from track.serialization import (
    SerializerAspect,
    SerializerDatetime,
    SerializerStatus,
    SerializerTrial,
    SerializerTrialGroup,
    SerializerUUID,
    from_json,
    to_json,
)
from track.structure import CustomStatus, Project, Status, Trial, TrialGroup
from track.utils.stat import StatStream


def make_trial():
    stream = StatStream(0)
    for value in (1.0, 2.0, 4.0):
        stream.update(value)
    return Trial(
        _hash="h",
        revision=3,
        name="n",
        description="d",
        tags={"t": 1},
        version="v",
        group_id="g",
        project_id="p",
        parameters={"opt.lr": 0.1, "opt.name": "sgd", "depth": 2},
        metadata={"gpu": "V100", "heartbeat": 1, "_update_count": 2, "_last_change": 3.0},
        metrics={"loss": {0: 1.0, 1: 0.5}, "acc": [0.9]},
        chronos={"runtime": 1.5, "batch": stream},
        status=CustomStatus("new", 1),
        errors=["<class 'ValueError'>"],
    )


def test_the_full_form_of_a_trial():
    """Everything is there, with the state of its statistics."""
    full = to_json(make_trial())
    chronos = full.pop("chronos")
    assert full == {
        "dtype": "trial",
        "uid": "h_3",
        "hash": "h",
        "revision": 3,
        "name": "n",
        "description": "d",
        "version": "v",
        "tags": {"t": 1},
        "group_id": "g",
        "project_id": "p",
        "parameters": {"opt": {"lr": 0.1, "name": "sgd"}, "depth": 2},
        "metadata": {"gpu": "V100", "heartbeat": 1, "_update_count": 2, "_last_change": 3.0},
        "metrics": {"loss": {"0": 1.0, "1": 0.5}, "acc": [0.9]},
        "errors": ["<class 'ValueError'>"],
        "status": {"name": "new", "value": 1},
    }
    assert chronos["runtime"] == 1.5
    assert chronos["batch"].keys() == {
        *("dtype", "sum", "sum_sqr", "first_obs", "min", "max"),
        *("current_count", "current_obs", "drop_obs"),
    }
    assert chronos["batch"]["dtype"] == "statstream"
    assert json.loads(json.dumps({**full, "chronos": chronos})) == {**full, "chronos": chronos}


def test_the_short_form_of_a_trial_has_the_order_of_the_documentation():
    """What only machines need is left out, and people read the rest in a fixed order."""
    short = to_json(make_trial(), short=True)
    assert list(short) == [
        *("revision", "name", "description", "version", "tags", "parameters", "metadata"),
        *("metrics", "chronos", "errors", "status"),
    ]
    assert short["metadata"] == {"gpu": "V100"}
    batch = short["chronos"]["batch"]
    assert list(batch) == ["avg", "min", "max", "sd", "count", "unit"]
    assert (batch["min"], batch["max"], batch["count"], batch["unit"]) == (1.0, 4.0, 3, "s")
    assert list(short["status"]) == ["value", "name"]


def test_the_forms_of_groups_and_projects():
    """A group lists the uids of its trials, a project holds its trials and groups whole."""
    trial = make_trial()
    group = TrialGroup(_uid="g", name="n", metadata={"m": 1}, trials={"b_0", "a_0"}, project_id="p")
    project = Project(name="p", description="d", trials={trial}, groups={group})
    written = {
        "dtype": "trial_group",
        "uid": "g",
        "name": "n",
        "description": None,
        "metadata": {"m": 1},
        "project_id": "p",
        "trials": ["a_0", "b_0"],
    }
    assert to_json(group) == written
    assert to_json(project) == {
        "dtype": "project",
        "uid": "p",
        "name": "p",
        "description": "d",
        "metadata": {},
        "trials": [to_json(trial)],
        "groups": [written],
    }
    assert not {"dtype", "uid"} & to_json(project, short=True).keys()
    assert not {"dtype", "uid", "project_id"} & to_json(group, short=True).keys()


@pytest.mark.parametrize(
    "trial",
    [
        make_trial(),
        Trial(),
        Trial(_hash="h", tags=["a", "b"], chronos={"x": 1, "y": 2.5}),
        Trial(_hash="a_b", revision="last", status=Status.Broken, errors=["e"]),
        Trial(_hash="h", parameters={"a.b": 1, "a": 2}, metadata={"list": [{"dtype": "other"}]}),
    ],
)
def test_trials_survive_the_way_through_json(trial):
    """What is read is what was written, in every field."""
    read = from_json(json.loads(json.dumps(to_json(trial))))
    assert read == trial
    assert to_json(read) == to_json(trial)
    assert (read.status, read.tags) == (trial.status, trial.tags)
    assert read.chronos == trial.chronos


def test_projects_survive_the_way_through_json():
    """Trials and groups come back inside their project."""
    trial = make_trial()
    group = TrialGroup(name="g", project_id="p", trials={trial.uid})
    project = Project(name="p", metadata={"m": [1]}, trials={trial}, groups={group})
    read = from_json(json.loads(json.dumps(to_json(project))))
    assert (read, read.trials, read.groups) == (project, {trial}, {group})
    assert to_json(read) == to_json(project)


def test_a_trial_of_an_old_report_may_lack_keys():
    """Missing keys are defaults, and the uid stands for hash and revision."""
    trial = from_json({"dtype": "trial", "uid": "h_4", "metadata": None})
    assert (trial.hash, trial.revision, trial.metadata) == ("h", 4, {})
    assert from_json({"dtype": "trial_group", "uid": "g"}).trials == set()
    assert from_json({"dtype": "project", "name": "p"}).uid == "p"


def test_times_are_seconds_since_1970():
    """A naive time is taken as it is, an aware one in UTC."""
    moment = datetime(2020, 1, 2, 3, 4, 5, 500_000)  # noqa: DTZ001 - naive times are the point
    seconds = 1577934245.5
    assert to_json(moment) == seconds
    assert to_json(moment.replace(tzinfo=timezone.utc)) == seconds
    east = moment.replace(tzinfo=timezone(timedelta(hours=2)))
    assert to_json(east) == seconds - 7200
    assert SerializerDatetime().from_json(seconds) == moment


def test_uuids_and_statuses():
    """Each has its usual form."""
    uuid = UUID("12345678-1234-5678-1234-567812345678")
    assert to_json(uuid) == str(uuid)
    assert SerializerUUID().from_json(str(uuid)) == uuid
    assert to_json(Status.Completed) == {"name": "Completed", "value": 302}
    assert SerializerStatus().from_json({"name": "Completed", "value": 302}) is Status.Completed
    assert SerializerStatus().from_json({"name": "new", "value": 1}) == CustomStatus("new", 1)


def test_dictionaries_get_text_keys_and_lists_stay_as_they_are():
    """A list is handed through, object for object, with whatever it holds."""
    statuses = [Status.Running, CustomStatus("new", 1)]
    written = to_json({1: {"$in": statuses}, None: OrderedDict(a=Status.Running)})
    assert written == {"1": {"$in": statuses}, "None": {"a": {"name": "Running", "value": 101}}}
    assert written["1"]["$in"] is statuses
    assert to_json(statuses) is statuses
    assert to_json(1.5) == 1.5
    assert from_json([{"dtype": "unknown", "a": 1}, "x"]) == [{"dtype": "unknown", "a": 1}, "x"]


def test_aggregators_and_timers_are_what_they_keep():
    """Statistics are full or short, the others are plain values."""
    ring, stat, chrono = RingAggregator(2, "d"), StatAggregator(0), ChronoContext()
    ring.append(0.5)
    stat.append(2.0)
    chrono.acc.update(3.0)
    assert to_json(ring) == [0.5]
    assert to_json(stat)["dtype"] == to_json(chrono)["dtype"] == "statstream"
    assert to_json(stat, short=True)["avg"] == 2.0
    assert from_json(to_json(chrono)) == chrono.acc


@pytest.mark.parametrize(
    ("flat", "nested"),
    [
        ({}, {}),
        ({"a": 1}, {"a": 1}),
        ({"a.b": 1, "a.c.d": 2}, {"a": {"b": 1, "c": {"d": 2}}}),
        ({"a.b": 1, "a": {"c": 2}}, {"a": {"c": 2, "b": 1}}),
        ({"a.b": 1, "a": 2}, {"a": 2, "a.b": 1}),
        ({"a.b": 1, "a": {"b": 2}}, {"a": {"b": 2}, "a.b": 1}),
    ],
)
def test_dotted_parameters_nest_and_nothing_is_lost(flat, nested):
    """Where the place is taken a dotted name stays as it is."""
    assert SerializerTrialGroup.maybe_unflatten(flat) == nested
    assert to_json(Trial(parameters=flat))["parameters"] == nested


def test_nesting_leaves_the_parameters_themselves_alone():
    """Writing a trial does not change it."""
    parameters = {"a.b": 1, "a": {"c": 2}}
    to_json(Trial(parameters=parameters))
    assert parameters == {"a.b": 1, "a": {"c": 2}}


def test_documented_constants():
    """Subclasses of the old tracker's users refer to these."""
    assert SerializerTrial.ignore_short == {"hash", "uid", "dtype", "project_id", "group_id"}
    assert SerializerTrial.ignore_meta == {"heartbeat", "_last_change", "_update_count"}
    for call in (SerializerAspect().to_json, SerializerAspect().from_json):
        with pytest.raises(NotImplementedError, match="SerializerAspect"):
            call({})
