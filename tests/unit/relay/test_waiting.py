"""Servers that are not there, or say nothing: how long they are waited for, and what is said."""

import logging
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from tests.databases import port_of
from tests.proxy import Proxy
from tests.relays import PATIENCE_S, ServerProcess, served, uri_of
from track.errors import JournalUnreachable
from track.journals.sql.journal import SQLJournal
from track.journals.sql.session import Servers
from track.persistence import get_protocol
from track.relay.connection import Connection
from track.relay.messages import Verb
from track.relay.session import Target
from track.structure import Project

NOBODY = ("nobody", None)


@pytest.fixture
def closed_port():
    """A port of this machine where nobody listens, nor will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def black_hole():
    """A port where connections are made, and nobody says anything."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent.getsockname()[1]


@contextmanager
def hanging():
    """Give what looks up names, and is never done with it in the block."""
    done = threading.Event()

    def resolve(host, port, **options):
        done.wait(PATIENCE_S)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    yield resolve
    done.set()


def failure_of(ask, kind=JournalUnreachable):
    """Return how a call fails that must not take as long as it may."""
    failures = []

    def call():
        try:
            ask()
        except kind as error:
            failures.append(str(error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "it waits"
    (failure,) = failures
    return failure


def target(host, port=1, timeout_s=3600.0, **options):
    return Target(host, port, None, lambda: NOBODY, True, None, timeout_s, **options)


def ask(connection):
    connection.request(Verb.LAST, [None])


# Told at once


def test_a_server_that_was_never_there_is_waited_for_in_case_it_starts(closed_port, tmp_path):
    """For some seconds, by a program that logs: it may have started the server itself."""
    uri = uri_of(closed_port, timeout=3600, spool=tmp_path, start_timeout=0.2)
    store = get_protocol(uri)
    said = failure_of(lambda: store.new_project(Project(name="p")))
    assert f"127.0.0.1:{closed_port} does not answer" in said
    assert "refused" in said
    assert "recorded" not in said
    store.close()


@pytest.mark.parametrize("scheme", ["socket", "postgres", "cockroach"])
def test_the_command_line_tells_at_once_that_nobody_is_there(scheme, closed_port):
    """With one line, and the code of a failure."""
    uri = f"{scheme}://127.0.0.1:{closed_port}/?timeout=3600"
    done = run_track("ls", "-s", uri)
    assert done.returncode == 1
    assert "efused" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_name_that_does_not_exist_is_told_at_once():
    """No server will ever have it."""

    def resolve(host, port, **options):
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    assert "no such name" in failure_of(lambda: ask(Connection(target("db", resolve=resolve))))
    servers = Servers([("db", 1)], {}, resolve)
    assert "no such name" in failure_of(lambda: SQLJournal(servers, "log", 3600).head())


def test_a_database_that_was_never_there_is_not_waited_for(closed_port):
    """Whatever its timeout is."""
    servers = Servers([("127.0.0.1", closed_port)], {"sslmode": "disable"})
    assert "efused" in failure_of(lambda: SQLJournal(servers, "log", 3600).head())


# Waited for


def test_a_server_that_was_there_is_waited_for(tmp_path):
    """While it is started again, say."""
    server = ServerProcess(f"file:{tmp_path / 'report.json'}")
    store = get_protocol(server.uri(spool=tmp_path / "spool", timeout=PATIENCE_S))
    store.new_project(Project(name="first"))
    server.kill()
    asking = threading.Thread(target=store.new_project, args=(Project(name="second"),))
    asking.start()
    server.start()
    asking.join(PATIENCE_S)
    assert [project.name for project in store.fetch_projects()] == ["first", "second"]
    store.close()
    server.stop()


def test_a_database_that_was_there_is_waited_for(tmp_path):
    """The first connection is lost, and the next one is refused for a while."""
    options = {"user": "postgres", "dbname": "postgres", "sslmode": "disable"}
    with Proxy(port_of("postgres")) as proxy:
        journal = SQLJournal(
            Servers([("127.0.0.1", proxy.port)], options), str(tmp_path)[-200:], PATIENCE_S
        )
        journal.append([b"a"])
        proxy.refuse()
        heads = []
        asking = threading.Thread(target=lambda: heads.append(journal.head()))
        asking.start()
        proxy.forward()
        asking.join(PATIENCE_S)
        assert heads == [1]
        journal.close()


# Waiting is shown


def test_a_server_that_says_nothing_is_given_up_on_and_that_is_said(black_hole, caplog):
    """Both by whoever asks the library..."""
    said = failure_of(lambda: ask(Connection(target("127.0.0.1", black_hole, timeout_s=2.6))))
    assert "does not answer" in said
    assert f"Waiting for 127.0.0.1:{black_hole} (no answer yet) …" in caplog.messages


@pytest.mark.parametrize("scheme", ["socket", "postgres"])
def test_the_command_line_shows_what_it_waits_for(scheme, black_hole):
    """... and on a terminal."""
    done = run_track("ls", "-s", f"{scheme}://127.0.0.1:{black_hole}/?timeout=4")
    assert done.returncode == 1
    waiting, failed = done.stderr.splitlines()
    assert waiting == f"track: Waiting for 127.0.0.1:{black_hole} (no answer yet) …"
    assert "answer" in failed


def test_a_lookup_that_hangs_is_given_up_on(caplog):
    """It goes on by itself; whoever asks is told."""
    with hanging() as resolve:
        slow = target("db", timeout_s=2.6, resolve=resolve)
        assert "looking up the host db" in failure_of(lambda: ask(Connection(slow)))
        servers = Servers([("db", 1)], {}, resolve)
        assert "looking up the host db" in failure_of(lambda: SQLJournal(servers, "log", 1).head())
    assert any(message.startswith("Waiting for db:1 (") for message in caplog.messages)


def test_who_is_answered_soon_sees_nothing(caplog, tmp_path):
    """However often."""
    with caplog.at_level(logging.WARNING), served("memory:") as running:
        store = get_protocol(running.uri(spool=tmp_path))
        for index in range(20):
            store.new_project(Project(name=str(index)))
        store.close()
    assert caplog.messages == []


def run_track(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "track", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 2,
        check=False,
    )
