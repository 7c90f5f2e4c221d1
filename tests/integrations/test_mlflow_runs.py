"""The tracking store keeps runs as MLflow's own stores do: each test runs on all of them."""

import math
import re

import pytest

pytest.importorskip("mlflow")

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    RunStatus,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from tests.integrations.support import code_of, new_run

pytestmark = pytest.mark.filterwarnings("default")

RUNNING, FINISHED, FAILED = map(RunStatus.from_string, ("RUNNING", "FINISHED", "FAILED"))


def test_a_run_has_what_it_was_made_with(store, experiment):
    run = store.create_run(experiment, "me", 1234, [RunTag("a", "1")], "name")
    assert run.info.experiment_id == experiment
    assert (run.info.user_id, run.info.start_time, run.info.end_time) == ("me", 1234, None)
    assert (run.info.status, run.info.lifecycle_stage) == ("RUNNING", "active")
    assert run.info.run_name == "name"
    assert run.data.tags == {"a": "1", "mlflow.runName": "name"}
    assert re.fullmatch("[0-9a-f]{32}", run.info.run_id)
    root = store.get_experiment(experiment).artifact_location
    assert run.info.artifact_uri == f"{root}/{run.info.run_id}/artifacts"
    found = store.get_run(run.info.run_id)
    assert dict(found.info) == dict(run.info)
    assert (found.data.metrics, found.data.params) == ({}, {})


def test_a_run_has_one_name(store, experiment):
    named = new_run(store, experiment, ("mlflow.runName", "tagged"))
    assert store.get_run(named).info.run_name == "tagged"
    assert store.get_run(new_run(store, experiment)).info.run_name
    with pytest.raises(MlflowException) as raised:
        new_run(store, experiment, ("mlflow.runName", "one"), name="two")
    assert code_of(raised) == "INVALID_PARAMETER_VALUE"
    store.set_tag(named, RunTag("mlflow.runName", "changed"))
    assert store.get_run(named).info.run_name == "changed"
    store.update_run_info(named, RUNNING, None, "again")
    found = store.get_run(named)
    assert (found.info.run_name, found.data.tags["mlflow.runName"]) == ("again", "again")


def test_a_run_that_is_not_there_is_missed(store):
    with pytest.raises(MlflowException) as raised:
        store.get_run("a" * 32)
    assert code_of(raised) == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(MlflowException):
        store.log_metric("a" * 32, Metric("m", 1.0, 1, 0))
    with pytest.raises(MlflowException):
        new_run(store, "77")


def test_a_run_ends_and_goes_on(store, experiment):
    run_id = new_run(store, experiment)
    info = store.update_run_info(run_id, FINISHED, 5000, None)
    assert (info.status, info.end_time) == ("FINISHED", 5000)
    assert store.get_run(run_id).info.status == "FINISHED"
    store.update_run_info(run_id, RUNNING, None, None)
    assert store.get_run(run_id).info.status == "RUNNING"
    store.update_run_info(run_id, FAILED, 7000, None)
    found = store.get_run(run_id).info
    assert (found.status, found.end_time) == ("FAILED", 7000)


@pytest.mark.parametrize("status", ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"])
def test_a_run_has_the_status_it_was_given(store, experiment, status):
    run_id = new_run(store, experiment)
    store.update_run_info(run_id, RunStatus.from_string(status), 5000, None)
    assert store.get_run(run_id).info.status == status


def test_a_deleted_run_takes_nothing_more(store, experiment):
    run_id = new_run(store, experiment)
    store.log_metric(run_id, Metric("m", 1.0, 1, 0))
    store.delete_run(run_id)
    assert store.get_run(run_id).info.lifecycle_stage == "deleted"
    for call in (
        lambda: store.log_metric(run_id, Metric("m", 1.0, 1, 0)),
        lambda: store.log_param(run_id, Param("p", "1")),
        lambda: store.set_tag(run_id, RunTag("t", "1")),
        lambda: store.log_batch(run_id, [Metric("m", 1.0, 1, 0)], [], []),
        lambda: store.update_run_info(run_id, FINISHED, 1, None),
    ):
        with pytest.raises(MlflowException):
            call()
    assert not store.search_runs([experiment], "", ViewType.ACTIVE_ONLY)
    assert len(store.search_runs([experiment], "", ViewType.DELETED_ONLY)) == 1
    assert len(store.search_runs([experiment], "", ViewType.ALL)) == 1
    store.restore_run(run_id)
    store.log_metric(run_id, Metric("m", 2.0, 1, 1))
    assert store.get_run(run_id).data.metrics == {"m": 2.0}


@pytest.mark.parametrize("text", ["0.10", "1", "1.5", "1e5", "True", "None", "", "a b", "x" * 6000])
def test_a_parameter_stays_the_text_it_was(store, experiment, text):
    run_id = new_run(store, experiment)
    store.log_param(run_id, Param("p", text))
    assert store.get_run(run_id).data.params == {"p": text}


@pytest.mark.parametrize("key", ["trial", "self", "step", "aggregator", "values", "a/b c.d-e"])
def test_names_are_free(store, experiment, key):
    run_id = new_run(store, experiment)
    store.log_batch(run_id, [Metric(key, 1.0, 1, 0)], [Param(key, "1")], [RunTag(key, "1")])
    data = store.get_run(run_id).data
    assert (data.metrics[key], data.params[key], data.tags[key]) == (1.0, "1", "1")


def test_a_parameter_does_not_change(store, experiment):
    run_id = new_run(store, experiment)
    store.log_param(run_id, Param("p", "1"))
    store.log_param(run_id, Param("p", "1"))
    with pytest.raises(MlflowException, match="Changing param values is not allowed"):
        store.log_param(run_id, Param("p", "2"))
    assert store.get_run(run_id).data.params == {"p": "1"}


def test_tags_are_set_and_deleted(store, experiment):
    run_id = new_run(store, experiment, name="n")
    store.set_tag(run_id, RunTag("t", "1"))
    store.set_tag(run_id, RunTag("t", "2"))
    assert store.get_run(run_id).data.tags["t"] == "2"
    store.delete_tag(run_id, "t")
    assert "t" not in store.get_run(run_id).data.tags
    with pytest.raises(MlflowException) as raised:
        store.delete_tag(run_id, "t")
    assert code_of(raised) == "RESOURCE_DOES_NOT_EXIST"


POINTS = [
    pytest.param([(1.0, 10, 0), (2.0, 20, 1), (3.0, 30, 2)], 3.0, id="growing steps"),
    pytest.param([(1.0, 10, 0), (2.0, 20, 0), (3.0, 15, 0)], 2.0, id="no steps, times go back"),
    pytest.param([(3.0, 10, 5), (2.0, 20, 1)], 3.0, id="steps go back"),
    pytest.param([(1.0, 10, 0), (3.0, 10, 0), (2.0, 10, 0)], 3.0, id="all at one time"),
    pytest.param([(-1.0, 10, -3), (2.0, 20, -2)], 2.0, id="negative steps"),
    pytest.param([(1.0, 1_700_000_000_123, 7)], 1.0, id="one"),
]


@pytest.mark.parametrize(("points", "latest"), POINTS)
def test_all_points_are_kept_and_one_is_the_latest(store, kind, experiment, points, latest):
    run_id = new_run(store, experiment)
    for value, timestamp, step in points:
        store.log_metric(run_id, Metric("m", value, timestamp, step))
    assert store.get_run(run_id).data.metrics == {"m": latest}
    history = store.get_metric_history(run_id, "m")
    found = [(one.value, one.timestamp, one.step) for one in history]
    assert (sorted(found) if kind == "sqlite" else found) == (
        sorted(points) if kind == "sqlite" else points
    )
    assert {one.key for one in history} == {"m"}
    assert not store.get_metric_history(run_id, "n")


def test_the_points_of_a_batch_are_kept_in_order(store, experiment):
    run_id = new_run(store, experiment)
    points = [
        (f"m{number % 3}", float(number), 10 + number // 7, number // 5) for number in range(40)
    ]
    batch = [Metric(*point) for point in points]
    store.log_batch(run_id, batch, [], [])
    for name in ("m0", "m1", "m2"):
        found = [
            (m.key, m.value, m.timestamp, m.step) for m in store.get_metric_history(run_id, name)
        ]
        assert found == [point for point in points if point[0] == name]


def test_values_that_are_no_number(store, experiment, kind):
    run_id = new_run(store, experiment)
    for name, value in (("nan", math.nan), ("inf", math.inf), ("low", -math.inf)):
        store.log_metric(run_id, Metric(name, value, 1, 0))
    metrics = store.get_run(run_id).data.metrics
    assert math.isnan(metrics["nan"])
    if kind != "sqlite":  # which has the largest float for them
        assert (metrics["inf"], metrics["low"]) == (math.inf, -math.inf)
    for wrong in ("text", None, True):
        with pytest.raises(MlflowException):
            store.log_metric(run_id, Metric("m", wrong, 1, 0))


def test_history_comes_in_pages(store, kind, experiment):
    run_id = new_run(store, experiment)
    batch = [Metric("m", float(step), step, step) for step in range(10)]
    store.log_batch(run_id, batch, [], [])
    first = store.get_metric_history(run_id, "m", max_results=4)
    if kind == "files" and len(first) == len(batch):
        return  # an older MLflow, whose files have no pages
    assert [one.step for one in first] == [0, 1, 2, 3]
    second = store.get_metric_history(run_id, "m", max_results=4, page_token=first.token)
    third = store.get_metric_history(run_id, "m", max_results=4, page_token=second.token)
    assert [one.step for one in [*second, *third]] == [4, 5, 6, 7, 8, 9]
    assert third.token is None


@pytest.mark.skipif(
    not hasattr(AbstractStore, "get_metric_history_bulk_interval"), reason="an older MLflow"
)
def test_points_for_a_plot(store, experiment):
    runs = [new_run(store, experiment) for _ in range(2)]
    for run_id, count in zip(runs, (10, 100), strict=True):
        batch = [Metric("m", float(step), step, step) for step in range(count)]
        store.log_batch(run_id, batch, [], [])
    found = store.get_metric_history_bulk_interval(runs, "m", 20, 0, 99)
    steps = {run_id: [one.step for one in found if one.run_id == run_id] for run_id in runs}
    assert steps[runs[0]][0] == steps[runs[1]][0] == 0
    assert (steps[runs[0]][-1], steps[runs[1]][-1]) == (9, 99)
    assert all(len(one) <= 25 for one in steps.values())


@pytest.mark.parametrize(
    ("metrics", "params", "tags"),
    [
        pytest.param(1001, 0, 0, id="metrics"),
        pytest.param(0, 101, 0, id="params"),
        pytest.param(0, 0, 101, id="tags"),
        pytest.param(900, 60, 60, id="in all"),
    ],
)
def test_a_batch_has_limits(store, experiment, metrics, params, tags):
    run_id = new_run(store, experiment)
    with pytest.raises(MlflowException) as raised:
        store.log_batch(
            run_id,
            [Metric(f"m{number}", 0.5, 1, 0) for number in range(metrics)],
            [Param(f"p{number}", "1") for number in range(params)],
            [RunTag(f"t{number}", "1") for number in range(tags)],
        )
    assert code_of(raised) == "INVALID_PARAMETER_VALUE"
    assert not store.get_run(run_id).data.metrics


def test_a_batch_with_a_wrong_value_logs_nothing(store, experiment):
    run_id = new_run(store, experiment)
    good = Metric("good", 1.0, 1, 0)
    for metrics, params in (
        ([good, Metric("bad", "text", 1, 0)], []),
        ([good], [Param("p", "1"), Param("p", "2")]),
        ([good], [Param("bad\nname", "1")]),
    ):
        with pytest.raises(MlflowException):
            store.log_batch(run_id, metrics, params, [])
    assert store.get_run(run_id).data.metrics == {}


def test_datasets_are_kept_once(store, experiment):
    run_id = new_run(store, experiment)
    one = DatasetInput(Dataset("d", "1", "local", "x", "s", "p"), [InputTag("context", "train")])
    two = DatasetInput(Dataset("d", "2", "local", "x"), [])
    store.log_inputs(run_id, [one, two])
    store.log_inputs(run_id, [one])
    found = {each.dataset.digest: each for each in store.get_run(run_id).inputs.dataset_inputs}
    assert {*found} == {"1", "2"}
    assert dict(found["1"].dataset) == dict(one.dataset)
    assert [(tag.key, tag.value) for tag in found["1"].tags] == [("context", "train")]


def test_datasets_of_an_experiment_are_listed(store, experiment):
    """Each once with each use of it, whether or not its run was deleted."""
    use = [InputTag("mlflow.data.context", "train")]
    one, two = Dataset("d", "1", "local", "x"), Dataset("d", "2", "local", "x")
    runs = [new_run(store, experiment) for _ in range(2)]
    for run_id in runs:
        store.log_inputs(run_id, [DatasetInput(one, use), DatasetInput(two, [])])
    found = store._search_datasets([experiment])
    listed = {(each.experiment_id, each.name, each.digest, each.context) for each in found}
    assert len(found) == 2
    assert listed == {(experiment, "d", "1", "train"), (experiment, "d", "2", None)}


@pytest.mark.parametrize(
    ("dataset", "tags"),
    [
        (Dataset("d" * 501, "1", "local", "x"), []),
        (Dataset("d", "1" * 37, "local", "x"), []),
        (Dataset("d", "1", "local", "x"), [InputTag("k" * 256, "v")]),
        (Dataset("d", "1", "local", "x"), [InputTag("k", "v" * 501)]),
    ],
)
def test_datasets_have_limits(store, kind, experiment, dataset, tags):
    if kind == "files":
        pytest.skip("MLflow's store of files checks none")
    run_id = new_run(store, experiment)
    with pytest.raises(MlflowException) as raised:
        store.log_inputs(run_id, [DatasetInput(dataset, tags)])
    assert code_of(raised) == "INVALID_PARAMETER_VALUE"
    assert store.get_run(run_id).inputs.dataset_inputs == []


def test_a_run_keeps_its_name_without_its_tag(store, experiment):
    """It gets the tag again with its next name."""
    run_id = new_run(store, experiment, name="first")
    store.update_run_info(run_id, RunStatus.FINISHED, 1000, "second")
    store.delete_tag(run_id, MLFLOW_RUN_NAME)
    run = store.get_run(run_id)
    assert (run.info.run_name, run.data.tags.get(MLFLOW_RUN_NAME)) == ("second", None)
    store.set_tag(run_id, RunTag(MLFLOW_RUN_NAME, "third"))
    run = store.get_run(run_id)
    assert (run.info.run_name, run.data.tags.get(MLFLOW_RUN_NAME)) == ("third", "third")
