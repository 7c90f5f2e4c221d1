"""Logged models are kept as by the stores of MLflow itself: each test runs on all of them."""

import pytest

pytest.importorskip("mlflow")

from mlflow.entities import LoggedModelParameter, LoggedModelStatus, LoggedModelTag, Metric
from mlflow.exceptions import MlflowException

from tests.integrations.support import new_run

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def run_id(store, experiment):
    return new_run(store, experiment)


@pytest.fixture
def model(store, experiment, run_id):
    tags, params = [LoggedModelTag("t", "1")], [LoggedModelParameter("p", "2")]
    return store.create_logged_model(experiment, "m", run_id, tags, params, "linear")


def test_a_model_has_what_it_was_made_with(store, experiment, run_id, model):
    found = store.get_logged_model(model.model_id)
    assert (found.experiment_id, found.name, found.source_run_id) == (experiment, "m", run_id)
    assert (found.tags, found.params, found.model_type) == ({"t": "1"}, {"p": "2"}, "linear")
    assert found.status == LoggedModelStatus.PENDING
    root = store.get_experiment(experiment).artifact_location
    assert found.artifact_location.startswith(root)
    assert model.model_id in found.artifact_location


def test_a_model_becomes_ready_and_is_deleted(store, experiment, model):
    store.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    assert store.get_logged_model(model.model_id).status == LoggedModelStatus.READY
    assert [one.model_id for one in store.search_logged_models([experiment])] == [model.model_id]
    store.delete_logged_model(model.model_id)
    assert not store.search_logged_models([experiment])
    with pytest.raises(MlflowException):
        store.get_logged_model(model.model_id)


def test_tags_of_models_are_set_and_deleted(store, model):
    store.set_logged_model_tags(model.model_id, [LoggedModelTag("a", "b")])
    assert store.get_logged_model(model.model_id).tags == {"t": "1", "a": "b"}
    store.delete_logged_model_tag(model.model_id, "t")
    assert store.get_logged_model(model.model_id).tags == {"a": "b"}
    with pytest.raises(MlflowException):
        store.delete_logged_model_tag(model.model_id, "t")


def test_a_model_has_the_metrics_that_name_it(store, experiment, run_id, model):
    metric = Metric("acc", 0.5, 10, 3, model_id=model.model_id)
    store.log_batch(run_id, [metric, Metric("loss", 1.0, 10, 3)], [], [])
    (found,) = store.get_logged_model(model.model_id).metrics
    assert (found.key, found.value, found.step, found.run_id) == ("acc", 0.5, 3, run_id)
    assert {*store.get_run(run_id).data.metrics} == {"acc", "loss"}
    assert len(store.search_logged_models([experiment], "metrics.acc >= 0.5")) == 1
    assert not store.search_logged_models([experiment], "metrics.acc > 0.5")
