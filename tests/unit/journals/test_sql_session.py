"""Connections to a real server, and to one that turns everybody away."""

import logging
import socket
import struct
import threading
from contextlib import suppress

import pytest

from tests.contracts.journal_contract import payloads_of
from tests.databases import numbered_events as events
from tests.databases import port_of
from track.errors import JournalError, JournalUnreachable
from track.journals.sql import session as sql_session
from track.journals.sql.journal import SQLJournal
from track.journals.sql.session import Servers


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


class Doorkeeper:
    """A server that turns everybody away with the same words."""

    def __init__(self, words):
        self.listener = socket.create_server(("127.0.0.1", 0))
        fields = b"".join(b"%c%s\0" % field for field in ((b"S", b"FATAL"), (b"M", words)))
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
        (b'password authentication failed for user "me"', JournalError),
        (b"no pg_hba.conf entry for host", JournalError),
    ],
)
def test_what_passes_is_waited_for_and_what_does_not_is_told_at_once(words, error):
    """The driver has no codes for that, only words."""
    doorkeeper = Doorkeeper(words)
    address = doorkeeper.listener.getsockname()
    journal = SQLJournal(Servers([address], {"sslmode": "disable"}), "log", 0.1)
    with pytest.raises(JournalError, match=words.decode()[:20]) as caught:
        journal.head()
    assert type(caught.value) is error
    doorkeeper.listener.close()


def test_a_session_that_was_idle_for_long_is_not_used(open_journal, monkeypatch):
    """Whatever is between here and the server may have forgotten it."""
    journal = open_journal()
    journal.append([b"a"])
    (before,) = journal._sessions._idle
    assert journal.head() == 1
    assert journal._sessions._idle == [before]
    monkeypatch.setattr(sql_session, "STALE_S", 0.0)
    assert journal.head() == 1
    assert before not in journal._sessions._idle
