"""What is pushed arrives at the real tools, once."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager, suppress
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.imported import imported
from tests.integrations.support import PATIENCE_S, wait_until
from tests.proxy import Proxy
from track import TrackClient
from track.exchange import Pusher, open_target
from track.exchange.bridges.mlflow import MLflow
from track.structure import Status


@pytest.fixture
def client(tmp_path):
    made = TrackClient(f"file:{tmp_path / 'runs.json'}")
    made.set_project("digits")
    yield made
    made.close()


@contextmanager
def mlflow_server(folder, backend):
    """Run a server of MLflow's while inside; give its port."""
    process = None
    while process is None or process.poll() is not None:  # somebody else may take the port first
        port = free_port()
        with (folder / "server.log").open("wb") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                    *("--port", str(port), "--backend-store-uri", backend),
                    *("--artifacts-destination", str(folder / "arts")),
                ],
                cwd=folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            )
        wait_until(lambda port=port, it=process: it.poll() is not None or _answers(port))
        said = (folder / "server.log").read_text()
        assert process.poll() is None or "in use" in said, said[-4000:]
    try:
        yield port
    finally:
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as response:
            return response.status == 200
    except (OSError, HTTPException):
        return False


def push(client, target):
    with Pusher(client.protocol, target) as pusher:
        return pusher.push()


@pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow is not installed")
@pytest.mark.parametrize("kind", ["sqlite", "track"])
def test_mlflow_has_each_value_once(client, tmp_path, kind):
    """Though the connection is cut while it is pushed, and the push is killed and repeated.

    Its databases drop what arrives twice; a store of Track's behind it would keep that.
    """
    numpy = pytest.importorskip("numpy")
    (tmp_path / "model.bin").write_bytes(bytes(3_000_000))
    for name in ("a", "b"):
        with client.new_trial(name=name, parameters={"lr": 0.1}, force=True) as trial:
            trial.add_tags(owner="me")
            for step in range(700):
                trial.log_metrics(step=step, loss=1 / (step + 1))
            trial.log_metrics(step=3, loss=float("nan"))
            trial.log_metrics(step=2, loss=float("inf"))
            trial.log_image("pic", numpy.zeros((4, 4, 3), "uint8"), step=7)
            trial.log_file(tmp_path / "model.bin")
            trial.log_artifact(tmp_path / "model.bin", "weights")
    backend = (
        f"sqlite:///{tmp_path}/ml.db" if kind == "sqlite" else f"track+file:{tmp_path}/ml.json"
    )
    with mlflow_server(tmp_path, backend) as port, Proxy(port) as proxy:
        url = f"http://127.0.0.1:{port}"
        target = MLflow(f"http://127.0.0.1:{proxy.port}", patience_s=PATIENCE_S)
        reply = iter([True] * 2)
        proxy.spoil = lambda is_request, data: (
            () if not is_request and next(reply, False) else (data,)
        )
        killed = subprocess.Popen(
            [sys.executable, "-m", "track", "push", f"mlflow:{url}", "-s", client.protocol.uri]
        )
        wait_until(lambda: _runs(url))
        killed.kill()
        killed.wait()
        done = push(client, target)
        assert done.problems == []
        runs = _runs(url)
        assert [run["info"]["run_name"] for run in runs] == ["b", "a"]
        for run in runs:
            assert run["info"]["status"] == "FINISHED"
            history = _history(url, run["info"]["run_id"])
            assert sorted(point.get("step", 0) for point in history) == sorted([*range(700), 3, 2])
            assert "NaN" in {point["value"] for point in history}
        assert push(client, MLflow(url)).rows == 0
        pictures = [*(tmp_path / "arts").rglob("pic+step+7+*.png")]
        assert len(pictures) == 2
        sizes = [path.stat().st_size for path in (tmp_path / "arts").rglob("model.bin")]
        assert sizes == [3_000_000] * 4


def _call(url, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{url}/api/2.0/mlflow/{path}", data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())


def _runs(url):
    experiments = _call(url, "experiments/search", {"max_results": 10})["experiments"]
    ids = [each["experiment_id"] for each in experiments]
    return _call(url, "runs/search", {"experiment_ids": ids}).get("runs", [])


def _history(url, run_id):
    found = _call(url, f"metrics/get-history?run_id={run_id}&metric_key=loss&max_results=5000")
    return found["metrics"]


@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is not installed")
def test_wandb_has_what_the_trial_has(client, tmp_path, monkeypatch):
    """Offline: what its package writes is read back by our importer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    with client.new_trial(name="n", parameters={"lr": 0.1, "o": {"x": 1}}) as trial:
        for step in (5, 3, 9):  # a step may go back
            trial.log_metrics(step=step, loss=step / 2)
        trial.log_histogram("h", [1, 2, 3, 4], step=9)
        trial.log_table("t", {"a": [1, 2]}, step=9)
        trial.log_text("x", "a < b", 9)
        (tmp_path / "model.bin").write_bytes(b"model")
        trial.log_file("model.bin")
        trial.log_artifact("model.bin", "weights")
    done = push(client, open_target("wandb:"))
    assert (done.rows, done.problems) == (8, [])
    read, trials = imported(tmp_path / "wandb")
    told = " ".join(read.problems)
    for name in (f"files-{trial.trial.uid}", "weights"):
        assert f"the artifact {name} is not imported" in told
    found = trials["n"]
    assert found.metadata["source"] == f"wandb:/digits/{trial.trial.uid}"
    assert found.parameters == {"lr": 0.1, "o.x": 1}
    assert found.status == Status.Completed
    assert found.metrics["loss"] == {1: 2.5, 2: 1.5, 3: 4.5}
    assert found.metrics["track/step"].items() >= {1: 5, 2: 3, 3: 9}.items()
