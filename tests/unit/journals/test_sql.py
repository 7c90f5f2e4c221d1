"""The SQL journal on a real server: its tables, its limits, and what can go wrong there."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import blake2b
from itertools import count

import psycopg2
import pytest

from tests.contracts.journal_contract import payloads_of, positions_of
from tests.databases import numbered_events as events
from tests.databases import port_of, sql_journal, terminate
from tests.programs import run_python
from track.errors import (
    ConcurrentWrite,
    EncodingError,
    JournalError,
    JournalWriteError,
    NewerFormat,
)
from track.events.codec import MAX_PAYLOAD, Encoder
from track.events.record import MAX_GROUP
from track.events.types import MetricsLogged, TrialStarted
from track.journals.producer import Producer
from track.journals.sql.journal import SQLJournal
from track.journals.sql.reading import READ_BYTES
from track.journals.sql.rows import Rows
from track.journals.sql.schema import PART_BYTES, TABLES, VERSION
from track.journals.sql.session import Servers

numbers = count()


@pytest.fixture
def database(admin):
    """A new database, and a function that opens a journal in it."""
    name = f"t{os.getpid()}_{next(numbers)}"
    admin.execute(f"CREATE DATABASE {name}")
    opened = []

    def open_one(user="postgres", password=None, **options):
        login = {"user": user, "dbname": name, "sslmode": "disable"}
        login |= {} if password is None else {"password": password}
        servers = Servers([("127.0.0.1", port_of("postgres"))], login)
        opened.append(SQLJournal(servers, "log", **options))
        return opened[-1]

    open_one.name = name
    yield open_one
    for journal in opened:
        journal.close()
    admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def inside(database):
    """Return somebody who may do everything in a database."""
    connection = psycopg2.connect(
        host="127.0.0.1", port=port_of("postgres"), user="postgres", dbname=database.name
    )
    connection.autocommit = True
    return connection


# Tables


def test_tables_are_made_once_however_many_begin_at_once(database):
    """Eight clients in a database that is empty all get to work."""
    journals = [database() for _ in range(8)]
    barrier = threading.Barrier(8)

    def begin(number):
        barrier.wait()
        journals[number].append(events(number + 1, 1, 3))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(begin, range(8)))
    assert journals[0].head() == 24
    with inside(database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version FROM schema_version")
        assert cursor.fetchall() == [(VERSION,)]


def test_tables_that_were_begun_are_completed(database):
    """Somebody was stopped in the middle of it."""
    connection = inside(database)
    for statement in TABLES[:3]:
        connection.cursor().execute(statement)
    connection.close()
    journal = database()
    journal.append([b"a"])
    assert payloads_of(journal) == [b"a"]


def test_tables_of_a_newer_version_are_not_touched(database):
    """The error says to upgrade."""
    database().append([b"a"])
    connection = inside(database)
    connection.cursor().execute("INSERT INTO schema_version VALUES (99)")
    connection.close()
    with pytest.raises(NewerFormat, match="version 99"):
        database().head()


def test_tables_of_an_older_version_are_not_touched(database):
    """The error says how to move what is in them."""
    with closing(inside(database)) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE schema_version (version INT8)")
        cursor.execute("INSERT INTO schema_version VALUES (1), (2), (3)")
        cursor.execute("CREATE TABLE logs (log VARCHAR(255) PRIMARY KEY, head INT8)")
        cursor.execute("CREATE TABLE locks (log VARCHAR(255), name VARCHAR(16))")
        for writable in (True, False):
            with pytest.raises(JournalError, match=r"version 3.*copy each log to a file"):
                database(writable=writable).head()
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchone() == (3,)


def test_tables_of_somebody_else_are_named(database):
    """There is an ``events`` already, which is another program's."""
    connection = inside(database)
    connection.cursor().execute("CREATE TABLE events (id INT8)")
    connection.close()
    journal = database()
    with pytest.raises(JournalError, match=r"refused: column"):
        journal.append([b"a"])


def test_a_user_without_rights_is_told_what_is_missing(database, admin):
    """It may connect, and no more."""
    user = f"{database.name}_user"
    admin.execute(f"CREATE ROLE {user} LOGIN")
    try:
        with pytest.raises(JournalError, match="allow this user to create tables"):
            database(user).head()
    finally:
        admin.execute(f"DROP ROLE {user}")


# Logs


@pytest.mark.parametrize(
    "name",
    ["it's", '"quoted"', "100%", "%s %(log)s", "日本 🎉", "back\\slash", "x" * 255, "A", "a"],
)
def test_a_log_may_have_any_name(name):
    """Names are data, and tell logs apart exactly."""
    journal = sql_journal("postgres", name)
    journal.append([name.encode()])
    assert payloads_of(journal) == [name.encode()]
    with journal.exclusive():
        assert journal.head() == 1
    journal.close()


# What is appended


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, MAX_PAYLOAD])
def test_payloads_of_any_size_come_back(journal, size):
    """Those that do not fit a column are cut, and joined again."""
    payload = os.urandom(size)
    journal.append([b"before", payload, b"after"])
    assert payloads_of(journal) == [b"before", payload, b"after"]
    assert journal.fingerprint(2) == blake2b(payload, digest_size=32).digest()
    (parts,) = journal.ask("SELECT parts FROM events WHERE log = %(log)s AND position = 2")[0]
    assert parts == max(1, -(-size // PART_BYTES))


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 8193])
def test_batches_of_any_length_are_one_append(journal, size):
    """Also those that take several statements."""
    journal.append(events(1, 1, size))
    journal.append(events(1, size + 1, 1))
    assert positions_of(journal) == list(range(1, size + 2))
    assert [recorded.sequence for recorded in journal.read()] == list(range(1, size + 2))


def test_what_is_over_a_limit_adds_nothing(journal):
    """The error names the limit."""
    with pytest.raises(EncodingError, match=str(MAX_PAYLOAD)):
        journal.append([b"a", bytes(MAX_PAYLOAD + 1)])
    with pytest.raises(EncodingError, match=str(MAX_GROUP)):
        journal.append([bytes(2**23)] * 9)
    assert journal.head() == 0


def test_columns_are_those_of_the_envelope(journal):
    """People look at the table with SQL."""
    Producer(journal).record(7, TrialStarted())
    ((recorded),) = journal.read()
    rows = journal.ask(
        "SELECT stream, kind, at, last_sequence FROM events NATURAL JOIN producers "
        "WHERE log = %(log)s"
    )
    assert rows == [(7, 6, recorded.at, 1)]


def test_a_batch_that_is_sent_again_is_acknowledged_and_not_repeated(journal):
    """The first time it was committed, and nobody was told."""
    journal.append(events(1, 1, 5))
    journal.append(events(1, 1, 5))
    with journal.exclusive():
        journal.append(events(1, 1, 5))
    assert [recorded.sequence for recorded in journal.read()] == [1, 2, 3, 4, 5]
    assert journal.head() == 5


def test_a_batch_that_is_there_in_part_is_refused(journal):
    """Who sends it must leave out what has arrived."""
    journal.append(events(1, 1, 3))
    with pytest.raises(JournalWriteError, match="but not all"):
        journal.append(events(1, 2, 3))
    assert journal.head() == 3
    with pytest.raises(JournalWriteError, match="but not all"):
        journal.append([*events(2, 1, 3), *events(1, 3, 1)])
    with pytest.raises(JournalWriteError, match="but not all"):
        journal.append([*events(2, 1, 3), *events(2, 3, 1)])
    with pytest.raises(JournalWriteError, match="but not all"):
        journal.append([*events(1, 3, 1), b"not an event"])
    assert journal.head() == 3
    assert journal.last_sequence(1) == 3
    assert journal.last_sequence(2) == 0


def test_a_batch_of_several_producers_that_is_sent_again_is_not_repeated(journal):
    """Their events may alternate, and one of them may have sent more meanwhile."""
    mixed = [*events(1, 1, 2), *events(2, 5, 2), *events(1, 7, 1), *events(3, 1, 1)]
    journal.append(mixed)
    journal.append(events(2, 7, 3))
    journal.append(mixed)
    assert payloads_of(journal) == [*mixed, *events(2, 7, 3)]
    assert [journal.last_sequence(producer) for producer in (1, 2, 3)] == [7, 9, 1]


def test_events_that_arrive_while_they_are_committed_are_not_repeated(open_journal, admin):
    """Also where transactions see what others commit meanwhile."""
    journal, late = open_journal(), open_journal()
    late.ask("SET default_transaction_isolation = 'read committed'")
    rows = Rows(events(1, 1, 3))
    with journal._sessions.one() as session, ThreadPoolExecutor() as pool:
        journal.prepare()
        session.execute("BEGIN")
        journal._insert(rows, None, session)
        sending = pool.submit(late.append, events(1, 1, 3))
        while not waiting_for_locks(admin, late):
            time.sleep(0.01)
        session.execute("COMMIT")
        sending.result()
    assert payloads_of(journal) == events(1, 1, 3)


def waiting_for_locks(admin, journal):
    """Return whether the server has a session of a journal wait for another one."""
    pids = [session._connection.info.backend_pid for session in journal._sessions._open]
    admin.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s) AND wait_event_type = 'Lock'",
        (pids,),
    )
    return admin.fetchone()[0] > 0


def test_a_polling_reader_never_misses_what_comes_late(open_journal):
    """Writers at once; a reader that continues behind the last position sees every event."""
    done = threading.Event()
    seen = []

    def follow():
        reader = open_journal()
        while True:
            finished = done.is_set()
            for positions, _ in reader.read_batches(seen[-1] if seen else 0):
                seen.extend(positions)
            if finished:
                return

    def write(producer):
        writer = open_journal()
        for number in range(20):
            writer.append(events(producer, number * 3 + 1, 3))

    with ThreadPoolExecutor(5) as pool:
        following = pool.submit(follow)
        list(pool.map(write, range(1, 5)))
        done.set()
        following.result()
    assert seen == list(range(1, 241))


def test_what_is_read_at_once_is_bounded_however_large_it_gets(journal):
    """Small events say nothing about the ones behind them."""
    large = [bytes([number]) * (PART_BYTES + 1) for number in range(12)]
    payloads = [*events(1, 1, 200), *large[:6]]
    journal.append(payloads)
    journal.append([*large[6:], b"", b"last"])
    batches = [*journal.read_batches()]
    assert [payload for _, some in batches for payload in some] == [
        *payloads,
        *large[6:],
        b"",
        b"last",
    ]
    assert [place for places, _ in batches for place in places] == [*range(1, journal.head() + 1)]
    most = max(sum(map(len, some)) for _, some in batches)
    assert most < READ_BYTES + 2 * PART_BYTES


def test_a_rewrite_of_more_than_fits_into_one_transaction_is_whole(journal):
    """It is done in pieces of up to 500 events and 8 MiB, and the last piece may be empty."""
    payloads = events(1, 1, 1101)
    values = [1, {"x": "a" * (PART_BYTES - 100)}, None]
    large = [Encoder().encode(MetricsLogged, values, 7, 2, number, 1) for number in range(10)]
    journal.append(payloads[:1000])
    journal.append(large)
    journal.append(payloads[1000:])
    sizes = []

    def change(payload):
        sizes.append(len(payload))
        return payload[:-1] + b"\x00"

    journal.rewrite([7], change, 1110)
    assert len(sizes) == 1110
    expected = [*payloads[:1000], *large, *payloads[1000:-1]]
    assert payloads_of(journal) == [*(one[:-1] + b"\x00" for one in expected), payloads[-1]]


def test_payloads_that_are_kept_in_parts_are_rewritten_whole(journal):
    """Whichever part the change is in; the others are as they were."""
    encode = Encoder().encode
    large = [
        encode(MetricsLogged, [1, {"x": letter * (2 * PART_BYTES + 5)}, None], 7, 1, number, 1)
        for number, letter in enumerate("ab", 1)
    ]
    journal.append([*large, *events(1, 3, 1)])

    def change(payload):
        return payload.replace(b"a", b"z") if len(payload) > PART_BYTES else payload

    journal.rewrite([7], change, 3)
    assert payloads_of(journal) == [change(large[0]), large[1], *events(1, 3, 1)]


# Sections


def end_section_of(journal, admin):
    """Cut the connection that holds a section, as a server that fails over does."""
    terminate(journal._lock, admin)


def test_a_section_whose_lock_was_lost_goes_on_if_nobody_else_decided(open_journal, admin):
    """Appends of others do not matter to it."""
    journal, other = open_journal(), open_journal()
    with journal.exclusive():
        end_section_of(journal, admin)
        other.append(events(2, 1, 1))
        journal.append(events(1, 1, 1))
        journal.append(events(1, 2, 1))
    assert journal.head() == 3


def test_a_section_whose_lock_was_lost_ends_if_somebody_else_decided(open_journal, admin):
    """Nothing is recorded on the strength of what is no longer so."""
    journal, other = open_journal(), open_journal()
    with journal.exclusive():
        end_section_of(journal, admin)
        with other.exclusive():
            other.append(events(2, 1, 1))
        with pytest.raises(ConcurrentWrite, match="try again"):
            journal.append(events(1, 1, 1))
    assert journal.head() == 1
    with journal.exclusive():
        journal.append(events(1, 2, 1))
    assert journal.head() == 2


def test_whoever_sleeps_in_a_turn_is_passed(open_journal):
    """The queue of those who append is a courtesy, not a condition."""
    sleeper, journal = open_journal(), open_journal()
    journal.turn_s = 0.1
    with sleeper._turn():
        journal._turns = 5
        journal.append(events(1, 1, 1))
    assert journal.head() == 1


# Forks

FORK = """
import os
from tests.databases import sql_journal
from tests.databases import numbered_events as events

journal = sql_journal("postgres", {log!r})
with journal.exclusive():
    journal.append(events(1, 1, 1))
    pid = os.fork()
    if pid == 0:
        journal.append(events(2, 1, 1))
        assert journal.head() == 2
        journal.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    journal.append(events(1, 2, 1))
assert journal.head() == 3
"""


def test_a_forked_child_has_connections_of_its_own(log):
    """What it does with them, and its end, do not touch those of its parent."""
    port_of("postgres")
    run_python(FORK.format(log=log))
