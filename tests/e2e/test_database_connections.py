"""Connections to a database that are lost, half open or slow, by a proxy in between.

``TRACK_FAULT_ROUNDS`` says how often connections are cut under load.
"""

import os
import threading
import time
from contextlib import suppress

import pytest

from tests.databases import free_port, port_of
from tests.e2e.faults import Worker, check_work, until_reached
from tests.e2e.stores import events_of, open_store
from tests.proxy import Proxy
from track import TrackClient
from track.errors import JournalUnreachable
from track.events.types import MetricsLogged, StatusChanged, TrialFinished
from track.journals.sql.schema import PART_BYTES
from track.structure import Project, Status, Trial

ROUNDS = int(os.environ.get("TRACK_FAULT_ROUNDS", "4"))

TRIAL = Trial(_hash="trial")
MANY = 1500

LONG_S = 300
"""A lock timeout that no test survives."""


MAY_WARN = {"track.forwarding.forwarder", "track.utils.waiting"}
"""Who says, once each, that a server does not answer, and that it does again."""


@pytest.fixture
def uri(place, proxy):
    return place.uri(proxy.port, timeout=1)


@pytest.fixture
def store(uri, proxy):
    """A store with a project and a trial, reached through the proxy."""
    store = open_store(uri)
    store.new_project(Project(name="project"))
    store.new_trial(Trial(_hash="trial", project_id="project"))
    yield store
    proxy.forward()
    if not store.journal.forwarder.is_closed:
        until_reached(store.commit)
        store.close()


@pytest.fixture
def sound(uri, place, proxy):
    """In the end, the log and its report are as they should be."""
    yield
    proxy.forward()
    place.check(uri)


pytestmark = pytest.mark.usefixtures("sound")


def log_steps(store, steps):
    for step in steps:
        store.log_trial_metrics(TRIAL, step=step, loss=step / 7)


def steps_in(uri):
    return [r.event.step for r in events_of(uri) if isinstance(r.event, MetricsLogged)]


# Connections that are lost in the middle of something


def decide(store):
    """Make a guarded append."""
    store.fetch_and_update_trial({"uid": TRIAL.uid}, "set_trial_status", status=Status.Running)


def send_few(store):
    """Send a batch that is one statement."""
    log_steps(store, range(20))
    store.commit()


def send_many(store):
    """Send a batch that is a transaction of several statements, for an event is long, and more."""
    store.log_trial_metrics(TRIAL, step=0, loss=0.0, text="x" * PART_BYTES)
    log_steps(store, range(1, MANY))
    store.commit()


APPENDS = {
    "decision": (decide, b"decided + 1"),
    "batch": (send_few, b"INSERT INTO events"),
    "first of several statements": (send_many, b"UPDATE logs"),
    "second of several statements": (send_many, b"SELECT head - "),
    "commit of several statements": (send_many, b"COMMIT"),
}
"""What appends, and a part of the request that the connection is lost in."""

LOSSES = {
    "before the request": lambda proxy, words: proxy.lose_request(words),
    "in the request": lambda proxy, words: proxy.lose_request(words, after=5),
    "before the answer": lambda proxy, words: proxy.lose_answer(words),
    "in the answer": lambda proxy, words: proxy.lose_answer(words, after=5),
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize(("append", "words"), APPENDS.values(), ids=APPENDS)
def test_what_is_appended_while_the_connection_is_lost_is_there_once(
    store, proxy, append, words, lose
):
    """Whether the server had committed it or not, nobody notices."""
    lost = lose(proxy, words)
    append(store)
    assert lost.is_set()
    events = events_of(store.uri)
    steps = [r.event.step for r in events if isinstance(r.event, MetricsLogged)]
    assert steps == list(range({decide: 0, send_few: 20, send_many: MANY}[append]))
    changes = [r for r in events if isinstance(r.event, StatusChanged)]
    assert len(changes) == (append is decide)


@pytest.mark.parametrize(("append", "words"), APPENDS.values(), ids=APPENDS)
def test_what_is_appended_while_the_connection_falls_silent_is_there_once(
    store, proxy, append, words
):
    """The call goes on with another connection, or ends in time; nothing is there twice."""

    def forget_soon(is_request, data):
        yield data.replace(b"session_timeout = 20000", b"session_timeout =  1000")

    proxy.spoil = forget_soon  # the server does so after a second, not after twenty
    proxy.cut()
    silent = proxy.lose_answer(words, then="swallow")
    # Where it holds the head of the log, nobody else gets it before the server forgets it.
    with suppress(JournalUnreachable):
        append(store)
    assert silent.is_set()
    log_steps(store, [MANY])
    until_reached(store.commit)
    events = events_of(store.uri)
    steps = [r.event.step for r in events if isinstance(r.event, MetricsLogged)]
    assert steps == [*range({decide: 0, send_few: 20, send_many: MANY}[append]), MANY]
    changes = [r for r in events if isinstance(r.event, StatusChanged)]
    assert len(changes) == (append is decide)


def test_connections_that_are_cut_all_the_time_lose_nothing(proxy, uri):
    """However often, under load: log calls raise nothing, and every call is there as told."""
    worker = Worker(uri, "worker")
    done = threading.Event()

    def log_until_done():
        while not done.wait(0.001):
            worker.log()

    logging = threading.Thread(target=log_until_done)
    logging.start()
    cuts = [threading.Timer(0.003 * (number % 7), proxy.cut) for number in range(5 * ROUNDS)]
    for number, cut in enumerate(cuts):
        cut.start()
        worker.decide(number)
    done.set()
    for thread in (logging, *cuts):
        thread.join()
    worker.store.close()
    assert check_work(uri, [worker.result()])["succeeded"] > ROUNDS


def test_what_others_log_does_not_make_a_decision_fail(store, proxy, place):
    """In a section that was lost, an event that was no decision is not sent as if it were one."""
    store.journal.forwarder.spool.on_begin = None  # nothing is sent in the background
    with store.exclusive_state():
        store.set_trial_status(TRIAL, Status.Running)
        proxy.cut()
        other = open_store(place.uri())
        decide(other)
        other.close()
        logging = threading.Thread(target=log_steps, args=(store, range(3)))
        logging.start()
        logging.join()
        # As every call does that returns what it decided about.
        assert store.fetch_trials()[0].status == Status.Running
    store.commit()
    assert steps_in(store.uri) == [0, 1, 2]


# Servers that are away, or seem to be there


AWAY = {"refused": Proxy.refuse, "half open": Proxy.swallow}


@pytest.fixture(params=AWAY.values(), ids=AWAY)
def vanish(request):
    return request.param


def test_logging_goes_on_while_a_server_is_away(store, proxy, uri, vanish):
    """Log calls return, reads and decisions end with an error, and all works again afterwards."""
    log_steps(store, range(10))
    vanish(proxy)
    log_steps(store, range(10, 20))
    for call in (store.fetch_trials, store.commit, lambda: decide(store)):
        with pytest.raises(JournalUnreachable, match="safe in"):
            call()
    log_steps(store, range(20, 30))
    proxy.forward()
    (trial,) = until_reached(store.fetch_trials)
    assert list(trial.metrics["loss"]) == list(range(30))
    decide(store)
    assert steps_in(uri) == list(range(30))


@pytest.mark.parametrize("lock_timeout", [1, 30])
def test_whoever_has_nothing_to_send_is_told_that_a_server_is_away(
    place, store, proxy, vanish, lock_timeout
):
    """Decisions and reads say so, in other words than when somebody else holds a section."""
    store.close()
    store = open_store(place.uri(proxy.port, timeout=1, lock_timeout=lock_timeout))
    store.fetch_trials()
    vanish(proxy)
    for call in (lambda: decide(store), store.fetch_trials):
        with pytest.raises(JournalUnreachable, match="did not answer"):
            call()
    proxy.forward()
    until_reached(lambda: decide(store))
    store.close()


def test_a_section_is_left_in_time_when_the_connection_fell_silent(place, store, proxy):
    """However long one would wait for a section: to leave it is not worth more than any answer."""
    patient = open_store(place.uri(proxy.port, timeout=1, lock_timeout=LONG_S))

    def decide_in_silence():
        with patient.exclusive_state():
            proxy.swallow()
            patient.set_trial_status(TRIAL, Status.Running)

    begun = time.monotonic()
    with pytest.raises(JournalUnreachable):
        decide_in_silence()
    assert time.monotonic() - begun < LONG_S
    proxy.forward()
    patient.close()


def test_a_store_is_opened_while_its_server_is_away(uri, proxy, vanish):
    """Whoever opens it is told when they ask for something, and may ask again."""
    vanish(proxy)
    store = open_store(uri)
    with pytest.raises(JournalUnreachable):
        store.new_project(Project(name="project"))
    proxy.forward()
    until_reached(lambda: store.new_project(Project(name="project")))
    store.close()


def test_a_slow_connection_is_only_slow(store, proxy, uri):
    """What travels for long arrives, once."""
    proxy.delay(0.05)
    log_steps(store, range(100))
    decide(store)
    store.commit()
    assert steps_in(uri) == list(range(100))


def test_the_next_host_is_asked_when_one_is_away(place, proxy, vanish):
    """Of several hosts of one URI, one that works is enough, also when that which did is lost."""
    gone, works = f"127.0.0.1:{proxy.port}", f"127.0.0.1:{port_of(place.kind)}"
    several = f"127.0.0.1:{free_port()},{gone},{works}"
    store = open_store(place.uri(proxy.port, timeout=3).replace(gone, several))
    store.new_project(Project(name="project"))
    store.new_trial(Trial(_hash="trial", project_id="project"))
    log_steps(store, range(10))
    vanish(proxy)
    until_reached(store.commit)
    decide(store)
    assert list(store.fetch_trials()[0].metrics["loss"]) == list(range(10))
    store.close()


# Trials whose server is away


def finish(client, trial, error=None):
    with trial:
        trial.log_metrics(step=0, loss=0.5)
        trial.log_metrics(step=1, loss=0.25)
        if error is not None:
            raise error


@pytest.fixture
def client(uri):
    client = TrackClient(uri)
    client.set_project(name="project")
    return client


def test_the_end_of_a_trial_tells_where_its_data_is_while_the_server_is_away(
    client, proxy, uri, place
):
    """Nothing that the trial logged is lost: the next client sends it."""
    trial = client.new_trial(name="trial")
    trial.insert()
    proxy.refuse()
    with pytest.raises(JournalUnreachable, match=f"safe in {place.spool}"):
        finish(client, trial)
    with pytest.raises(JournalUnreachable, match="safe in"):
        client.close()
    assert not any(b"loss" in payload for payload in place.rows())
    proxy.forward()
    (found,) = open_store(uri).fetch_trials()
    assert (found.metrics, found.status) == ({"loss": {0: 0.5, 1: 0.25}}, Status.Completed)
    assert sum(isinstance(r.event, TrialFinished) for r in events_of(uri)) == 1


def test_an_exception_of_a_trial_is_not_replaced_while_the_server_is_away(client, proxy, uri, told):
    """The exception of the block is what the script sees; its end is sent later."""
    trial = client.new_trial(name="trial")
    trial.insert()
    proxy.refuse()
    with pytest.raises(ZeroDivisionError, match="mine"):
        finish(client, trial, ZeroDivisionError("mine"))
    (message,) = told
    assert "safe in" in message
    proxy.forward()
    client.close()
    (found,) = open_store(uri).fetch_trials()
    assert (found.metrics, found.status) == ({"loss": {0: 0.5, 1: 0.25}}, Status.Exception)
