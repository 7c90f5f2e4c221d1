"""What the tests of real frameworks get."""

import socket

import pytest


@pytest.fixture
def free_tcp_port():
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
