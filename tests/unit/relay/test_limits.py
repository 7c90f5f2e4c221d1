"""What a server grants its clients, and what it says of them in its log."""

import errno
import logging
import multiprocessing
import socket
import threading
from contextlib import contextmanager, suppress

import pytest

from tests.hostile import (
    Hostile,
    assert_serving,
    beyond_news,
    content_of,
    failure,
    hostile,
    payload_of,
    turned_away,
    until,
)
from tests.programs import run_at_once
from tests.relays import PATIENCE_S, served
from track.errors import JournalUnreachable
from track.events.record import frame
from track.events.types import MetricsLogged, ProjectCreated
from track.persistence import get_protocol
from track.relay.limits import Limits
from track.relay.messages import LENGTH, MAX_REQUEST, Verb
from track.relay.server import SocketServer
from track.structure import Project
from track.utils.handshake import HELLO, MAGIC, VERSION

PROJECT = ProjectCreated("project", None, {})

pytestmark = pytest.mark.usefixtures("logged")


# Limits

QUICK = Limits(handshake_s=0.3, idle_s=0.3, frame_s=0.3)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        MAGIC,
        HELLO.pack(MAGIC, VERSION, 0, bytes(32)),
        HELLO.pack(MAGIC, VERSION, 0, bytes(32)) + b"\0\0",
        HELLO.pack(MAGIC, VERSION, 0, bytes(32)) + LENGTH.pack(100) + b"half",
    ],
)
def test_who_does_not_finish_the_login_is_sent_away(said, logged):
    """Others are served meanwhile."""
    with served("memory:", QUICK) as running:
        with hostile(running.port) as client:
            client.socket.sendall(said)
            assert_serving(running)
            assert turned_away(client)
        assert_serving(running)
    assert beyond_news(logged) == []


def test_who_logs_in_byte_by_byte_is_sent_away():
    """However regularly they come."""
    with served("memory:", QUICK) as running, hostile(running.port) as client:
        ended = threading.Event()

        def drip():
            for byte in HELLO.pack(MAGIC, VERSION, 0, bytes(32)) + bytes(5000):
                if ended.wait(0.05):
                    return
                try:
                    client.socket.sendall(bytes([byte]))
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        assert_serving(running)
        assert turned_away(client)
        ended.set()
        thread.join()


@pytest.mark.parametrize("said", [LENGTH.pack(100), LENGTH.pack(10**6) + bytes(10**5)])
def test_a_frame_that_does_not_end_is_not_waited_for(said):
    """Others are served meanwhile, also with frames as large."""
    limits = QUICK._replace(memory=10**6)
    with served("memory:", limits) as running, hostile(running.port) as client:
        client.log_in()
        client.socket.sendall(said)
        with hostile(running.port) as other:
            other.log_in()
            large = frame(payload_of(MetricsLogged(0, {"loss": "x" * 10**6}, None)))
            assert other.ask(Verb.APPEND, [], large).verb == Verb.DONE
        assert client.is_turned_away()


def test_who_takes_no_answers_is_sent_away():
    """An answer that fills every buffer on the way is not waited for for ever."""
    with served("memory:", Limits(frame_s=0.3)) as running, hostile(running.port) as client:
        client.log_in()
        large = frame(payload_of(MetricsLogged(0, {"loss": "x" * 10**7}, None)))
        assert client.ask(Verb.APPEND, [], large).verb == Verb.DONE
        client.send(Verb.SUBSCRIBE, [0, False, None])
        until(lambda: not running.server._relay._peers)
        assert_serving(running)


def test_idle_connections_end_and_nobody_notices(logged):
    """The next request of an honest client comes on a new one."""
    with served("memory:", QUICK) as running:
        with hostile(running.port) as client:
            client.log_in()
            assert client.is_turned_away()
        store = get_protocol(running.uri())
        store.new_project(Project(name="one"))
        until(lambda: not running.server._relay._peers)
        store.new_project(Project(name="two"))
        assert [project.name for project in store.fetch_projects()] == ["one", "two"]
        store.close()
    assert beyond_news(logged) == []


def test_there_are_as_many_connections_as_allowed():
    """One more is turned away, until one of them goes; an honest client waits for that."""
    with served("memory:", Limits(connections=3)) as running:
        taken = [Hostile(running.port).log_in() for _ in range(3)]
        with hostile(running.port) as client:
            assert client.is_turned_away()
        store = get_protocol(running.uri(timeout=0.5))
        with pytest.raises(JournalUnreachable):
            store.fetch_projects()
        taken.pop().close()
        until(lambda: len(running.server._relay._peers) < 3)
        assert store.fetch_projects() == []
        store.close()
        for client in taken:
            assert client.ask(Verb.CALL, ["sync"]).verb == Verb.DONE
            client.close()


def test_a_subscription_does_not_keep_the_memory_it_came_with():
    """However much that was, and however long it lasts."""
    with served("memory:", Limits(memory=2**20)) as running:
        subscribers = [Hostile(running.port).log_in() for _ in range(3)]
        for subscriber in subscribers:
            assert (
                subscriber.ask(Verb.SUBSCRIBE, [0, True, None], bytes(2**20)).verb == Verb.CAUGHT_UP
            )
        with hostile(running.port) as client:
            client.log_in()
            large = frame(payload_of(MetricsLogged(0, {"loss": "x" * 2**19}, None)))
            assert client.ask(Verb.APPEND, [], large).verb == Verb.DONE
        for subscriber in subscribers:
            assert subscriber.receive().verb == Verb.BATCH
            subscriber.close()


def _serve_with_little_memory(said):
    server = SocketServer("socket://127.0.0.1:0?backend=memory:", Limits(memory=2**24))
    threading.Thread(target=lambda: server.ready.wait() and said.send(server.port)).start()
    server.run_server()


@contextmanager
def _little_memory():
    """Run a server in a process of its own; give its port, and its process id."""
    spawn = multiprocessing.get_context("spawn")
    said, told = spawn.Pipe(duplex=False)
    server = spawn.Process(target=_serve_with_little_memory, args=(told,))
    server.start()
    try:
        yield said.recv(), server.pid
    finally:
        server.terminate()
        server.join(PATIENCE_S)
    assert server.exitcode == 0


def _rss_of(pid):
    with open(f"/proc/{pid}/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["VmHWM"].split()[0]) * 1024


def test_many_large_requests_take_no_more_memory_than_allowed():
    """Thirty announce, and begin to send, what would be two gigabytes together."""
    with _little_memory() as (port, pid):
        clients = [Hostile(port).log_in() for _ in range(30)]
        before = _rss_of(pid)
        for client in clients:
            client.socket.send(LENGTH.pack(MAX_REQUEST))
        sent = _push(clients, 2**24)
        with hostile(port) as other:
            assert other.log_in().ask(Verb.CALL, ["sync"]).verb == Verb.DONE
        assert sent > 2**24
        # What one request takes, where it is put together, and some for each connection.
        assert _rss_of(pid) - before < MAX_REQUEST * 3 + len(clients) * 2**19
        for client in clients:
            client.close()


def test_many_large_answers_take_no_more_memory_than_allowed():
    """A hundred ask for all there is, or subscribe to it, and take nothing of that."""
    with _little_memory() as (port, pid):
        with hostile(port) as writer:
            writer.log_in()
            for number in range(4):
                event = ProjectCreated(f"p{number}", None, {"text": "x" * 2**22})
                assert writer.ask(Verb.APPEND, [], frame(payload_of(event))).verb == Verb.DONE
            assert len(writer.ask(Verb.CALL, ["objects"]).attachment) > 2**24
        before = _rss_of(pid)
        clients = [Hostile(port).log_in() for _ in range(100)]
        for number, client in enumerate(clients):
            if number % 2:
                client.send(Verb.CALL, ["objects"])
            else:
                client.send(Verb.SUBSCRIBE, [0, False, None])
        with hostile(port) as other:
            other.log_in()
            for _ in range(2000):  # until the server has long done what the others asked for
                assert other.ask(Verb.LAST, [None]).header == [4]
        assert _rss_of(pid) - before < 2**24 * 20
        for client in clients:
            client.close()


def test_strangers_wait_for_their_turn_and_come_in():
    """What they say before their login takes memory, so few are listened to at once."""
    with served("memory:", Limits(strangers=2, handshake_s=1.0)) as running:
        silent = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(6)]
        assert_serving(running)
        for connection in silent:
            connection.close()
        clients = [Hostile(running.port).log_in() for _ in range(5)]
        for client in clients:
            assert client.ask(Verb.LAST, [None]).verb == Verb.DONE
            client.close()


def _push(clients, each):
    """Send as much to each as it takes; return how much all took."""
    piece, total = bytes(2**18), 0
    for client in clients:
        client.socket.settimeout(0.05)
        with suppress(TimeoutError):
            for _ in range(each // len(piece)):
                total += client.socket.send(piece)
    return total


# What the server says of it


@pytest.mark.parametrize("how", ["close", "reset", "in a frame", "in a hello", "live"])
def test_a_client_that_goes_away_is_no_reason_for_a_warning(running, how, logged):
    """However it goes, at whatever moment."""
    client = Hostile(running.port)
    if how == "in a hello":
        client.socket.sendall(MAGIC)
    else:
        client.log_in()
    if how == "in a frame":
        client.socket.sendall(LENGTH.pack(1000) + b"x")
    if how == "live":
        client.ask(Verb.SUBSCRIBE, [0, True, None])
    if how == "reset":
        linger = b"\1\0\0\0\0\0\0\0"
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    client.close()
    until(lambda: not running.server._relay._peers)
    assert beyond_news(logged) == []


def test_no_secret_of_a_request_is_in_the_log(layered, logged):
    """Not of a login that is malformed, or a request that fails."""
    logged.set_level(logging.INFO)
    login = b"\x92\xa3ada\xa6secret"
    for content in (login + b"\xa6secret", login[:-1], b"\xa6secret"):
        with hostile(layered.port, layered.server.layer) as client:
            client.hello()
            client.receive()
            client.send_content(content_of(Verb.LOGIN, content))
            assert turned_away(client)
    with hostile(layered.port, layered.server.layer) as client:
        client.log_in()
        client.ask(Verb.CALL, ["secret"])
        client.ask(Verb.CALL, ["find", "trial", {"secret": "secret"}])
        client.send(Verb.LAST, ["secret"])
        assert client.is_turned_away()
    assert "secret" not in logged.text


def test_what_fails_in_the_backend_is_told_to_whom_it_concerns(running):
    """With its number; the others are served."""

    def fail():
        raise OSError(errno.ENOSPC, "no space left")

    usual = running.server.backend.journal.sync
    running.server.backend.journal.sync = fail
    with hostile(running.port) as client, hostile(running.port) as other:
        client.log_in()
        other.log_in()
        assert "no space left" in str(failure(client.ask(Verb.CALL, ["sync"])))
        assert other.ask(Verb.LAST, [None]).verb == Verb.DONE
        running.server.backend.journal.sync = usual
        assert client.ask(Verb.CALL, ["sync"]).verb == Verb.DONE


def test_what_one_client_sends_fails_for_it_alone(running):
    """Even if it would have been appended together with what others send."""
    answers = {}

    def append(client, attachment):
        try:
            answers[client] = client.ask(Verb.APPEND, [], attachment).verb
        except EOFError:
            answers[client] = None

    clients = [Hostile(running.port).log_in() for _ in range(4)]
    attachments = [frame(payload_of(PROJECT)) for _ in clients]
    attachments[0] = b"no record"
    threads = [
        threading.Thread(target=append, args=arguments)
        for arguments in zip(clients, attachments, strict=True)
    ]
    run_at_once(threads)
    assert [answers[client] for client in clients] == [None, Verb.DONE, Verb.DONE, Verb.DONE]
    for client in clients:
        client.close()
