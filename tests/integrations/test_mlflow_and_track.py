"""MLflow and Track see the same store: what one logs, the other shows."""

import gc
import os
import signal
from pathlib import Path

import pytest

mlflow = pytest.importorskip("mlflow")

from mlflow.entities import ViewType
from mlflow.tracking._tracking_service.utils import _get_store

import track
from tests.integrations.support import run_program
from track import TrackClient
from track.aggregators.aggregator import StatAggregator
from track.integrations.mlflow.store import TrackStore
from track.structure import Status

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def uri(tmp_path):
    return f"file:{tmp_path / 'runs.json'}"


@pytest.fixture
def tracking(uri):
    mlflow.set_tracking_uri(f"track+{uri}")
    yield
    _get_store().protocol.close()
    mlflow.set_tracking_uri(None)


@pytest.fixture
def opened(uri):
    """A store of MLflow's for what was logged before."""
    stores = []

    def open_store():
        stores.append(TrackStore(f"track+{uri}"))
        return stores[0]

    yield open_store
    while stores:
        stores.pop().protocol.close()
    gc.collect()  # the index of streams closes its file when it goes


def only_run(store, project):
    experiment = store.get_experiment_by_name(project).experiment_id
    (run,) = store.search_runs([experiment], "", ViewType.ACTIVE_ONLY)
    return run


def test_track_shows_what_mlflow_logs(uri, tracking):
    """As numbers, with the times and the end of the run."""
    mlflow.set_experiment("p")
    with mlflow.start_run(run_name="n") as run, mlflow.start_run(nested=True) as child:
        mlflow.log_params({"lr": 0.1, "deep": True, "text": "0.10"})
        for step in range(20):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
    with track.open(uri) as reader:
        trial = reader.trial(child.info.run_id)
        assert trial.parameters == {"lr": 0.1, "deep": True, "text": "0.10"}
        assert trial.tags["mlflow.parentRunId"] == run.info.run_id
        assert [*trial.metrics["loss"].values] == [1 / (step + 1) for step in range(20)]
        assert (trial.project_id, trial.status) == ("p", Status.Completed)
        assert reader.trial("n").uid == f"{run.info.run_id}_0"
        assert len(reader.attempts(trial)) == 1


def test_mlflow_shows_what_track_logs(uri, opened):
    """Metrics of every kind: by step, in a list, again, as a text, as statistics."""
    client = TrackClient(uri)
    client.set_project("p")
    client.set_group("g")
    with client.new_trial(name="n", description="d", parameters={"lr": 0.1, "l": [1]}) as trial:
        trial.add_tags(kind="x")
        for step in range(5):
            trial.log_metrics(step=step, loss=1.0 / (step + 1), text="t", whole=step)
            trial.log_metrics(listed=float(step))
            trial.log_metrics(aggregator=StatAggregator.lazy(0), stat=step)
        trial.log_metrics(step=2, loss=7.0)
        trial.log_metrics(step=0.5, part=1.0)
    client.close()
    store = opened()
    run = only_run(store, "p")
    assert (run.info.status, run.info.run_name, run.info.run_id) == (
        "FINISHED",
        "n",
        trial.trial.uid,
    )
    assert run.info.end_time >= run.info.start_time > 10**12
    assert run.data.params == {"lr": "0.1", "l": "[1]"}
    assert run.data.tags == {"kind": "x", "mlflow.runName": "n", "mlflow.note.content": "d"}
    latest = {"loss": 0.2, "listed": 4.0, "stat": 4.0, "whole": 4.0, "part": 1.0}
    assert run.data.metrics == latest
    history = store.get_metric_history(run.info.run_id, "loss")
    assert [one.step for one in history] == [0, 1, 2, 3, 4, 2]
    assert [one.step for one in store.get_metric_history(run.info.run_id, "listed")] == [*range(5)]


def test_a_run_whose_process_was_killed_is_killed(uri, opened, tmp_path, monkeypatch):
    """The run of a script that nobody ended."""
    monkeypatch.chdir(tmp_path)
    run_program(
        f"""
        import mlflow, os
        mlflow.set_tracking_uri("track+{uri}")
        mlflow.set_experiment("p")
        mlflow.start_run()
        mlflow.log_metric("loss", 0.5, step=1)
        os.kill(os.getpid(), {int(signal.SIGKILL)})
        """,
        killed=True,
    )
    run = only_run(opened(), "p")
    assert (run.info.status, run.data.metrics) == ("KILLED", {"loss": 0.5})


def test_a_long_series_is_thinned_out_for_a_plot(uri, opened):
    """Not by MLflow, which makes an object of each point; the extremes stay."""
    client = TrackClient(uri)
    client.set_project("p")
    with client.new_trial(name="n", parameters={}) as trial:
        for step in range(30_000):
            trial.log_metrics(step=step, loss=100.0 if step == 12_345 else 0.5)
    client.close()
    store = opened()
    run = only_run(store, "p")
    found = store.get_metric_history_bulk_interval([run.info.run_id], "loss", 100, None, None)
    assert len(found) <= 102
    assert max(one.value for one in found) == 100.0
    assert (found[0].step, found[-1].step) == (0, 29_999)
    part = store.get_metric_history_bulk_interval([run.info.run_id], "loss", 100, 100, 200)
    assert {one.step for one in part} <= {*range(100, 201)}


def test_artifacts_are_beside_the_store(uri, tracking, tmp_path):
    """In a folder that MLflow finds again."""
    mlflow.set_experiment("Default")
    with mlflow.start_run() as run:
        mlflow.log_text("hello", "a/b.txt")
    folder = Path(f"{tmp_path}/runs.json.artifacts")
    assert [path.read_text() for path in folder.rglob("b.txt")] == ["hello"]
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/a/b.txt") == "hello"
    assert os.listdir(folder) == ["0"]


def test_lists_of_what_is_not_there_are_empty(opened):
    """So that the page of MLflow has nothing to complain of."""
    store = opened()
    traces, token = store.search_traces(["0"])
    assert (traces, token) == ([], None)
    for found in (
        store.search_logged_models(["0"]),
        store.search_datasets(["0"]),
        store.list_scorers("0"),
    ):
        assert not found


def test_mlflow_finds_the_store_whoever_is_imported_first(uri):
    """It loads its stores while it is being imported."""
    printed = run_program(
        f"""
        import track.integrations.mlflow.store
        import mlflow
        mlflow.set_tracking_uri("track+{uri}")
        print(mlflow.get_experiment("0").name)
        """
    )
    assert "Default" in printed
