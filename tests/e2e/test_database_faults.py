"""Servers that are killed, and are away: nothing acknowledged is lost, and nothing is there twice.

``TRACK_FAULT_ROUNDS`` says how often a server is killed under load. The server of these tests is
their own.
"""

import os
import signal
import threading
import warnings
from contextlib import suppress

import pytest

from tests.databases import KINDS
from tests.e2e.faults import (
    Place,
    Worker,
    ask,
    check_work,
    end,
    patience,
    silence,
    wait_for_more,
)
from tests.e2e.stores import answer, events_of, open_store, say, wait_for_word, with_options
from track import TrackClient
from track.errors import JournalUnreachable, NotRecordedWarning
from track.events.types import MetricsLogged, TrialFinished
from track.structure import Status

ROUNDS = int(os.environ.get("TRACK_FAULT_ROUNDS", "4"))

WORKERS = 3


MAY_WARN = {"track.forwarding.forwarder", "track.utils.waiting"}
"""Who says, once each, that a server does not answer, and that it does again."""


@pytest.fixture(scope="module", params=KINDS)
def server(request):
    """A server that may be killed, and runs again at the end of each test."""
    server = KINDS[request.param]()
    server.kind = request.param
    yield server
    server.stop()


@pytest.fixture
def place(server, tmp_path):
    yield Place(server.kind, tmp_path, server.port)
    if server._process.poll() is not None:
        server.start()  # for the next test, whatever became of this one


def work(uri, name):
    """Be a process that logs and decides until it is told to stop."""
    silence()
    worker = Worker(uri, name)
    told = threading.Event()
    threading.Thread(target=lambda: (wait_for_word(), told.set()), daemon=True).start()
    say("ready")
    thread = threading.Thread(target=log_until, args=(worker, told))
    thread.start()
    number = 0
    while not told.is_set():
        worker.decide(number)
        number += 1
    thread.join()
    worker.store.close()
    answer(worker.result())


def log_until(worker, told):
    """Log at the pace of a fast training loop."""
    while not told.wait(0.001):
        worker.log()


def kill(server):
    """Kill the server, and start it again."""
    end(server)
    server.start()


def stop(server):
    """Stop the server without waiting for its clients, and start it again."""
    server._process.send_signal(signal.SIGINT)
    server._process.wait()
    server.start()


OF_CLIENTS = "FROM pg_stat_activity WHERE application_name = 'track'"


def end_sessions(server):
    """End everything that the server does for clients, as who administers it may."""
    ask(server, f"SELECT count(pg_terminate_backend(pid)) {OF_CLIENTS}")


def crash(server):
    """Kill the process behind one session, whereupon the server ends all of them and recovers."""
    for _ in patience():
        found = ask(server, f"SELECT pid {OF_CLIENTS} LIMIT 1")
        if found is not None:
            with suppress(ProcessLookupError):
                os.kill(found[0], signal.SIGKILL)
            return


@pytest.mark.parametrize("fail", [kill, stop, end_sessions, crash])
def test_a_server_that_fails_under_load_loses_nothing(server, place, start, fail):
    """Log calls raise nothing; decisions wait, or say that they failed; all is there once."""
    if fail is not kill and server.kind == "cockroach":
        pytest.skip("a fault of PostgreSQL")
    uri = place.uri(timeout=25)
    workers = [start(work, uri, f"worker{number}") for number in range(WORKERS)]
    for worker in workers:
        worker.wait_for("ready")
    for _ in range(ROUNDS):
        wait_for_more(server, place.log)
        fail(server)
    wait_for_more(server, place.log)
    for worker in workers:
        worker.tell()
    counts = check_work(uri, [worker.end() for worker in workers])
    assert counts["succeeded"] > ROUNDS
    place.check(uri)


def run_a_trial(uri, fails):
    """Be a script whose trial begins and ends while the server is down, and tell how it ended."""
    silence()
    warnings.simplefilter("ignore", NotRecordedWarning)
    client = TrackClient(with_options(uri, timeout=1))
    client.set_project(name="project")
    trial = client.new_trial(name="trial")
    trial.insert()
    say("made")
    wait_for_word()
    try:
        with trial:
            for step in range(100):
                trial.log_metrics(step=step, loss=step / 7)
            if fails:
                raise ZeroDivisionError("mine")
    except (JournalUnreachable, ZeroDivisionError) as error:
        answer([type(error).__name__, str(error)])


@pytest.mark.parametrize("fails", [False, True])
def test_a_trial_that_nobody_could_be_told_of_is_sent_by_the_next_process(
    server, place, start, fails
):
    """Its end says where it is kept, unless it has an error of its own to tell; nothing is lost."""
    uri = place.uri()
    script = start(run_a_trial, uri, fails)
    script.wait_for("made")
    end(server)
    script.tell()
    kind, message = script.end()
    server.start()
    if fails:
        assert (kind, message) == ("ZeroDivisionError", "mine")
    else:
        assert kind == "JournalUnreachable"
        assert f"safe in {place.spool}" in message
    store = open_store(uri)
    (trial,) = store.fetch_trials()
    store.close()
    assert trial.status is (Status.Exception if fails else Status.Completed)
    assert trial.metrics["loss"] == {step: step / 7 for step in range(100)}
    events = [recorded.event for recorded in events_of(uri)]
    assert sum(isinstance(event, MetricsLogged) for event in events) == 100
    assert sum(isinstance(event, TrialFinished) for event in events) == 1
    place.check(uri)
