"""The tracking store finds runs as MLflow's own stores do: each test runs on all of them."""

import pytest

pytest.importorskip("mlflow")

from mlflow.entities import (
    Dataset,
    DatasetInput,
    Metric,
    Param,
    RunStatus,
    ViewType,
)
from mlflow.exceptions import MlflowException

from tests.integrations.support import code_of, new_run

pytestmark = pytest.mark.filterwarnings("default")

RUNNING, FINISHED, FAILED = map(RunStatus.from_string, ("RUNNING", "FINISHED", "FAILED"))


@pytest.mark.parametrize(
    ("filter_string", "expected"),
    [
        ("", "abc"),
        ("metrics.loss < 0.5", "bc"),
        ("metrics.loss >= 0.5", "a"),
        ("metrics.loss != 0.25", "ac"),
        ("metrics.nothing > 0", ""),
        ("params.lr = '0.1'", "ab"),
        ("params.lr != '0.1'", "c"),
        ("params.lr LIKE '0.%'", "abc"),
        ("tags.kind = 'x' AND metrics.loss < 0.5", "b"),
        ("tags.kind ILIKE 'X'", "ab"),
        ("attributes.status = 'FINISHED'", "a"),
        ("attributes.run_name = 'b'", "b"),
        ("attributes.start_time > 1001", "c"),
        ("dataset.name = 'd'", "c"),
    ],
)
def test_runs_are_filtered(store, experiment, filter_string, expected):
    for number, text in enumerate(("a 0.1 x", "b 0.1 x", "c 0.2 y")):
        name, lr, kind = text.split()
        run_id = new_run(store, experiment, ("kind", kind), name=name, start=1000 + number)
        store.log_batch(run_id, [Metric("loss", 0.5 ** (number + 1), 1, 0)], [Param("lr", lr)], [])
        if name == "a":
            store.update_run_info(run_id, FINISHED, 2000, None)
        if name == "c":
            store.log_inputs(run_id, [DatasetInput(Dataset("d", "1", "local", "x"), [])])
    new_run(store, "0")
    found = store.search_runs([experiment], filter_string, ViewType.ACTIVE_ONLY)
    assert "".join(sorted(run.info.run_name for run in found)) == expected


@pytest.mark.parametrize("wrong", ["loss < 1", "params.lr < 1", "x", "metrics.a = 'b'"])
def test_a_filter_that_makes_no_sense_is_refused(store, experiment, wrong):
    with pytest.raises(MlflowException) as raised:
        store.search_runs([experiment], wrong, ViewType.ACTIVE_ONLY)
    assert code_of(raised) == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        ([], "dcba"),
        (["attributes.start_time ASC"], "abcd"),
        (["metrics.loss"], "bacd"),
        (["metrics.loss DESC"], "cabd"),
        (["params.lr", "attributes.run_name DESC"], "bacd"),
        (["attributes.run_name DESC"], "dcba"),
    ],
)
def test_runs_are_sorted(store, experiment, order_by, expected):
    for number, (name, loss, lr) in enumerate(
        [("a", 0.5, "1"), ("b", 0.1, "1"), ("c", 0.7, "2"), ("d", None, None)]
    ):
        run_id = new_run(store, experiment, name=name, start=1000 + number)
        if loss is not None:
            store.log_batch(run_id, [Metric("loss", loss, 1, 0)], [Param("lr", lr)], [])
    found = store.search_runs([experiment], "", ViewType.ACTIVE_ONLY, order_by=order_by)
    assert "".join(run.info.run_name for run in found) == expected


def test_runs_come_in_pages(store, experiment):
    made = [new_run(store, experiment, start=1000 + number) for number in range(7)]
    found, token = [], None
    while True:
        page = store.search_runs(
            [experiment], "", ViewType.ACTIVE_ONLY, max_results=3, page_token=token
        )
        found += [run.info.run_id for run in page]
        token = page.token
        if token is None:
            break
    assert found == made[::-1]
    with pytest.raises(MlflowException):
        store.search_runs([experiment], "", ViewType.ACTIVE_ONLY, max_results=10**6)
    with pytest.raises(MlflowException):
        store.search_runs([experiment], "", ViewType.ACTIVE_ONLY, page_token="nonsense")


def test_runs_of_several_experiments_are_found(store, experiment):
    mine, others = new_run(store, experiment), new_run(store, "0")
    found = store.search_runs([experiment, "0"], "", ViewType.ACTIVE_ONLY)
    assert {run.info.run_id for run in found} == {mine, others}
    assert not store.search_runs([], "", ViewType.ACTIVE_ONLY)
    assert not store.search_runs(["77"], "", ViewType.ACTIVE_ONLY)
