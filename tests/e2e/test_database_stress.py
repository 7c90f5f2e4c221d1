"""Many clients of a database are killed, and so is the server: nothing is lost or invented.

``python tools/stress_database.py`` does the same with more clients, for longer.
"""

import os

import pytest

from tests.databases import PostgresServer
from tools.stress_database import stress

ROUNDS = int(os.environ.get("TRACK_FAULT_ROUNDS", "6"))

CLIENTS = 6


MAY_WARN = {"track.forwarding.forwarder", "track.utils.waiting"}
"""Who says, once each, that a server does not answer, and that it does again."""


@pytest.fixture
def server():
    server = PostgresServer()
    yield server
    server.stop()


def test_many_clients_and_their_server_may_be_killed(server, start, tmp_path):
    """All that clients were told is there once, without gaps, and a copy in a file is equal."""
    counts = stress(server, tmp_path, start, CLIENTS, range(ROUNDS))
    assert counts["kills of clients"] == ROUNDS
    assert counts["kills of the server"] >= 1
    assert counts["did"] > ROUNDS
