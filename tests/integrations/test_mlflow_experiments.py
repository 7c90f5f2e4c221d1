"""The tracking store keeps experiments as MLflow's own stores do: each test runs on all of them."""

import pytest

pytest.importorskip("mlflow")

from mlflow.entities import (
    ExperimentTag,
    ViewType,
)
from mlflow.exceptions import MlflowException

from tests.integrations.support import code_of, new_run

pytestmark = pytest.mark.filterwarnings("default")


def test_an_experiment_has_what_it_was_made_with(store, tmp_path):
    made = store.create_experiment("a", f"file://{tmp_path}/x", [ExperimentTag("t", "1")])
    found = store.get_experiment(made)
    assert (found.experiment_id, found.name, found.lifecycle_stage) == (made, "a", "active")
    assert (found.tags, found.artifact_location) == ({"t": "1"}, f"file://{tmp_path}/x")
    assert found.creation_time == found.last_update_time > 10**12
    assert dict(store.get_experiment_by_name("a")) == dict(found)
    assert store.get_experiment_by_name("b") is None


def test_there_is_a_default_experiment(store):
    assert store.get_experiment("0").name == "Default"
    assert store.get_experiment_by_name("Default").experiment_id == "0"
    run_id = new_run(store, "0")
    assert store.get_run(run_id).info.experiment_id == "0"


@pytest.mark.parametrize("name", ["", None, 5])
def test_an_experiment_needs_a_name(store, name):
    with pytest.raises(MlflowException) as raised:
        store.create_experiment(name)
    assert code_of(raised) == "INVALID_PARAMETER_VALUE"


def test_two_experiments_have_different_names(store, experiment):
    with pytest.raises(MlflowException, match="already exists") as raised:
        store.create_experiment("an experiment")
    assert code_of(raised) == "RESOURCE_ALREADY_EXISTS"


def test_an_experiment_that_is_not_there_is_missed(store):
    for call in (store.get_experiment, store.delete_experiment, store.restore_experiment):
        with pytest.raises(MlflowException) as raised:
            call("77")
        assert code_of(raised) == "RESOURCE_DOES_NOT_EXIST"


def test_a_deleted_experiment_takes_its_runs_and_gives_them_back(store, experiment):
    run_id = new_run(store, experiment)
    store.delete_experiment(experiment)
    assert store.get_experiment(experiment).lifecycle_stage == "deleted"
    assert store.get_run(run_id).info.lifecycle_stage == "deleted"
    names = [one.name for one in store.search_experiments()]
    assert names == ["Default"]
    names = [one.name for one in store.search_experiments(ViewType.DELETED_ONLY)]
    assert names == ["an experiment"]
    with pytest.raises(MlflowException):
        new_run(store, experiment)
    with pytest.raises(MlflowException):
        store.set_experiment_tag(experiment, ExperimentTag("a", "b"))
    with pytest.raises(MlflowException):
        store.create_experiment("an experiment")
    store.restore_experiment(experiment)
    assert store.get_experiment(experiment).lifecycle_stage == "active"
    assert store.get_run(run_id).info.lifecycle_stage == "active"


def test_an_experiment_can_be_renamed_and_its_name_taken(store, experiment):
    run_id = new_run(store, experiment)
    store.rename_experiment(experiment, "another")
    assert store.get_experiment(experiment).name == "another"
    assert store.get_experiment_by_name("an experiment") is None
    assert store.get_run(run_id).info.experiment_id == experiment
    second = store.create_experiment("an experiment")
    assert second != experiment
    assert store.get_experiment_by_name("an experiment").experiment_id == second
    with pytest.raises(MlflowException):
        store.rename_experiment(second, "another")
    with pytest.raises(MlflowException):
        store.rename_experiment(second, "")


def test_tags_of_experiments_are_set_and_deleted(store, experiment):
    store.set_experiment_tag(experiment, ExperimentTag("a", "1"))
    store.set_experiment_tag(experiment, ExperimentTag("a", "2"))
    store.set_experiment_tag(experiment, ExperimentTag("project", "x"))
    assert store.get_experiment(experiment).tags == {"a": "2", "project": "x"}
    if hasattr(store, "delete_experiment_tag"):
        store.delete_experiment_tag(experiment, "a")
        assert store.get_experiment(experiment).tags == {"project": "x"}
        with pytest.raises(MlflowException):
            store.delete_experiment_tag(experiment, "a")


@pytest.mark.parametrize(
    ("filter_string", "order_by", "expected"),
    [
        (None, ["name"], ["Default", "a", "ab", "b"]),
        (None, ["name DESC"], ["b", "ab", "a", "Default"]),
        ("name = 'a'", None, ["a"]),
        ("name != 'a'", ["name"], ["Default", "ab", "b"]),
        ("name LIKE 'a%'", ["name"], ["a", "ab"]),
        ("name ILIKE 'A%'", ["name"], ["a", "ab"]),
        ("tags.t = '1'", ["name"], ["a", "b"]),
        ("tags.t = '1' AND name = 'b'", None, ["b"]),
        ("tags.nothing = '1'", None, []),
    ],
)
def test_experiments_are_filtered_and_sorted(store, filter_string, order_by, expected):
    for name, tag in (("a", "1"), ("ab", "2"), ("b", "1")):
        store.create_experiment(name, tags=[ExperimentTag("t", tag)])
    found = store.search_experiments(filter_string=filter_string, order_by=order_by)
    assert [one.name for one in found] == expected


def test_experiments_come_in_pages(store):
    made = {store.create_experiment(f"e{number}") for number in range(5)} | {"0"}
    pages, token = [], None
    while not pages or token:
        page = store.search_experiments(max_results=4, page_token=token)
        pages.append([one.experiment_id for one in page])
        token = page.token
    assert [*map(len, pages)] == [4, 2]
    assert {*pages[0], *pages[1]} == made
    for wrong in (0, -1, 10**6):
        with pytest.raises(MlflowException) as raised:
            store.search_experiments(max_results=wrong)
        assert code_of(raised) == "INVALID_PARAMETER_VALUE"
