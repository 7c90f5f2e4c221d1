"""What the tests of real frameworks get."""

import socket

import pytest


@pytest.fixture
def free_tcp_ports():
    """Two ports of this machine that nobody listens at."""
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
