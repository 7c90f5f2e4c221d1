"""Stores that runs are imported into or pushed from, and a double of MLflow's server."""

import pytest

from tests.tracking_server import TrackingServer
from track import TrackClient
from track.exchange import Pusher
from track.exchange.bridges.mlflow import MLflow
from track.persistence import get_protocol


@pytest.fixture
def client(tmp_path):
    made = TrackClient(f"file:{tmp_path / 'runs.json'}")
    made.set_project("digits")
    yield made
    made.close()


@pytest.fixture
def store(tmp_path):
    """A store for runs of other tools."""
    made = get_protocol(f"file:{tmp_path / 'store.json'}")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch):
    for name in ("URI", "USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


@pytest.fixture
def server():
    with TrackingServer() as running:
        yield running


def push_to_mlflow(store, server, patience_s=30.0, **options):
    """Push the trials of a store to a server of MLflow, once."""
    with Pusher(store, MLflow(server.url, patience_s=patience_s), **options) as pusher:
        return pusher.push()


def log_steps(trial, steps):
    for step in steps:
        trial.log_metrics(step=step, loss=1 / (step + 1))
