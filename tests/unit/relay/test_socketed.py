"""The socket backend as it is documented: its client, its server, how that begins and ends."""

import inspect
import json
import socket
from itertools import islice
from pathlib import Path

import pytest

from tests.programs import run_python
from tests.relays import ServerProcess, fill, served
from track import TrackClient
from track.errors import (
    BackendError,
    JournalUnreachable,
    TrackError,
)
from track.events.types import MetricsLogged
from track.persistence import get_protocol
from track.persistence import protocol as base
from track.persistence.socketed import (
    RPCCallFailure,
    ServerSignalHandler,
    SocketClient,
    SocketServer,
    start_track_server,
    sync,
)
from track.structure import Project, Status, Trial
from track.utils.signal import SignalHandler


@pytest.fixture
def running():
    with served("file:store.json") as running:
        yield running


# What is there, by its documented name


def test_everything_is_where_it_is_documented():
    """The names of the older API, and those of this one."""
    from track.persistence import socketed

    assert {*socketed.__all__} == {
        *("RPCCallFailure", "ServerSignalHandler", "SocketClient", "SocketServer"),
        *("start_track_server", "sync"),
    }
    for name in socketed.__all__:
        assert getattr(socketed, name).__name__ == name
    assert issubclass(RPCCallFailure, (TrackError, RuntimeError))
    assert issubclass(ServerSignalHandler, SignalHandler)
    with pytest.raises(AttributeError, match="no_such"):
        socketed.no_such  # noqa: B018 - that it raises is the point


def test_a_uri_makes_a_client():
    """As any other backend, before there is a server."""
    store = get_protocol("socket://127.0.0.1:1")
    assert type(store) is SocketClient
    assert store.uri == "socket://127.0.0.1:1"
    store.close()


@pytest.mark.parametrize("cls", [SocketClient, SocketServer])
def test_all_that_a_backend_can_do_is_there(cls):
    """With the parameters of the contract; a client and a server are backends."""
    assert issubclass(cls, base.Protocol)
    by_default = {
        *("chrono_sink", "close", "forgive_failed_writes", "keep_content", "metrics_sink"),
        "when_idle",
    }
    for name, method in vars(base.Protocol).items():
        if not name.startswith("_") and inspect.isfunction(method) and name not in by_default:
            assert getattr(cls, name) is not method, name


PARAMETERS = {
    "authenticate": ["self", "reader", "username", "password"],
    "close_connection": ["self", "writer"],
    "exec": ["self", "reader", "writer", "proc_name", "proc", "args"],
    "get_username": ["self", "reader"],
    "handle_client": ["self", "reader", "writer"],
    "is_authenticated": ["self", "reader"],
    "process_args": ["self", "args", "cache"],
    "run_server": ["self"],
    "wait_closed": ["self", "timeout_s"],
    "close": ["self"],
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_methods_of_the_server_take_what_is_documented(name):
    """Subclasses override some of them."""
    assert list(inspect.signature(getattr(SocketServer, name)).parameters) == PARAMETERS[name]


def test_parameters_of_the_start_of_a_server():
    """The first four by position."""
    parameters = list(inspect.signature(start_track_server).parameters)
    assert parameters[:4] == ["protocol", "hostname", "port", "security_layer"]
    assert {"backend", "users", "certificate", "key", "allow_anyone"} <= {*parameters}


# URIs


def target(uri):
    store = SocketClient(uri)
    store.close()
    return store._connection.target


def test_defaults_of_a_uri():
    """Host, port, layer, and how long to wait."""
    found = target("socket:")
    assert (found.host, found.port, found.layer, found.timeout_s) == ("localhost", 8123, None, 30)
    assert found.credentials() == (None, None)
    found = target("socket://ada:p%40ss@example.org:99?security_layer=aes&timeout=2")
    assert (found.host, found.port, found.layer, found.timeout_s) == ("example.org", 99, "AES", 2)
    assert found.credentials() == ("ada", "p@ss")
    assert str(found) == "example.org:99"
    assert target("socket://[::1]:99").host == "::1"
    assert target("socket://host?security_layer=None").layer is None


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "1.5", "99999999999", "8123x"])
def test_what_is_no_port_is_refused(port):
    """By clients; a server may leave the choice to the system with 0."""
    with pytest.raises(BackendError, match="invalid port"):
        SocketClient(f"socket://127.0.0.1:{port}")
    if port != "0":
        with pytest.raises(BackendError, match="invalid port"):
            SocketServer(f"socket://127.0.0.1:{port}?backend=memory:")


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("securty_layer=AES", "did you mean 'security_layer'"),
        ("trust_servr=yes", "did you mean 'trust_server'"),
        ("time_out=3", "did you mean 'timeout'"),
        ("banana=3", "use one of"),
        ("security_layer=ROT13", "use AES, TLS or none"),
        ("trust_server=maybe", "use yes or no"),
        ("timeout=soon", "give a number of seconds"),
        ("durability=eternal", "durability"),
    ],
)
def test_what_a_client_does_not_know_is_named(option, hint):
    """With what was probably meant."""
    with pytest.raises(BackendError, match=hint):
        SocketClient(f"socket://127.0.0.1?{option}")


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("backend=memory:&user=x", "did you mean 'users'"),
        ("backend=memory:&certficate=x", "did you mean 'certificate'"),
        ("backend=memory:&allow_anyone=maybe", "use yes or no"),
        ("backend=memory:&security_layer=TLS", "needs a certificate"),
        ("backend=memory:&security_layer=SSL", "use AES, TLS or none"),
        ("", "a server needs a backend"),
        ("backend=socket://127.0.0.1:1", "store of another server"),
        ("backend=nonsense:", "nonsense"),
    ],
)
def test_what_a_server_does_not_know_is_named(option, hint):
    """Before it listens."""
    with pytest.raises(TrackError, match=hint):
        SocketServer(f"socket://127.0.0.1:0?{option}")


# The client


def test_a_program_that_logs_to_a_server(running, capsys):
    """From its project to its report."""
    client = TrackClient(running.uri())
    client.set_project(name="project")
    client.set_group(name="group")
    with client.new_trial(parameters={"lr": 0.1}) as trial:
        for step in range(10):
            trial.log_metrics(step=step, loss=1 / (step + 1))
        trial.log_metadata(host="here")
    client.report()
    assert '"lr": 0.1' in capsys.readouterr().out
    client.protocol.close()
    (found,) = running.server.backend.fetch_trials()
    assert found.parameters == {"lr": 0.1}
    assert list(found.metrics["loss"]) == list(range(10))
    assert found.status == Status.Completed
    (project,) = json.loads(Path("store.json").read_text())
    assert project["trials"][0]["metadata"]["host"] == "here"


def test_metrics_can_be_read_when_the_client_is_closed(running):
    """As those of a local one."""
    client = TrackClient(running.uri())
    client.set_project(name="project")
    with client.new_trial() as trial:
        trial.log_metrics(step=1, loss=2.0)
    client.protocol.close()
    assert trial.trial.metrics == {"loss": {1: 2.0}}


def test_a_commit_writes_a_report_here_and_there(running, store):
    """That of the server, and one where the client wants it."""
    fill(store)
    store.commit(file_name_override="mine.json")
    for path in ("mine.json", "store.json"):
        (project,) = json.loads(Path(path).read_text())
        assert project["name"] == "project"
    Path("other.json").write_text("no report")
    with pytest.raises(TrackError):
        store.commit(file_name_override="other.json")
    assert Path("other.json").read_text() == "no report"


def test_the_past_is_read_through_the_server(running, store):
    """Events, the history of a trial, objects as of a position: what the server itself has."""
    trial = fill(store)
    store.set_trial_status(trial, Status.Running)
    store.commit()
    backend = running.server.backend
    events = list(store.events())
    assert events == list(backend.events())
    assert list(store.events(events[1].position)) == events[2:]
    assert store.trial_history(trial) == backend.trial_history(trial)
    assert len(store.trial_history(trial)) >= 2
    (before,) = store.as_of(position=events[2].position).trials.values()
    assert before.status == trial_status(backend, events[2].position) != Status.Running
    assert store.as_of(at_ns=events[0].at - 1).projects == {}


def trial_status(backend, position):
    (trial,) = backend.as_of(position=position).trials.values()
    return trial.status


def test_what_is_left_in_a_spool_is_sent_by_sync(running):
    """Of a program that ended while the server was away."""
    program = f"""
import os
from track.persistence import get_protocol
from track.structure import Project, Trial
store = get_protocol({running.uri(timeout=1)!r})
store.new_project(Project(name="project"))
trial = store.new_trial(Trial(_hash="hash", project_id="project"))
store._connection.target = store._connection.target._replace(port=1)
store._connection._disconnect()
for step in range(7):
    store.log_trial_metrics(trial, step=step, loss=step)
os._exit(0)
"""
    run_python(program)
    assert sync(running.uri()) == 7
    assert sync(running.uri()) == 0
    (trial,) = running.server.backend.fetch_trials()
    assert list(trial.metrics["loss"]) == list(range(7))


def test_a_server_that_is_away_is_named():
    """With what to look at, once the time is up."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    store = get_protocol(f"socket://ada:secret@127.0.0.1:{port}?timeout=0.2")
    with pytest.raises(JournalUnreachable, match=f"127.0.0.1:{port} does not answer") as caught:
        store.fetch_projects()
    assert "secret" not in str(caught.value)
    store.close()
    with pytest.raises(JournalUnreachable):
        sync(f"socket://127.0.0.1:{port}?timeout=0.2&spool=empty") or store.fetch_projects()


def test_nobody_far_away_locks_the_server(store):
    """The message says what to use."""
    with pytest.raises(BackendError, match="fetch_and_update_trial"), store.exclusive_state():
        pass


def test_an_error_of_the_server_is_raised_by_the_client(store):
    """As the same kind as with a local store."""
    from track.errors import ItemNotFound, ProjectDoesNotExist, QueryError, TrialDoesNotExist

    with pytest.raises(QueryError):
        store.new_project(Project(name="project")) and store.fetch_projects({"no_such": 1})
    with pytest.raises(ItemNotFound):
        store.fetch_and_update_trial({}, "log_trial_start")
    with pytest.raises(ProjectDoesNotExist):
        store.new_trial(Trial(_hash="hash", project_id="unknown"))
    with pytest.raises(TrialDoesNotExist):
        store.log_trial_start(Trial(_hash="unknown"))
    with pytest.raises(AttributeError):
        store.fetch_and_update_trial({}, "close")


# Subscriptions


def log(store, trial, steps):
    for step in steps:
        store.log_trial_metrics(trial, step=step, loss=step)
    store.commit()


def metrics(found):
    return [item.event.step for item in found if isinstance(item.event, MetricsLogged)]


def test_a_subscription_catches_up_from_any_position_and_goes_on(store):
    """With every event behind it, in order, each once."""
    trial = fill(store)
    log(store, trial, range(5))
    known = list(store.events())
    for index in range(len(known) + 1):
        events = store.subscribe(known[index - 1].position if index else 0)
        behind = len(known) - index
        assert list(islice(events, behind)) == known[index:]
        log(store, trial, ["new"])
        newest = next(events)
        assert newest.event.step == "new"
        assert newest == list(store.events())[-1]
        events.close()
        known.append(newest)
        if index == 8:
            break


def test_subscribers_see_the_same(store, running):
    """Whatever anybody logs, whoever they are."""
    trial = fill(store)
    other = get_protocol(running.uri())
    subscriptions = [store.subscribe(), other.subscribe()]
    seen = [[next(events) for _ in range(3)] for events in subscriptions]
    log(store, trial, range(50))
    log(other, trial, range(50, 60))
    running.server.backend.log_trial_metrics(trial, step=60, loss=60)
    for events, found in zip(subscriptions, seen, strict=True):
        while 60 not in metrics(found):
            found.append(next(events))
        events.close()
    assert seen[0] == seen[1]
    assert sorted(metrics(seen[0])) == list(range(61))
    other.close()


def test_what_others_append_to_the_journal_is_seen(store, running):
    """Another process that writes to the file of the server, past the server."""
    trial = fill(store)
    store.commit()
    events = store.subscribe(list(store.events())[-1].position)
    program = """
from track.persistence import get_protocol
from track.structure import Trial
store = get_protocol("file:store.json")
for step in range(5):
    store.log_trial_metrics(Trial(_hash="hash"), step=step, loss=step)
store.close()
"""
    run_python(program)
    assert metrics(islice(events, 5)) == list(range(5))
    log(store, trial, [5])
    assert metrics(islice(events, 1)) == [5]
    events.close()


def test_a_subscription_survives_its_server(tmp_path):
    """It goes on where it was, on another connection, to another process."""
    server = ServerProcess(f"file:{tmp_path / 'store.json'}")
    try:
        store = get_protocol(server.uri(timeout=20))
        trial = fill(store)
        log(store, trial, range(3))
        events = store.subscribe()
        seen = list(islice(events, 6))
        server.kill()
        server.start()
        log(store, trial, range(3, 6))
        seen += islice(events, 3)
        assert metrics(seen) == list(range(6))
        assert seen == list(store.events())
        events.close()
        store.close()
    finally:
        server.stop()


def test_a_forked_child_leaves_nothing_open(tmp_path):
    """It has a connection of its own, and closes its copy of its parent's."""
    program = """
import os, sys, warnings
from track import TrackClient
client = TrackClient(sys.argv[1])
trial = client.new_trial(parameters={})
child = os.fork()
if not child:
    trial.log_metrics(loss=1)
    client.close()
    os._exit(0)
os.waitpid(child, 0)
client.close()
"""
    with served("memory:") as running:
        assert run_python(program, running.uri(), warn="always::ResourceWarning").stderr == ""
