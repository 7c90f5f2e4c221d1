"""Connections to a real server, and to one that turns everybody away."""

import logging
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import suppress

import pytest

from tests.contracts.journal_contract import payloads_of
from tests.databases import numbered_events as events
from tests.databases import port_of, sql_journal
from tests.proxy import Proxy
from track.errors import JournalError, JournalUnreachable
from track.events.codec import stream_id
from track.events.types import ProjectCreated
from track.journals.producer import Producer
from track.journals.sql.journal import SQLJournal
from track.journals.sql.session import Servers
from track.persistence.local_repository import LocalRepository
from track.persistence.repository import Precondition


def refused(**login):
    options = {"user": "postgres", "dbname": "postgres", "sslmode": "disable", **login}
    journal = SQLJournal(Servers([("127.0.0.1", port_of("postgres"))], options), "log", 30)
    with pytest.raises(JournalError) as caught:
        journal.head()
    assert not isinstance(caught.value, JournalUnreachable)
    return str(caught.value)


def test_a_refusal_is_not_waited_for(caplog):
    """Who asks for what is not there is told at once, and no secret with it."""
    with caplog.at_level(logging.DEBUG):
        assert "nobody" in refused(user="nobody", password="s3cret")
        assert "nowhere" in refused(dbname="nowhere", password="s3cret")
        tls = refused(sslmode="require", password="s3cret")
    assert "does not support SSL" in tls
    assert "sslmode" in tls
    assert "s3cret" not in caplog.text + tls


def test_nothing_shows_a_password():
    """Neither the servers nor the journal on them."""
    servers = Servers([("db", 5432)], {"password": "s3cret"})
    journal = SQLJournal(servers, "log", 0.1)
    assert "s3cret" not in f"{servers} {servers!r} {journal!r} {journal.name}"
    with pytest.raises(JournalUnreachable) as caught:
        journal.head()
    assert "s3cret" not in str(caught.value)
    assert "db:5432" in str(caught.value)


def test_any_of_several_hosts_will_do(log):
    """The first one is dead; after that, the second one is asked first."""
    dead, alive = ("127.0.0.1", 1), ("127.0.0.1", port_of("postgres"))
    options = {"user": "postgres", "dbname": "postgres", "sslmode": "disable"}
    servers = Servers([dead, alive], options)
    journal = SQLJournal(servers, log)
    journal.append([b"a"])
    assert payloads_of(journal) == [b"a"]
    assert servers._turn == 1
    journal.close()


def test_connections_that_the_server_ended_are_replaced(open_journal, admin):
    """Who comes back after a night does not notice."""
    journal = open_journal()
    with journal.exclusive():
        journal.append([b"a"])
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'SET|logs|locks'"
        " AND pid <> pg_backend_pid()"
    )
    journal.append(events(1, 1, 1))
    with journal.exclusive():
        journal.append(events(1, 2, 1))
    assert journal.head() == 3


def test_a_known_log_is_opened_with_few_statements(log):
    """Each takes a round trip: a project is made, and another client finds it."""
    statements = Counter()

    def count(to_server, data):
        statements["all"] += to_server and data.startswith(b"Q")
        yield data

    with Proxy(port_of("postgres")) as proxy:
        for client in ("first", "second"):
            proxy.spoil = count
            journal = sql_journal("postgres", log, proxy.port)
            repository = LocalRepository(journal, Producer(journal))
            statements.clear()
            unmet = repository.append_if(
                stream_id("project", "p"),
                ProjectCreated("p", None, {}),
                [Precondition("project", "p", "absent")],
            )
            assert (unmet is None) == (client == "first")
            assert statements["all"] <= (40 if client == "first" else 2)
            journal.close()


def test_a_cluster_that_knows_no_limit_for_idle_transactions_is_used_without(log):
    """CockroachDB before 20.2 answers 22023; here a PostgreSQL is made to look like one."""
    version = b"crdb_version\0CockroachDB CCL v20.1.0\0"
    welcome = b"R" + struct.pack(">II", 8, 0)
    asked = []

    def disguise(to_server, data):
        if to_server:
            asked.append(b"SET idle_in_transaction" in data)
            yield data.replace(b"timeout = 20000", b"timeout = 'bad'")
        else:
            status = b"S" + struct.pack(">I", 4 + len(version)) + version
            yield data.replace(welcome, welcome + status)

    with Proxy(port_of("postgres")) as proxy:
        proxy.spoil = disguise
        journal = sql_journal("postgres", log, proxy.port)
        with journal.exclusive():
            journal.append(events(1, 1, 1))
        assert any(asked)
        assert journal.head() == 1
        journal.close()


class Doorkeeper:
    """A server that turns everybody away with the same words."""

    def __init__(self, words, severity):
        self.listener = socket.create_server(("127.0.0.1", 0))
        fields = b"".join(b"%c%s\0" % field for field in ((b"S", severity), (b"M", words)))
        self.answer = b"E" + struct.pack(">I", len(fields) + 5) + fields + b"\0"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with suppress(OSError):  # the listener was closed
            while True:
                visitor, _ = self.listener.accept()
                visitor.recv(1000)
                visitor.sendall(self.answer)
                visitor.close()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (b"terminating connection due to administrator command", JournalUnreachable),
        (b"the database system is starting up", JournalUnreachable),
        (b"the database system is shutting down", JournalUnreachable),
        (b"the database system is in recovery mode", JournalUnreachable),
        (b"sorry, too many clients already", JournalUnreachable),
        (b"remaining connection slots are reserved", JournalUnreachable),
        (b"server is not accepting clients", JournalUnreachable),
        (b'password authentication failed for user "me"', JournalError),
        (b"no pg_hba.conf entry for host", JournalError),
    ],
)
@pytest.mark.parametrize("severity", ["FATAL", "ERROR", "СБОЙ"])
def test_what_passes_is_waited_for_and_what_does_not_is_told_at_once(words, error, severity):
    """The driver has no codes for that, only words; the severity of CockroachDB is another one."""
    doorkeeper = Doorkeeper(words, severity.encode())
    address = doorkeeper.listener.getsockname()
    journal = SQLJournal(Servers([address], {"sslmode": "disable"}), "log", 0.5)
    with pytest.raises(JournalError, match=words.decode()[:20]) as caught:
        journal.head()
    assert type(caught.value) is error
    doorkeeper.listener.close()


def test_a_session_that_was_idle_for_long_is_not_used(open_journal, monkeypatch):
    """A router between here and the server may have forgotten its connection."""
    journal = open_journal()
    journal.append([b"a"])
    (before,) = journal._sessions._idle
    assert journal.head() == 1
    assert journal._sessions._idle == [before]
    later = time.monotonic() + 3600
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert journal.head() == 1
    assert before not in journal._sessions._idle
