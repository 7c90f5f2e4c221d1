"""Relays that are killed under load, and clients, too: what was acknowledged is there, and once.

``TRACK_FAULT_ROUNDS`` says how often the server is killed.
"""

import os
import random

import pytest

from tests.e2e.relay_work import (
    LAYERS,
    Crowd,
    Place,
    check_work,
    fill,
    pause,
    serving,
    wait_for_more,
)
from track.persistence.socketed import sync

ROUNDS = int(os.environ.get("TRACK_FAULT_ROUNDS", "3"))

CLIENTS = 8


@pytest.fixture(autouse=True)
def silent(capfd):
    """No server says anything: whoever it loses comes again. Who waits for one for long says so."""
    yield
    said = capfd.readouterr().err.splitlines()
    assert [line for line in said if not line.startswith("Waiting for ")] == []


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.mark.parametrize("layer", LAYERS)
def test_servers_and_clients_that_are_killed_lose_nothing(place, start, tmp_path, layer):
    """Log calls raise nothing, decisions wait or say that they failed, and all is there once."""
    chance = random.Random(layer)
    with serving(place, layer) as server:
        uri = server.uri(spool=place.spool)
        fill(uri, 40 * ROUNDS)
        crowd = Crowd(start, uri, tmp_path / "notes")
        for _ in range(CLIENTS):
            crowd.grow()
        for _ in range(ROUNDS):
            wait_for_more(place)
            for act in chance.sample([server.kill, crowd.lose], 2):
                pause(chance, 0.1)
                act()
            crowd.grow()
            pause(chance, 0.2)
            server.start()
        wait_for_more(place)
        crowd.end()
        sync(uri)
        counts = check_work(place, tmp_path / "notes")
        print(f"{layer}: {dict(counts)}")
        assert counts["did"] > ROUNDS
        assert place.files() == []
        place.check(uri)
