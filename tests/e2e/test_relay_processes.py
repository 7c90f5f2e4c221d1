"""Relays and their clients as processes: stopped, ended, forked, interrupted, gone at the end.

``TRACK_FAULT_ROUNDS`` says how often.
"""

import json
import logging
import multiprocessing
import os
import random
import signal
import socket
import sys
import time
from functools import partial

import pytest

from tests.databases import free_port, port_of
from tests.databases import uri_of as database_uri
from tests.e2e.faults import patience, silence, until_reached, wait_until_served
from tests.e2e.relay_work import (
    LAYERS,
    Client,
    Place,
    check_work,
    fill,
    go_on,
    in_thread,
    pause,
    serving,
    stop,
    wait_for_more,
    work,
)
from tests.e2e.stores import open_store, say, wait_for_word
from tests.proxy import Proxy
from tests.relays import PATIENCE_S, served, uri_of
from track import TrackClient
from track.errors import InsecureConnection, JournalUnreachable
from track.events.types import MetricsLogged, StatusChanged, TrialFinished
from track.persistence.socketed import start_track_server, sync
from track.structure import Project, Status, Trial

ROUNDS = int(os.environ.get("TRACK_FAULT_ROUNDS", "3"))

TRIAL = Trial(_hash="trial")

LONG_S = 300
"""A timeout that no test survives, however often a server is away."""


MAY_WARN = {"track.forwarding.forwarder", "track.utils.waiting"}
"""Who says, once each, that a server does not answer, and that it does again."""


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture(params=LAYERS)
def server(request, place):
    with serving(place, request.param) as server:
        yield server


def make_trial(uri):
    """Return a store with a project and a trial."""
    store = open_store(uri)
    store.new_project(Project(name="project"))
    store.new_trial(Trial(_hash="trial", project_id="project"))
    return store


def log_steps(store, steps):
    for step in steps:
        store.log_trial_metrics(TRIAL, step=step, loss=step / 7)


# Servers


def test_a_server_that_is_stopped_gets_everything_when_it_goes_on(server, place):
    """Whoever waits for an answer is told where the data is; then all arrives, once."""
    store = make_trial(server.uri(spool=place.spool, timeout=0.5))
    log_steps(store, range(10))
    stop(server)
    log_steps(store, range(10, 20))
    for call in (store.commit, store.fetch_trials, lambda: store.new_project(Project(name="new"))):
        with pytest.raises(JournalUnreachable, match=f"safe in {place.spool}"):
            call()
    log_steps(store, range(20, 30))
    go_on(server)
    until_reached(store.commit)
    assert place.steps() == list(range(30))
    store.close()
    assert place.files() == []
    place.check(server.uri(spool=place.spool))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_server_that_is_told_to_end_has_what_it_acknowledged(place, start, tmp_path, layer):
    """It ends well under load; what its clients were told is in the journal then; they go on."""
    chance = random.Random(layer)
    notes = tmp_path / "notes"
    notes.mkdir()
    with serving(place, layer) as server:
        uri = server.uri(spool=place.spool, timeout=LONG_S)
        fill(uri, 100)
        for begin in range(0, ROUNDS, 5):
            names = [f"client{begin + number}" for number in range(3)]
            workers = [start(work, uri, str(notes / name)) for name in names]
            for worker in workers:
                worker.wait_for("ready")
            for _ in range(begin, min(begin + 5, ROUNDS)):
                wait_for_more(place)
                pause(chance, 0.1)
                assert server.stop() == 0
                events = [recorded.event for recorded in place.events()]
                there = {event.error for event in events if isinstance(event, StatusChanged)}
                assert updates_in(notes) <= there
                server.start()
            for worker in workers:
                worker.tell()
            for worker in workers:
                worker.end()
        assert check_work(place, notes)["failed JournalUnreachable"] == 0
        place.check(uri)
        assert server.stop() == 0


def updates_in(notes):
    """Return which guarded updates clients were told of."""
    told = set()
    for path in notes.iterdir():
        for word, *rest in map(json.loads, path.read_text().splitlines()):
            if word == "did" and rest[0] == "update":
                told.add(f"{path.name} update {rest[1]}")
    return told


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_server_is_the_target_of_a_process(place, layer, method):
    """However that is started; told to terminate, it ends well, with its report in place."""
    port = free_port()
    process = multiprocessing.get_context(method).Process(
        target=start_track_server, args=(place.backend, "127.0.0.1", port, layer), daemon=True
    )
    process.start()
    wait_until_served(port)  # a spawned process imports everything again first
    uri = uri_of(port, security_layer=layer, spool=place.spool, timeout=LONG_S)
    store = make_trial(uri)
    log_steps(store, range(100))
    store.close()
    process.terminate()
    process.join(PATIENCE_S)
    assert process.exitcode == 0
    assert place.steps() == list(range(100))
    assert b'"loss"' in place.report.read_bytes()


@pytest.mark.parametrize("layer", LAYERS)
def test_a_server_in_a_thread_is_as_good(place, layer):
    """Its clients may be in the same process; it can be closed, and another one takes its place."""
    for number in range(3):
        with served(place.backend, security_layer=layer) as running:
            store = make_trial(running.uri(spool=place.spool))
            log_steps(store, [number])
            store.close()
    assert place.steps() == [0, 1, 2]


def test_a_child_of_a_server_keeps_nothing_of_it(place):
    """No port and no connection: they end with the server, however long a child of it lives."""
    with served(place.backend) as running:
        port = running.port
        store = make_trial(running.uri(spool=place.spool, timeout=2))
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(LONG_S,))
        child.start()
    try:
        wait_until_served(port, served=False)  # the child has begun
        with served(f"{place.backend}", port=port):
            log_steps(store, [0])
            store.commit()
            store.close()
    finally:
        child.kill()
        child.join()
    assert place.steps() == [0]


# Servers in front of something that fails


@pytest.mark.parametrize("live", [False, True])
def test_readers_are_told_that_what_is_behind_the_server_is_away(tmp_path, live):
    """They are not sent away to come again for ever."""
    with Proxy(port_of("postgres")) as proxy:
        log = str(tmp_path)[-255:]
        backend = database_uri("postgres", log, proxy.port, spool=tmp_path / "of-server", timeout=1)
        with served(backend) as running:
            store = make_trial(running.uri(spool=tmp_path / "of-client", timeout=LONG_S))
            proxy.refuse()
            with pytest.raises(JournalUnreachable, match="did not answer"):
                next(store.subscribe() if live else store.events())
            proxy.forward()
            events = store.subscribe() if live else store.events()
            assert next(events).event.name == "project"
            events.close()
            store.close()


def test_a_subscription_to_no_position_is_refused(place):
    """At once: it is not asked for again and again."""
    with served(place.backend) as running:
        store = make_trial(running.uri(spool=place.spool, timeout=LONG_S))
        with pytest.raises(InsecureConnection, match="-1 is not a position"):
            next(store.subscribe(-1))
        store.close()


# Clients


def log_and_leave(uri):
    """Be a script that ends without closing its client, while the server is gone."""
    logging.basicConfig()
    store = make_trial(uri)
    log_steps(store, range(50))
    store.commit()
    say("logged")
    wait_for_word()
    log_steps(store, range(50, 100))


def test_what_a_client_logged_that_nobody_closed_is_sent_at_the_end(server, place, start):
    """Also when the client was collected before, as that of a function is when it returns."""
    script = start(log_and_leave, server.uri(spool=place.spool, timeout=25))
    script.wait_for("logged")
    script.tell()
    script.end()
    assert place.steps() == list(range(100))
    assert place.files() == []


@pytest.mark.parametrize("sender", ["sync", "client"])
def test_what_is_left_at_the_end_of_a_client_is_sent_later(server, place, start, sender):
    """A warning says where it is; somebody else sends it, once."""
    uri = server.uri(spool=place.spool, timeout=0.5)
    script = start(log_and_leave, uri)
    script.wait_for("logged")
    server.kill()
    script.tell()
    _, errors = script._popen.communicate()
    assert script._popen.returncode == 0
    assert "Traceback" not in errors
    assert f"All logged events are safe in {place.spool}" in errors
    assert place.files() != []
    server.start()
    if sender == "sync":
        assert sync(uri) == 50
        assert sync(uri) == 0
    else:
        store = open_store(uri)
        assert list(store.fetch_trials()[0].metrics["loss"]) == list(range(100))
        store.close()
    assert place.steps() == list(range(100))
    assert place.files() == []
    place.check(uri)


def fork_and_go_on(uri, notes):
    """Be a process that forks in the middle of everything, and whose child does the same."""
    silence()
    parent = Client(uri, f"{notes}/parent")
    parent.decide(0)
    feed = parent.store.subscribe()
    before = next(feed).position
    pid = os.fork()
    if not pid:
        code = 1
        try:
            del feed
            child = parent
            child.notes = type(parent.notes)(f"{notes}/child")
            child.name = "child"
            child.notes.add("try", "born", 0)
            child.trial = child.store.new_trial(Trial(_hash="child", project_id="project"))
            child.notes.add("did", "born", 0, None)
            child._sink = child.store.metrics_sink(child.trial)
            go_on_for(child)
            child.store.commit()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    go_on_for(parent)
    parent.store.commit()
    assert os.waitpid(pid, 0)[1] == 0
    assert next(feed).position > before
    parent.store.close()


def go_on_for(client, calls=100):
    for number in range(1, calls):
        client.log()
        client.decide(number)


def test_a_forked_child_has_a_connection_of_its_own(server, place, start, tmp_path):
    """Both go on with the same client, and nothing of either is lost, or there twice."""
    uri = server.uri(spool=place.spool, timeout=10)
    fill(uri, 100)
    notes = tmp_path / "notes"
    notes.mkdir()
    start(fork_and_go_on, uri, str(notes)).end()
    counts = check_work(place, notes)
    assert sum(number for word, number in counts.items() if word.startswith("failed")) == 0
    place.check(uri)


ASKING = {
    "query": lambda store: store.fetch_trials(),
    "update": lambda store: store.fetch_and_update_trial(
        {}, "set_trial_status", status=Status.Running
    ),
    "project": lambda store: store.new_project(Project(name="project")),
    "commit": lambda store: store.commit(),
    "events": lambda store: list(store.events()),
}


def ask_until_interrupted(uri, what):
    """Be a script whose trial logs and asks all the time, and tell how it ended."""
    client = TrackClient(uri)
    client.set_project(name="project")
    with client.new_trial() as trial:
        for step in range(10**9):
            trial.log_metrics(step=step, loss=step / 7)
            ASKING[what](client.protocol)
            if step == 20:
                say("asking")


@pytest.mark.parametrize("what", ASKING)
def test_a_signal_that_comes_while_the_server_is_asked_ends_the_trial(place, start, what):
    """At once, however long the timeout is: its thread does not wait for what it has itself."""
    with serving(place) as server:
        uri = server.uri(spool=place.spool, timeout=LONG_S)
        script = start(ask_until_interrupted, uri, what)
        script.wait_for("asking")
        script._popen.send_signal(signal.SIGINT)
        _, errors = script._popen.communicate()
        assert "KeyboardInterrupt" in errors
        store = open_store(uri)
        (trial,) = store.fetch_trials()
        assert trial.status is Status.Interrupted
        store.close()
        assert sum(isinstance(r.event, TrialFinished) for r in place.events()) == 1


def test_a_client_does_not_take_itself_for_the_server(place, monkeypatch):
    """Who connects to a free port of this machine may be given the same one, and reach itself."""
    port = free_port()
    connect = partial(socket.create_connection, source_address=("127.0.0.1", port))
    store = open_store(uri_of(port, spool=place.spool, timeout=0.04))
    with monkeypatch.context() as patched:
        patched.setattr("socket.create_connection", connect)
        with pytest.raises(JournalUnreachable, match="refused"):
            store.fetch_trials()
    store.close()


# Subscribers


def follow(uri, after, found):
    """Note what a subscriber is given, until the last event comes."""
    store = open_store(uri)
    for recorded in store.subscribe(after):
        found.append((recorded.position, recorded.producer, recorded.sequence))
        if isinstance(recorded.event, MetricsLogged) and recorded.event.step == -1:
            break
    store.close()


@pytest.mark.parametrize("layer", LAYERS)
def test_subscribers_miss_nothing_while_servers_are_killed(place, start, tmp_path, layer):
    """Wherever they begin: what comes is what is in the journal, in its order."""
    chance = random.Random(layer)
    (tmp_path / "notes").mkdir()
    with serving(place, layer) as server:
        uri = server.uri(spool=place.spool, timeout=25)
        fill(uri, 20)
        middle = place.events()[-5].position
        feeds = {after: [] for after in (0, middle)}
        threads = [in_thread(follow, uri, after, found) for after, found in feeds.items()]
        worker = start(work, uri, str(tmp_path / "notes" / "client"))
        worker.wait_for("ready")
        for _ in range(ROUNDS):
            wait_for_more(place, 5000)
            pause(chance, 0.1)
            server.kill()
            pause(chance, 0.2)
            server.start()
        worker.tell()
        worker.end()
        store = make_trial(uri)
        log_steps(store, [-1])
        store.close()
        for thread in threads:
            thread.join(PATIENCE_S)
        everything = [(r.position, r.producer, r.sequence) for r in place.events()]
        assert feeds[0] == everything
        assert feeds[middle] == [found for found in everything if found[0] > middle]


def test_subscribers_are_told_of_what_others_put_in_the_journal(place):
    """All of them, and also of what did not pass the server."""
    with served(place.backend) as running:
        store = make_trial(running.uri(spool=place.spool))
        beside = open_store(place.backend)
        feeds = [[] for _ in range(3)]
        threads = [in_thread(follow, running.uri(), 0, found) for found in feeds]
        for step in range(20):
            log_steps(beside, [step])
            for _ in patience():
                if all(len(found) == len(place.events()) for found in feeds):
                    break
        log_steps(beside, [-1])
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        beside.close()
        store.close()
