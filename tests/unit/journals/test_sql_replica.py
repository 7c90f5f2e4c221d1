"""Servers that only read: replicas of another server."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

import track
from tests.contracts.journal_contract import payloads_of
from tests.databases import PostgresServer, Standby, journal_at, numbered_events, uri_of
from tests.e2e.faults import patience
from track import TrackClient
from track.errors import JournalError, JournalUnreachable


@pytest.fixture(scope="module")
def primary():
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def replica(primary):
    server = Standby(primary)
    yield server
    server.stop()


def uri_to(*servers, log, **options):
    """Return the URI of a log on several servers."""
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    uri = uri_of("postgres", log, servers[0].port, **options)
    return uri.replace(f"127.0.0.1:{servers[0].port}", hosts)


def log_a_trial(uri):
    client = TrackClient(uri)
    client.set_project(name="p")
    with client.new_trial(name="t", parameters={"lr": 1}) as trial:
        trial.log_metrics(step=1, loss=0.5)
    client.close()


def until_replayed(primary, replica):
    """Wait until a replica has everything."""
    with closing(primary.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn()")
        (written,) = cursor.fetchone()
    with closing(replica.connect()) as connection, connection.cursor() as cursor:
        for _ in patience():
            cursor.execute("SELECT pg_last_wal_replay_lsn() >= %s", (written,))
            if cursor.fetchone()[0]:
                return


def port_behind(journal):
    """Return the port of the server that a journal asks."""
    ((port,),) = journal.ask("SELECT inet_server_port()")
    return port


def test_a_replica_can_be_read(primary, replica, log, tmp_path):
    """Even where transactions are serializable by default, which replicas refuse."""
    log_a_trial(uri_to(primary, log=log, spool=tmp_path))
    until_replayed(primary, replica)
    reader = track.open(uri_to(replica, log=log))
    assert [trial.name for trial in reader.trials()] == ["t"]
    assert reader.trials()[0].metrics["loss"][1] == 0.5


def test_writing_to_a_replica_is_refused_in_clear_words(primary, replica, log, tmp_path):
    """At once, whether the log is there or not; what the client did is kept in its spool."""
    with closing(journal_at(uri_to(primary, log=log))) as journal:
        journal.append(numbered_events(1, 1, 1))
    until_replayed(primary, replica)
    for name in (log, f"{log[-200:]} new"):
        journal = journal_at(uri_to(replica, log=name))
        with pytest.raises(JournalError, match=r"is read-only .*target_session_attrs") as caught:
            journal.append(numbered_events(1, 2, 1))
        assert not isinstance(caught.value, JournalUnreachable)
        with pytest.raises(JournalError, match="is read-only"), journal.exclusive():
            pass
    client = TrackClient(uri_to(replica, log=log, spool=tmp_path))
    with pytest.raises(JournalError, match="is read-only"):
        client.set_project(name="p")


@pytest.mark.parametrize(
    ("wanted", "is_replica_used"),
    [
        ("read-write", False),
        ("primary", False),
        ("standby", True),
        ("read-only", True),
        ("prefer-standby", True),
    ],
)
def test_the_uri_says_which_of_several_servers_is_used(
    primary, replica, log, wanted, is_replica_used
):
    """In whatever order they are named."""
    with closing(journal_at(uri_to(primary, log=log))) as journal:
        journal.prepare()
    until_replayed(primary, replica)
    expected = replica if is_replica_used else primary
    for order in ((primary, replica), (replica, primary)):
        uri = uri_to(*order, log=log, target_session_attrs=wanted)
        with closing(journal_at(uri, writable=False)) as journal:
            assert port_behind(journal) == expected.port


def test_a_standby_is_only_preferred(primary, log):
    """Where there is none, the other server will do."""
    with closing(journal_at(uri_to(primary, log=log))) as journal:
        journal.prepare()
    uri = uri_to(primary, log=log, target_session_attrs="prefer-standby")
    with closing(journal_at(uri, writable=False)) as journal:
        assert port_behind(journal) == primary.port


def test_that_no_server_is_as_wanted_is_told(primary, replica, log):
    """Nobody is told to look whether the database runs, for it does."""
    for server, wanted in ((replica, "read-write"), (primary, "standby")):
        journal = journal_at(uri_to(server, log=log, target_session_attrs=wanted))
        with pytest.raises(JournalUnreachable, match="target_session_attrs"):
            journal.head()
    with pytest.raises(JournalError, match="use read-write, read-only"):
        journal_at(uri_to(primary, log=log, target_session_attrs="writable")).head()


def test_a_read_goes_on_when_the_replica_is_gone(primary, log):
    """Another server takes its place."""
    with closing(journal_at(uri_to(primary, log=log))) as journal:
        journal.append(numbered_events(1, 1, 3))
    replica = Standby(primary)
    until_replayed(primary, replica)
    uri = uri_to(replica, primary, log=log, target_session_attrs="prefer-standby")
    with closing(journal_at(uri, writable=False)) as journal:
        assert port_behind(journal) == replica.port
        replica.stop()
        assert journal.head() == 3
        assert port_behind(journal) == primary.port
    with pytest.raises(psycopg2.OperationalError):
        replica.connect()


# Failover


def set_read_only(server, setting):
    """Change what the open connections to a server may do."""
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER SYSTEM SET default_transaction_read_only = {setting}")
        cursor.execute("SELECT pg_reload_conf()")


def wait_until_read_only(journal):
    """Wait until the connection of a journal has heard of the change."""
    for _ in patience():
        if journal.ask("SHOW default_transaction_read_only") == [("on",)]:
            return


def refusals_of(server):
    """Return how often a server refused to change anything."""
    return (server.folder / "log").read_text().count("in a read-only transaction")


def test_a_server_that_turns_read_only_for_a_while_is_waited_for(primary, log):
    """Appends and decisions go on when it accepts changes again; else the error says so."""
    with (
        closing(journal_at(uri_to(primary, log=log))) as journal,
        closing(journal_at(uri_to(primary, log=log, timeout=1))) as impatient,
        ThreadPoolExecutor() as pool,
    ):
        journal.append(numbered_events(1, 1, 3))
        impatient.append(numbered_events(2, 1, 1))
        set_read_only(primary, "on")
        try:
            wait_until_read_only(journal)
            refused = refusals_of(primary)
            appending = pool.submit(journal.append, numbered_events(1, 4, 3))
            for _ in patience():
                if refusals_of(primary) > refused:
                    break
            with pytest.raises(JournalUnreachable, match="turned read-only"):
                impatient.append(numbered_events(2, 2, 1))
        finally:
            set_read_only(primary, "off")
        appending.result()
        with journal.exclusive():
            journal.append(numbered_events(1, 7, 1))
        expected = [*numbered_events(1, 1, 3), *numbered_events(2, 1, 1), *numbered_events(1, 4, 4)]
        assert payloads_of(journal) == expected


def test_appends_and_decisions_go_on_at_the_server_that_was_promoted(log):
    """Whether or not the URI says that the server must accept changes, if it names both."""
    old = PostgresServer()
    new = Standby(old)
    options = ({}, {"target_session_attrs": "read-write"})
    journals = [
        journal_at(uri_to(old, new, log=f"{log[-200:]} {number}", **each))
        for number, each in enumerate(options)
    ]
    try:
        for journal in journals:
            journal.append(numbered_events(1, 1, 3))
        until_replayed(old, new)
        set_read_only(old, "on")
        for journal in journals:
            wait_until_read_only(journal)
        with closing(new.connect()) as connection:
            connection.cursor().execute("SELECT pg_promote()")
        for journal in journals:
            journal.append(numbered_events(1, 4, 3))
            with journal.exclusive():
                journal.append(numbered_events(1, 7, 1))
            assert port_behind(journal) == new.port
            assert payloads_of(journal) == numbered_events(1, 1, 7)
    finally:
        for journal in journals:
            journal.close()
        new.stop()
        old.stop()
