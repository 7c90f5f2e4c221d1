"""Relays that are killed under load, and clients, too: what was acknowledged is there, and once.

``TRACK_FAULT_ROUNDS`` says how often the server is killed.
"""

import os
import random
from collections import deque

import pytest

from tests.e2e.relay_work import (
    LAYERS,
    Place,
    check_work,
    fill,
    pause,
    serving,
    wait_for_more,
    work,
)
from track.persistence.socketed import sync

ROUNDS = int(os.environ.get("TRACK_FAULT_ROUNDS", "5"))

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


class Crowd:
    """Clients in processes of their own, of which some are killed and others take their place."""

    def __init__(self, start, uri, notes):
        self._start = start
        self._uri = uri
        self._notes = notes
        self._living = deque()
        self._born = 0
        notes.mkdir()

    def grow(self):
        """Start one more client; some give up sooner than others."""
        patience_s = 1 if self._born % 4 == 3 else 25
        notes = self._notes / f"client{self._born}"
        self._living.append(self._start(work, f"{self._uri}&timeout={patience_s}", str(notes)))
        self._born += 1

    def lose(self):
        """Kill the oldest client."""
        self._living.popleft().kill()

    def end(self):
        """Tell all to end, and wait until they have."""
        for client in self._living:
            client.wait_for("ready")
            client.tell()
        for client in self._living:
            client.end()


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
