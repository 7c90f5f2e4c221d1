"""Connections to a relay that are lost, half open, slow, or that alter what passes.

``TRACK_FAULT_ROUNDS`` says how often, under load.
"""

import logging
import os
import random
import threading
import time
from contextlib import suppress

import pytest

from tests.e2e.faults import until_reached
from tests.e2e.relay_work import (
    LAYERS,
    Client,
    Place,
    check_work,
    fill,
    in_thread,
    log_until,
)
from tests.e2e.stores import open_store
from tests.proxy import Proxy
from tests.relays import served, uri_of
from track.errors import InsecureConnection, JournalUnreachable
from track.events.types import StatusChanged
from track.structure import Project, Status, Trial

ROUNDS = int(os.environ.get("TRACK_FAULT_ROUNDS", "5"))

TRIAL = Trial(_hash="trial")

CLEAR = (JournalUnreachable, InsecureConnection)
"""What a call says that was not answered."""


@pytest.fixture(autouse=True)
def silent(caplog):
    """That a server does not answer is warned of, and what it does not understand; no error."""
    yield
    names = {"track.forwarding.forwarder", "track.relay.asyncio_server", "track.utils.waiting"}
    assert {record.name for record in caplog.records} <= names
    assert all(record.levelno <= logging.WARNING for record in caplog.records)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture(params=LAYERS)
def server(request, place):
    with served(place.backend, security_layer=request.param) as running:
        running.layer = request.param
        yield running


@pytest.fixture
def proxy(server):
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def uri(server, proxy, place):
    """The server as it is reached through the proxy, by somebody impatient."""
    return uri_of(proxy.port, security_layer=server.layer, spool=place.spool, timeout=0.5)


@pytest.fixture
def store(uri, proxy, place):
    """A store with a project and a trial, reached through the proxy; sound in the end."""
    store = open_store(uri)
    store.new_project(Project(name="project"))
    store.new_trial(Trial(_hash="trial", project_id="project"))
    yield store
    proxy.forward()
    until_reached(store.commit)
    store.close()
    place.check(uri)


class Fault:
    """Something that happens once to what passes a proxy: use one as its ``spoil``.

    Parameters
    ----------
    proxy
        which one
    kind
        the name of a method
    of_request
        whether it happens to what clients send, or to what the server does
    skip
        how many pieces pass before, as they were sent
    after
        how many bytes after that
    """

    def __init__(self, proxy, kind, *, of_request, skip=0, after=0):
        self._proxy = proxy
        self._strike = getattr(self, kind)
        self._of_request = of_request
        self._skip = skip
        self._after = after
        self._turn = threading.Lock()
        self.struck = threading.Event()

    def __call__(self, of_request, data):
        with self._turn:
            passed = self._passes(of_request, data)
        yield data[:passed]
        if passed < len(data):
            yield from self._strike(data[passed:])

    def _passes(self, of_request, data):
        """Return how many bytes pass before it happens; all when it does not."""
        if of_request != self._of_request or self.struck.is_set():
            return len(data)
        if self._skip:
            self._skip -= 1
            return len(data)
        if len(data) <= self._after:
            self._after -= len(data)
            return len(data)
        self.struck.set()
        return self._after

    def cut(self, data):
        self._proxy.cut()
        return []

    def fall_silent(self, data):
        self._proxy.swallow()
        return []

    def delay(self, data):
        time.sleep(0.2)
        return [data]

    def split(self, data):
        return [*(data[i : i + 1] for i in range(200)), data[200:]]

    def repeat(self, data):
        return [data, data]

    def lose_a_byte(self, data):
        return [data[1:]]

    def alter(self, data):
        return [bytes([data[0] ^ 0x40]), data[1:]]


KINDS = ["cut", "fall_silent", "delay", "split", "repeat", "lose_a_byte", "alter"]


def decide(store):
    """Make a guarded call: the server is asked for the first trial, and then to change it."""
    store.fetch_and_update_trial({"uid": TRIAL.uid}, "set_trial_status", status=Status.Running)


def log_steps(store, steps):
    for step in steps:
        store.log_trial_metrics(TRIAL, step=step, loss=step / 7)


def send(store):
    """Send a batch."""
    with store.journal.forwarder._sending:  # so that it is one
        log_steps(store, range(20))
    store.journal.forwarder.drain()


def subscribe(store):
    """Read what is there, on a connection of its own."""
    assert len(list(store.events())) == 2


CALLS = {"first": (decide, 0), "decision": (decide, 1), "batch": (send, 0), "read": (subscribe, 2)}
"""What is called, and how many requests and answers go before the one that something happens to."""

PLACES = {
    "before the request": {"of_request": True},
    "in the request": {"of_request": True, "after": 5},
    "before the answer": {"of_request": False},
    "in the answer": {"of_request": False, "after": 5},
}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("call", CALLS)
def test_what_is_asked_while_the_connection_is_cut_is_done_once(store, proxy, place, call, where):
    """Whether the server had done it or not, nobody notices."""
    function, skip = CALLS[call]
    proxy.spoil = fault = Fault(proxy, "cut", skip=skip, **PLACES[where])
    function(store)
    assert fault.struck.is_set()
    store.commit()
    assert place.steps() == (list(range(20)) if function is send else [])
    changes = [r for r in place.events() if isinstance(r.event, StatusChanged)]
    assert len(changes) == (function is decide)


HANDSHAKE = [0, 5, 50]
"""Bytes before which it is hit: of the hello, its layer, and the messages behind it."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_handshake_that_something_happens_to_is_begun_again_or_refused(uri, proxy, place, kind):
    """Whatever byte of it: the call is answered, or says why not; and the next one works."""
    for of_request in (True, False):
        for after in HANDSHAKE:
            store = open_store(uri)
            proxy.spoil = Fault(proxy, kind, of_request=of_request, after=after)
            with suppress(*CLEAR):
                store.new_project(Project(name="project"))
            proxy.forward()
            until_reached(lambda store=store: store.new_project(Project(name="project")))
            store.close()
    place.check(uri)


def test_connections_that_anything_happens_to_all_the_time_lose_nothing(
    server, proxy, uri, place, tmp_path
):
    """Calls are answered rightly or say why not; what was acknowledged is there once."""
    chance = random.Random(server.layer)
    fill(uri, 4 * ROUNDS)
    notes = tmp_path / "notes"
    notes.mkdir()
    client = Client(uri, str(notes / "client"))
    told = threading.Event()
    thread = in_thread(log_until, client, told)
    for number in range(4 * ROUNDS):
        proxy.spoil = fault = Fault(
            proxy,
            chance.choice(KINDS),
            of_request=chance.random() < 0.5,
            after=int(2 ** chance.uniform(0, 12)) - 1,
        )
        client.decide(number)
        fault.struck.wait(0.1)
        proxy.forward()
    told.set()
    thread.join()
    until_reached(client.store.commit)
    client.store.close()
    counts = check_work(place, notes)
    print(f"{server.layer}: {dict(counts)}")
    assert counts["did"] > ROUNDS
    place.check(uri)


ALTERED = {
    "a request": {"of_request": True, "after": 5},
    "an answer": {"of_request": False, "after": 5},
    "the length of a request": {"of_request": True},
    "the length of an answer": {"of_request": False},
    "an answer, which comes twice": {"of_request": False, "kind": "repeat"},
}


@pytest.mark.parametrize("what", ALTERED)
@pytest.mark.parametrize("call", CALLS)
def test_what_is_asked_while_something_is_altered_is_done_once(store, proxy, place, call, what):
    """The connection is lost by that, and not the call: it is made again on another one."""
    function, skip = CALLS[call]
    options = {"kind": "alter", **ALTERED[what]}
    proxy.spoil = fault = Fault(proxy, skip=skip, **options)
    function(store)
    store.fetch_trials()
    assert fault.struck.is_set()
    store.commit()
    assert place.steps() == (list(range(20)) if function is send else [])
    changes = [r for r in place.events() if isinstance(r.event, StatusChanged)]
    assert len(changes) == (function is decide)


def always_altered(of_request, data):
    """Use this as the ``spoil`` of a proxy."""
    yield data if of_request else data[:-1] + bytes([data[-1] ^ 1])


def test_a_connection_that_always_alters_is_given_up_on(store, proxy, place):
    """The error says which server cannot be trusted, and where the data is."""
    with store.journal.forwarder._sending:
        log_steps(store, range(20))
        proxy.spoil = always_altered
    with pytest.raises(InsecureConnection, match=f"safe in {place.spool}") as caught:
        store.commit()
    assert f"127.0.0.1:{proxy.port}" in str(caught.value)
    proxy.forward()
    until_reached(store.commit)
    assert place.steps() == list(range(20))
