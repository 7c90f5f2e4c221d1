"""What the tests of nodes share."""

import socket

import pytest

from tests.unit.distributed.nodes import Double


@pytest.fixture
def double(tmp_path, monkeypatch):
    """Put the double on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return Double(folder, monkeypatch)


@pytest.fixture
def location(tmp_path):
    """Return where a node goes. There is nothing yet."""
    return tmp_path / "location"


@pytest.fixture
def addresses():
    """Return two addresses that nobody listens on."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    found = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    return found
