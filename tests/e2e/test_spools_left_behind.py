"""What clients of a database leave behind when they end too soon: the next one sends it, once."""

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.databases import sql_journal
from tests.e2e.faults import patience, silence, steps_of
from tests.e2e.stores import answer, end_if_stuck, events_of, open_store, say, wait_for_word
from tests.programs import run_at_once
from track.events.codec import identify
from track.persistence import cockroach
from track.structure import Project, Trial

STEPS = 300


@pytest.fixture
def uri(place, proxy):
    """A store that is reached through a proxy, and in the end is as it should be."""
    uri = place.uri(proxy.port)
    store = open_store(uri)
    store.new_project(Project(name="project"))
    store.close()
    yield uri
    assert place.files() == []
    place.check(uri)


def steps_in(uri):
    return steps_of(events_of(uri))


ALL = list(range(STEPS))

# Clients that are killed


def log_and_wait(uri, name):
    """Be a client that makes a trial, waits for a word, logs, says so, and is never told to end."""
    silence()
    store = open_store(uri)
    trial = store.new_trial(Trial(_hash=name, project_id="project"))
    say("made")
    wait_for_word()
    log_steps(store, trial)
    say("logged")
    wait_for_word()


def log_steps(store, trial):
    sink = store.metrics_sink(trial)
    for step in range(STEPS):
        sink(step, None, {"loss": step / 7})


def kill_clients(start, proxy, uri, names, *, away):
    """Have clients log, and kill them."""
    clients = [start(log_and_wait, uri, name) for name in names]
    for client in clients:
        client.wait_for("made")
    if away:
        proxy.refuse()
    for client in clients:
        client.tell()
    for client in clients:
        client.wait_for("logged")
        client.kill()
    proxy.forward()


def by_a_read(uri):
    store = open_store(uri)
    (trial,) = store.fetch_trials()
    assert list(trial.metrics["loss"]) == ALL
    store.close()


def by_a_decision(uri):
    store = open_store(uri)
    assert store.new_trial(Trial(_hash="killed", project_id="project")) is None
    store.close()


def by_closing(uri):
    open_store(uri).close()


def by_sync(uri):
    sent = cockroach.sync(uri)
    assert sent <= STEPS
    assert cockroach.sync(uri) == 0


@pytest.fixture(params=[False, True], ids=["server up", "server away"])
def killed(request, start, proxy, uri):
    """A client was killed while its server was there, or away."""
    kill_clients(start, proxy, uri, ["killed"], away=request.param)


@pytest.mark.parametrize("send", [by_a_read, by_a_decision, by_closing, by_sync])
def test_what_a_killed_client_left_is_sent_by_the_next(killed, place, uri, send):
    """Whatever the next client does first; nothing is left in the spool, and nothing is twice."""
    assert place.files() != []
    send(uri)
    assert place.files() == []
    identities = [identify(payload) for payload in place.rows()]
    assert len(identities) == len(set(identities)) == STEPS + 2
    assert steps_in(uri) == {"killed": ALL}


def test_what_a_killed_client_left_is_sent_by_one_that_lives(start, proxy, uri, place):
    """A client that was there before looks around when it commits."""
    store = open_store(uri)
    store.fetch_trials()
    kill_clients(start, proxy, uri, ["killed"], away=True)
    store.commit()
    assert place.files() == []
    store.close()
    assert steps_in(uri) == {"killed": ALL}


def test_nobody_sends_what_is_left_while_the_server_is_away(start, proxy, uri, place):
    """Who tries is told, and everything stays where it is."""
    kill_clients(start, proxy, uri, ["killed"], away=True)
    before = place.files()
    proxy.refuse()
    impatient = f"{uri}&timeout=0.2"
    with pytest.raises(ConnectionError):
        cockroach.sync(impatient)
    assert place.files() == before
    proxy.forward()
    assert cockroach.sync(uri) == STEPS


def read_when_told(uri):
    """Be a client that asks for the trials once it is told to."""
    store = open_store(uri)
    say("ready")
    wait_for_word()
    found = len(store.fetch_trials())
    store.close()
    answer(found)


def test_clients_that_come_at_once_send_what_many_left(start, proxy, uri, place):
    """Each spool is sent by one of them."""
    names = [f"killed{number}" for number in range(4)]
    kill_clients(start, proxy, uri, names, away=True)
    newcomers = [start(read_when_told, uri) for _ in range(3)]
    for newcomer in newcomers:
        newcomer.wait_for("ready")
    for newcomer in newcomers:
        newcomer.tell()
    assert [newcomer.end() for newcomer in newcomers] == [len(names)] * 3
    assert place.files() == []
    assert steps_in(uri) == dict.fromkeys(names, ALL)


@pytest.mark.parametrize("arrives", [False, True], ids=["not sent", "sent"])
def test_a_client_killed_while_it_sends_what_another_left_harms_nothing(start, proxy, uri, arrives):
    """The one after it goes on, whether the server has got the batch or not."""
    kill_clients(start, proxy, uri, ["killed"], away=True)
    second = start(read_when_told, uri)
    second.wait_for("ready")
    lose = proxy.lose_answer if arrives else proxy.lose_request
    lost = lose(b"INSERT INTO events", then="swallow")
    second.tell()
    assert lost.wait(60)
    second.kill()
    assert steps_in(uri) == {"killed": ALL}


def log_twice(uri):
    """Be a client that logs more while the server has its first batch, and never ends."""
    silence()
    store = open_store(uri)
    sink = store.metrics_sink(Trial(_hash="killed"))
    sink(0, None, {"loss": 0.5})
    say("logged")
    wait_for_word()
    sink(1, None, {"loss": 0.5})
    say("more")
    wait_for_word()


@pytest.fixture
def locked(place):
    """A session that holds the head of the log, and waits until so many wait for it."""
    journal = sql_journal(place.kind, place.log)

    def wait_until_waiting(count):
        query = """
            SELECT count(*) FROM pg_stat_activity
            WHERE wait_event_type = 'Lock' AND position(%(log)s::TEXT IN query) > 0
        """
        for _ in patience():
            if journal.ask(query) == [(count,)]:
                return

    with journal._sessions.one() as session:
        session.execute("BEGIN")
        session.execute("SELECT head FROM logs WHERE name = %(log)s FOR UPDATE", log=place.log)
        session.wait_until_waiting = wait_until_waiting
        yield session
    journal.close()


@pytest.fixture
def trial(uri):
    store = open_store(uri)
    store.new_trial(Trial(_hash="killed", project_id="project"))
    store.close()


def test_what_a_killed_client_sent_may_arrive_later(start, uri, trial, place, locked):
    """Even when somebody else has found that it is not there yet, and sends it with more."""
    if place.kind == "cockroach":
        pytest.skip("it has no view of who waits for whom")
    client = start(log_twice, uri)
    client.wait_for("logged")
    locked.wait_until_waiting(1)
    client.tell()
    client.wait_for("more")
    client.kill()
    with ThreadPoolExecutor() as pool:
        syncing = pool.submit(cockroach.sync, uri)
        locked.wait_until_waiting(2)
        locked.execute("ROLLBACK")
        syncing.result()
    assert steps_in(uri) == {"killed": [0, 1]}


# Children


def fork_and_log(uri, end):
    """Be a script whose children log with the store that they inherit, and end at once."""
    store = open_store(uri)
    trials = [
        store.new_trial(Trial(_hash=name, project_id="project"))
        for name in ("parent", "child0", "child1")
    ]
    log_steps(store, trials[0])
    say("made")
    wait_for_word()
    reading, writing = os.pipe()
    children = []
    for trial in trials[1:]:
        child = os.fork()
        if child == 0:
            end_if_stuck()
            log_steps(store, trial)
            os.write(writing, f"{store.journal._spool._name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL) if end == "killed" else os._exit(0)
        children.append(child)
    log_steps(store, trials[0])
    for child in children:
        os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as names:
        spools = {store.journal._spool._name, *names.read().split()}
    say("logged")
    wait_for_word()
    store.close()
    answer(len(spools))


@pytest.fixture(params=["killed", "exits"])
def end(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["server up", "server away"])
def script(request, start, proxy, uri, end):
    """A script whose forked children have logged, and are gone."""
    script = start(fork_and_log, uri, end)
    script.wait_for("made")
    if request.param:
        proxy.refuse()
    script.tell()
    script.wait_for("logged")
    return script


def test_what_forked_children_logged_arrives_when_their_parent_closes(script, proxy, uri, place):
    """Each child has a spool of its own, although the parent's was in use when it was forked."""
    proxy.forward()
    script.tell()
    assert script.end() == 3
    # The parent logged twice, so that its forwarder had something to do all along.
    assert len(place.rows()) == 4 + 4 * STEPS
    assert steps_in(uri) == {"parent": ALL + ALL, "child0": ALL, "child1": ALL}


def be_a_child(uri, name):
    """Be a child with a client of its own, which it does not close."""
    end_if_stuck()
    store = open_store(uri)
    log_steps(store, store.new_trial(Trial(_hash=name, project_id="project")))
    os._exit(0)


def log_with_children(uri, method, closes):
    """Be a script whose children open the store and end without a word."""
    store = open_store(uri)
    store.fetch_trials()
    context = multiprocessing.get_context(method)
    children = [context.Process(target=be_a_child, args=(uri, f"child{i}")) for i in range(2)]
    run_at_once(children)
    if not closes:
        os._exit(0)
    store.close()


@pytest.mark.parametrize("closes", [True, False], ids=["parent closes", "nobody closes"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_what_children_without_an_end_logged_arrives(start, uri, place, method, closes):
    """When their parent closes its client, or with the next client."""
    start(log_with_children, uri, method, closes).end()
    if closes:
        assert len(place.rows()) == 3 + 2 * STEPS
    assert steps_in(uri) == {"child0": ALL, "child1": ALL}
