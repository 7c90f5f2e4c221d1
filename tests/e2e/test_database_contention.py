"""Many clients at one log of a database, some of which are stopped in the middle of things.

``TRACK_STOP_ROUNDS`` says how often a process is stopped in a burst of log calls.
"""

import os
import random
import threading
import time

import pytest

from tests.databases import sql_journal
from tests.e2e.faults import Worker, check_work, silence, steps_of, until_reached
from tests.e2e.stores import answer, events_of, open_store, say, wait_for_word
from tests.programs import run_at_once
from track.errors import ConcurrentWrite
from track.events.codec import stream_id
from track.events.types import MetricsLogged, StatusChanged
from track.journals.producer import Producer
from track.journals.sql import session as sql_session
from track.journals.sql.schema import PART_BYTES
from track.structure import Project, Status, Trial

ROUNDS = int(os.environ.get("TRACK_STOP_ROUNDS", "8"))

PROCESSES, THREADS = 4, 8
CALLS = 8

TRIAL = Trial(_hash="trial")

FORGET_MS = 500
"""After which the server forgets a transaction whose client was stopped."""


MAY_WARN = {"track.forwarding.forwarder", "track.utils.waiting"}
"""Who says, once each, that a server does not answer, and that it does again."""


@pytest.fixture
def uri(place):
    """A store with a project and a trial, which in the end is as it should be."""
    uri = place.uri()
    store = open_store(uri)
    store.new_project(Project(name="project"))
    store.new_trial(Trial(_hash="trial", project_id="project"))
    store.close()
    yield uri
    place.check(uri)


# Storms


def log_and_decide(uri, name, barrier, results):
    """Be a thread with a client of its own."""
    worker = Worker(uri, name)
    barrier.wait()
    for number in range(CALLS):
        worker.log()
        worker.decide(number)
    worker.store.close()
    results.append(worker.result())


def append_one_by_one(kind, log, name, barrier):
    """Be a thread that sends each event by itself, some of them as decisions."""
    journal = sql_journal(kind, log)
    producer = Producer(journal)
    stream = stream_id("trial", TRIAL.uid)
    barrier.wait()
    for number in range(CALLS):
        producer.record(stream, MetricsLogged(number, {name: number}, None))
        with journal.exclusive():
            counts = [r.event.values["count"] for r in journal.read() if is_count(r)]
            event = MetricsLogged(0, {"count": len(counts)}, None)
            producer.record(stream, event)
    journal.close()


def is_count(recorded):
    return isinstance(recorded.event, MetricsLogged) and "count" in recorded.event.values


def be_many(uri, kind, log, number):
    """Be a process of many threads, all of which log and decide."""
    results = []
    barrier = threading.Barrier(THREADS)
    threads = [
        threading.Thread(target=log_and_decide, args=(uri, f"{number}.{i}", barrier, results))
        if i % 2
        else threading.Thread(target=append_one_by_one, args=(kind, log, f"{number}.{i}", barrier))
        for i in range(THREADS)
    ]
    run_at_once(threads)
    answer(results)


def test_writers_that_get_in_each_others_way_all_get_done(uri, place, start):
    """Every append and every decision of every one is there, once, and none had to fail."""
    processes = [start(be_many, uri, place.kind, place.log, number) for number in range(PROCESSES)]
    results = [result for process in processes for result in process.end()]
    assert len(results) == PROCESSES * THREADS // 2
    assert check_work(uri, results) == {"succeeded": len(results) * CALLS * 2}
    events = [r.event for r in events_of_all(uri) if isinstance(r.event, MetricsLogged)]
    counts = [event.values["count"] for event in events if "count" in event.values]
    assert counts == list(range(PROCESSES * THREADS // 2 * CALLS))
    for number in range(PROCESSES):
        for i in range(0, THREADS, 2):
            name = f"{number}.{i}"
            found = [event.values[name] for event in events if name in event.values]
            assert found == list(range(CALLS))


def events_of_all(uri):
    store = open_store(uri)
    events = list(store.events())
    store.close()
    return events


# Stopped clients


def stop_in_an_append(uri):
    """Be a client that is stopped between two statements of one append."""
    silence()
    sql_session.IDLE_LIMIT_MS = FORGET_MS
    store = open_store(uri)
    sink = store.metrics_sink(TRIAL)
    change = sql_session.Session.change
    inside = []

    def change_and_stop(session, *args, **kwargs):
        changed = change(session, *args, **kwargs)
        if not inside and session._connection.get_transaction_status() != 0:
            inside.append(session)
            say("inside")
            wait_for_word()
        return changed

    sql_session.Session.change = change_and_stop
    for step in range(1500):
        # An event that is long takes several statements.
        sink(step, None, {"stopped": step / 7} | ({} if step else {"text": "x" * PART_BYTES}))
    store.close()


def stop_in_a_section(uri):
    """Be a client that is stopped in a section, and then decides."""
    sql_session.IDLE_LIMIT_MS = FORGET_MS
    store = open_store(uri)
    with store.exclusive_state():
        say("inside")
        wait_for_word()
        try:
            store.set_trial_status(TRIAL, Status.Suspended)
            answer("decided")
        except ConcurrentWrite:
            answer("lost")
    store.close()


def stop_in_a_turn(uri):
    """Be a client that is stopped while it is its turn to append."""
    store = open_store(uri)
    store.fetch_trials()
    with store.journal.journal._turn():
        say("inside")
        wait_for_word()
    store.close()


def stop(start, function, uri):
    """Start a client, and stop it once it is where it is to be stopped."""
    client = start(function, uri)
    client.wait_for("inside")
    client.stop()
    return client


def decide(store):
    store.fetch_and_update_trial({"uid": TRIAL.uid}, "set_trial_status", status=Status.Running)


def changes_in(uri):
    return [r.event.name for r in events_of_all(uri) if isinstance(r.event, StatusChanged)]


def test_a_client_stopped_in_an_append_is_forgotten(uri, start):
    """The others wait until the server rolls its transaction back; later it sends all of it."""
    stopped = stop(start, stop_in_an_append, uri)
    store = open_store(f"{uri}&timeout=1")
    for step in range(20):
        store.log_trial_metrics(TRIAL, step=step, loss=step / 7)
    until_reached(store.commit)
    until_reached(lambda: decide(store))
    store.close()
    assert steps_of(events_of(uri)) == {"trial": list(range(20))}
    stopped.go_on()
    stopped.tell()
    stopped.end()
    assert steps_of(events_of(uri)) == {"trial": [*range(20), *range(1500)]}


@pytest.mark.parametrize("others_decide", [True, False])
def test_a_client_stopped_in_a_section_loses_it(uri, start, others_decide):
    """The others wait until the server gives it to them; what was decided on old news fails."""
    stopped = stop(start, stop_in_a_section, uri)
    store = open_store(uri)
    store.log_trial_metrics(TRIAL, step=0, loss=0.5)
    store.commit()
    with store.journal.exclusive():
        pass
    if others_decide:
        decide(store)
    store.close()
    stopped.go_on()
    stopped.tell()
    assert stopped.end() == ("lost" if others_decide else "decided")
    assert changes_in(uri) == ["Running" if others_decide else "Suspended"]


def test_a_client_stopped_in_its_turn_is_passed_by(uri, start):
    """Whoever is sent to wait behind it appends without a turn, after a while."""
    stopped = stop(start, stop_in_a_turn, uri)
    store = open_store(uri)
    store.journal.journal.turn_s = 0.1
    store.journal.journal._turns = 3
    for step in range(4):
        store.log_trial_metrics(TRIAL, step=step, loss=0.5)
        store.commit()
    decide(store)
    store.close()
    stopped.go_on()
    stopped.tell()
    stopped.end()
    assert steps_of(events_of(uri)) == {"trial": list(range(4))}
    assert changes_in(uri) == ["Running"]


def burst(uri):
    """Be a client that logs and decides as fast as it can until it is told to stop, and counts."""
    silence()
    sql_session.IDLE_LIMIT_MS = FORGET_MS
    worker = Worker(uri, "bursting")
    told = threading.Event()
    threading.Thread(target=lambda: (wait_for_word(), told.set()), daemon=True).start()
    say("ready")
    number = 0
    while not told.is_set():
        for _ in range(20):
            worker.log()
        worker.decide(number)
        number += 1
    worker.store.close()
    answer(worker.result())


def test_a_client_stopped_in_a_burst_of_calls_blocks_nobody_for_long(uri, start):
    """At whatever moment it is stopped, others log, read and decide; it goes on where it was."""
    other = Worker(uri, "other")
    moments = random.Random(1)
    bursting = start(burst, uri)
    bursting.wait_for("ready")
    for number in range(ROUNDS):
        time.sleep(moments.uniform(0, 0.02))
        bursting.stop()
        other.log()
        other.decide(number)
        other.store.commit()
        bursting.go_on()
    bursting.tell()
    results = [bursting.end(), other.result()]
    other.store.close()
    counts = check_work(uri, results)
    assert [error for _, _, error in other.outcomes] == [""] * 2 * ROUNDS
    assert counts["succeeded"] >= 2 * ROUNDS
