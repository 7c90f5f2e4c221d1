"""What every test between processes gets: a store, processes that end with it, and silence."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.databases import KINDS, port_of, uri_of
from tests.e2e.faults import Place
from tests.e2e.stores import URIS, Process
from tests.proxy import Proxy
from tests.relays import ServerProcess


@pytest.fixture(params=[*URIS, "socket"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Each store: in the working folder, which is new, in a log of a database, or at a server."""
    if request.param in KINDS:
        yield uri_of(request.param, str(tmp_path)[-255:], spool=tmp_path / "spool")
    elif request.param == "socket":
        server = ServerProcess(f"file:{tmp_path / 'served.json'}", security_layer="AES")
        yield server.uri(spool=tmp_path / "spool")
        assert server.stop() == 0
    else:
        yield request.param


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A log of each kind of database, and the spools of those who log to it."""
    return Place(request.param, tmp_path)


@pytest.fixture
def proxy(place: Place) -> Iterator[Proxy]:
    """What stands between clients and the database."""
    with Proxy(port_of(place.kind)) as proxy:
        yield proxy


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Start functions in processes of their own; all are gone in the end."""
    started: list[Process] = []

    def start_one(function: Callable[..., None], *arguments: object) -> Process:
        started.append(Process(function, *arguments))
        return started[-1]

    yield start_one
    for process in started:
        process.clean_up()


@pytest.fixture(autouse=True)
def silent(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test ends with a warning, but for those of the loggers in ``MAY_WARN`` of its module."""
    may_warn = getattr(request.module, "MAY_WARN", ())
    with caplog.at_level(logging.WARNING, "track"):
        yield
        said = [record for record in caplog.records if record.name not in may_warn]
        assert [record.getMessage() for record in said] == []
