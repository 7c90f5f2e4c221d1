"""The text of the report."""

import json
from datetime import date, datetime
from uuid import UUID

import numpy as np
import pytest

from track.containers.series import StepSeries
from track.persistence import make_local
from track.projections.report import dumps, plain, render_report, render_trial
from track.serialization import from_json, to_json
from track.structure import Project, Status, Trial, TrialGroup


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def parse(pieces):
    return json.loads("".join(pieces), parse_constant=refuse)


@pytest.fixture
def store():
    return make_local("memory:")


def rendered(store):
    with store.read_state() as objects:
        return parse(render_report(objects))


def test_an_empty_report_is_an_empty_list(store):
    """There is a report before there is anything to report."""
    assert rendered(store) == []


def test_the_order_is_that_of_making(store):
    """Projects, groups and trials are shown oldest first, each in its project."""
    for name in "ba":
        store.new_project(Project(name=name))
    for uid in "srqtu":
        store.new_trial_group(TrialGroup(_uid=uid, name="same", project_id="a"))
    for digest, project in zip("zyx", "aba", strict=True):
        store.new_trial(Trial(_hash=digest, project_id=project))
    projects = rendered(store)
    assert [project["name"] for project in projects] == ["b", "a"]
    assert [[trial["hash"] for trial in project["trials"]] for project in projects] == [
        ["y"],
        ["z", "x"],
    ]
    assert [group["uid"] for group in projects[1]["groups"]] == [*"srqtu"]


def test_groups_list_their_trials(store):
    """The trials themselves are in the project, the group has their uids."""
    store.new_project(Project(name="p"))
    store.new_trial_group(TrialGroup(_uid="g", name="n", project_id="p", metadata={"a": 1}))
    store.new_trial(Trial(_hash="h", project_id="p", group_id="g"))
    (project,) = rendered(store)
    (group,) = project["groups"]
    assert (group["uid"], group["trials"], group["metadata"]) == ("g", ["h_0"], {"a": 1})


def test_trials_without_a_project_are_orphans(store):
    """They are shown under a project of that name, beside those that were made in it."""
    store.new_trial(Trial(_hash="a"))
    assert [(p["name"], len(p["trials"])) for p in rendered(store)] == [("orphan", 1)]
    store.new_project(Project(name="orphan", description="real", metadata={"m": 1}))
    store.new_trial(Trial(_hash="b", project_id="orphan"))
    (project,) = rendered(store)
    assert (project["description"], project["metadata"]) == ("real", {"m": 1})
    assert [trial["hash"] for trial in project["trials"]] == ["a", "b"]


def test_it_is_read_back_as_what_it_was(store):
    """The report says all there is to say."""
    store.new_project(Project(name="p", metadata={"m": {"n": [1]}}))
    trial = Trial(
        _hash="h",
        project_id="p",
        parameters={"a.b": 1, "c": [{"d": None}]},
        status=Status.Suspended,
        tags={"x": 1},
    )
    store.new_trial(trial)
    for step in range(3):
        store.log_trial_metrics(trial, step=step, loss=step / 2)
        store.log_trial_metrics(trial, acc=step)
        store.log_trial_chrono_start(trial, "batch")
        store.log_trial_chrono_finish(trial, "batch")
    (project,) = map(from_json, rendered(store))
    (read,) = project.trials
    (stored,) = store.fetch_trials()
    assert to_json(read) == json.loads(json.dumps(to_json(stored)))
    assert read.chronos["batch"] == stored.chronos["batch"].stat


@pytest.mark.parametrize("count", [0, 1, 8191, 8192, 8193, 20000])
@pytest.mark.parametrize("kind", [list, StepSeries, dict])
def test_long_metrics_are_written_in_blocks(kind, count):
    """Whatever its length, a metric is one list or one object."""
    values = [index / 3 for index in range(count)]
    metric = values if kind is list else kind(enumerate(values))
    text = parse(render_trial(Trial(_hash="h", metrics={"loss": metric, "b": [1]})))
    expected = values if kind is list else {str(i): value for i, value in enumerate(values)}
    assert text["metrics"] == {"loss": expected, "b": [1]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        ([float("inf"), (1, None)], ["Infinity", [1, None]]),
        ({True: {None: 1}, 1.5: 2, (1, "a"): 3}, {"true": {"null": 1}, "1.5": 2, "[1, 'a']": 3}),
        (b"\xff\x00", "/wA="),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ([datetime(2020, 1, 1), date(2020, 1, 1)], [1577836800.0, "2020-01-01"]),  # noqa: DTZ001
        ([Status.Running], [{"name": "Running", "value": 101}]),
        ({"x"}, ["x"]),
        (object, "<class 'object'>"),
        pytest.param("\ud800", "\ud800", id="surrogate"),
        (2**64, 2**64),
        pytest.param(10**5000, hex(10**5000), id="long integer"),
        ([np.float32(1.5)], ["1.5"]),
        (True, True),
    ],
)
def test_any_value_is_valid_json(value, expected):
    """What JSON has no way to say is said in a text."""
    assert json.loads(dumps(value), parse_constant=refuse) == expected
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == expected


def test_odd_values_are_shown_alike_wherever_they_are(store):
    """Keys become text in metrics as in parameters."""
    odd = {True: {None: float("nan")}, 2: "x"}
    trial = Trial(_hash="h", parameters={"odd": odd}, metadata={"odd": odd}, metrics={"odd": odd})
    store.new_trial(trial)
    ((written,),) = (project["trials"] for project in rendered(store))
    shown = {"True": {"None": "NaN"}, "2": "x"}
    assert written["parameters"]["odd"] == written["metadata"]["odd"] == shown
    assert written["metrics"]["odd"] == shown
