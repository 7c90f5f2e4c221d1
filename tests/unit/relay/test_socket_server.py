"""The server of the socket backend: what a program does with it, how it begins and ends."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.hostile import until
from tests.relays import PATIENCE_S, Running, fill, served, server_uri
from track.errors import (
    AuthenticationError,
    JournalUnreachable,
    TrackError,
)
from track.events.types import MetricsLogged
from track.persistence import get_protocol
from track.persistence.socketed import (
    ServerSignalHandler,
    SocketServer,
)
from track.structure import Project, Status, Trial, TrialGroup

ROOT = Path(__file__).resolve().parents[3]

RUN = """
import sys
from track.persistence.socketed import start_track_server

start_track_server({arguments})
"""


@pytest.fixture
def running():
    with served("file:store.json") as running:
        yield running


def log(store, trial, steps):
    for step in steps:
        store.log_trial_metrics(trial, step=step, loss=step)
    store.commit()


def metrics(found):
    return [item.event.step for item in found if isinstance(item.event, MetricsLogged)]


# The server, for the program that it is part of


def test_a_server_is_a_backend(running):
    """What is asked of it, its own backend does; clients see it."""
    server = running.server
    trial = fill(server)
    assert server.get_project(Project(name="project")).name == "project"
    assert server.get_trial_group(TrialGroup(_uid="group")).name == "g"
    assert server.get_trial(trial) == [trial]
    server.log_trial_start(trial)
    server.log_trial_metrics(trial, step=1, loss=1.0)
    server.log_trial_arguments(trial, lr=1)
    server.add_trial_tags(trial, tag=1)
    server.log_trial_metadata(trial, here=1)
    server.set_trial_status(trial, Status.Running)
    server.log_trial_finish(trial)
    server.set_group_metadata(server.get_trial_group(TrialGroup(_uid="group")), by="server")
    updated = server.fetch_and_update_trial({}, "set_trial_status", status=Status.Completed)
    assert updated.status == Status.Completed
    server.commit()
    with pytest.raises(AttributeError):
        server.fetch_and_update_trial({}, "close")
    store = get_protocol(running.uri())
    (found,) = store.fetch_trials()
    assert (found.status, found.metrics) == (Status.Completed, {"loss": {1: 1.0}})
    assert store.fetch_groups()[0].metadata == {"by": "server"}
    store.close()


def test_arguments_get_the_objects_of_the_backend(running):
    """Wherever they are; what the backend does not know stays as it is."""
    server = running.server
    fill(server)
    server.set_trial_status(Trial(_hash="hash"), Status.Running)
    other = Trial(_hash="other")
    args = {
        "trial": Trial(_hash="hash"),
        "trials": [Trial(_hash="hash"), other],
        "pair": (Project(name="project"), TrialGroup(_uid="group")),
        "number": 3,
        "text": "hash_0",
    }
    found = server.process_args(args)
    assert found["trial"].status == Status.Running
    assert found["trials"][0].status == Status.Running
    assert found["trials"][1] is other
    assert isinstance(found["pair"], tuple)
    assert found["pair"][1].name == "g"
    assert (found["number"], found["text"]) == (3, "hash_0")
    cached = Trial(_hash="hash")
    assert server.process_args([Trial(_hash="hash")], {"hash_0": cached})[0] is cached
    assert server.process_args(7) == 7


def on_loop(running, coroutine):
    """Run a coroutine where the server runs."""
    return asyncio.run_coroutine_threadsafe(coroutine, running.server._loop).result(PATIENCE_S)


def test_a_method_is_run_for_a_client_that_has_logged_in(running, store):
    """And for nobody else."""
    server = running.server
    store.new_project(Project(name="project"))
    (reader,) = server._relay._peers
    writer = server._relay._peers[reader].writer
    args = {"project": Project(name="project")}
    found = on_loop(
        running, server.exec(reader, writer, "get_project", server.backend.get_project, args)
    )
    assert found.name == "project"

    async def by_a_stranger():
        stranger = asyncio.StreamReader()
        assert not server.is_authenticated(stranger)
        await server.exec(stranger, writer, "get_project", server.backend.get_project, args)

    with pytest.raises(AuthenticationError, match="get_project was called before the login"):
        on_loop(running, by_a_stranger())


def test_a_client_that_is_disconnected_comes_back(running, store):
    """Its next request is on another connection."""
    store.new_project(Project(name="project"))
    ((reader, peer),) = running.server._relay._peers.items()
    running.server._loop.call_soon_threadsafe(running.server.close_connection, peer.writer)
    until(lambda: reader not in running.server._relay._peers)
    assert running.server.get_username(reader) is None
    assert [project.name for project in store.fetch_projects()] == ["project"]


def test_a_server_may_handle_its_clients_in_its_own_way():
    """Each connection comes through ``handle_client``."""

    class Counting(SocketServer):
        count = 0

        async def handle_client(self, reader, writer):
            self.count += 1
            await super().handle_client(reader, writer)

    running = Running(Counting(server_uri("memory:")))
    for _ in range(3):
        store = get_protocol(running.uri())
        assert store.fetch_projects() == []
        store.close()
    assert running.server.count == 3
    running.stop()


def test_a_server_ends_when_it_is_told_to():
    """Once or twice, by any thread, also before it has begun; then its backend is closed."""
    running = Running(SocketServer(server_uri("file:one.json")))
    assert not running.server.wait_closed(0)
    assert not running.server.is_ending()
    running.server.close()
    running.server.close()
    assert running.server.wait_closed(PATIENCE_S)
    running.stop()
    with pytest.raises(TrackError):
        running.server.backend.new_project(Project(name="late"))
    early = SocketServer(server_uri("file:two.json"))
    early.close()
    early.run_server()
    assert early.wait_closed(0)


def test_a_port_that_is_taken_is_told_of(running):
    """At once, and the backend is closed."""
    second = SocketServer(server_uri("memory:", running.port))
    with pytest.raises(OSError, match="cannot listen: Address already in use"):
        second.run_server()
    assert second.wait_closed(0)


# Processes


def start(*arguments):
    """Run a server in a process, as a script would; return it when it listens."""
    program = RUN.format(arguments=", ".join(map(repr, arguments)))
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: _listens(arguments[2]) or process.poll() is not None)
    return process


def _listens(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_server_well(port, signum, tmp_path):
    """With exit code 0; the journal has what was acknowledged, and the report is there."""
    process = start(f"file:{tmp_path / 'store.json'}", "127.0.0.1", port)
    store = get_protocol(f"socket://127.0.0.1:{port}?timeout=1")
    trial = fill(store)
    feed = store.subscribe()
    next(feed)
    log(store, trial, range(100))
    store.new_project(Project(name="last"))
    process.send_signal(signum)
    assert process.wait(PATIENCE_S) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
    (first, last) = json.loads((tmp_path / "store.json").read_text())
    assert len(first["trials"][0]["metrics"]["loss"]) == 100
    assert last["name"] == "last"
    kept = get_protocol(f"file:{tmp_path / 'store.json'}")
    assert metrics(kept.events()) == list(range(100))
    kept.close()
    feed.close()
    store.close()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_server_at_once(port, second, tmp_path):
    """It waits for nothing: here a decision that somebody else is in the way of."""
    path = tmp_path / "store.json"
    process = start(f"file:{path}?lock_timeout=300", "127.0.0.1", port)
    kept = get_protocol(f"file:{path}")
    with kept.exclusive_state():
        store = get_protocol(f"socket://127.0.0.1:{port}?timeout=1")
        asking = threading.Thread(target=_ask_in_vain, args=(store,))
        asking.start()
        asking.join()
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(second)
        assert process.wait(PATIENCE_S) != 0
    process.stderr.close()
    kept.close()
    store.close()


def _ask_in_vain(store):
    with suppress(JournalUnreachable):
        store.new_project(Project(name="in vain"))


def test_signals_are_given_back(running):
    """A program whose server has ended has its own handlers again."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    server = SocketServer(server_uri("memory:"))
    handler = ServerSignalHandler(server)
    handler.install()
    assert signal.getsignal(signal.SIGTERM) not in before
    os.kill(os.getpid(), signal.SIGTERM)
    until(server.is_ending)
    handler.remove()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    server.run_server()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
