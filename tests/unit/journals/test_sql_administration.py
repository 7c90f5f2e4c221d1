"""What administrators do with the tables: rights, schemas, pools of connections, old logs."""

import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import psycopg2
import pytest

from tests.contracts.journal_contract import payloads_of
from tests.databases import free_port, port_of
from tests.databases import numbered_events as events
from track.errors import JournalError, StoreNotFound
from track.journals.sql.journal import SQLJournal
from track.journals.sql.session import Servers

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "database.md"
numbers = count()


class Database:
    """An empty database with two users besides the one who made it: ``writer`` and ``reader``."""

    def __init__(self, admin):
        self.admin = admin
        self.name = f"administered{os.getpid()}_{next(numbers)}"
        self.users = {word: f"{self.name}_{word}" for word in ("writer", "reader")}
        admin.execute(f"CREATE DATABASE {self.name}")
        for user in self.users.values():
            admin.execute(f"CREATE ROLE {user} LOGIN")

    def execute(self, statements):
        """Have an administrator run statements, in which users have the names of this test."""
        for word, user in self.users.items():
            statements = statements.replace(word, user)
        with closing(self.connect()) as connection:
            connection.cursor().execute(statements)

    def connect(self, port=None):
        connection = psycopg2.connect(
            host="127.0.0.1", port=port or port_of("postgres"), user="postgres", dbname=self.name
        )
        connection.autocommit = True
        return connection

    def journal(self, user="postgres", log="log", port=None, **options):
        login = {"user": self.users.get(user, user), "dbname": self.name, "sslmode": "disable"}
        servers = Servers([("127.0.0.1", port or port_of("postgres"))], login)
        return SQLJournal(servers, log, **options)

    def remove(self):
        self.admin.execute(f"DROP DATABASE {self.name} WITH (FORCE)")
        for user in self.users.values():
            self.admin.execute(f"DROP ROLE {user}")


@pytest.fixture
def database(admin):
    made = Database(admin)
    yield made
    made.remove()


def guide(words):
    """Return the statements of the guide that have some words."""
    blocks = (block.split("```")[0] for block in GUIDE.read_text().split("```sql\n")[1:])
    (found,) = (block for block in blocks if words in block)
    return found


def test_users_need_no_more_rights_than_the_guide_grants(database):
    """One logs, also to a log of its own; the other one looks, and changes nothing."""
    with closing(database.journal()) as owner:
        owner.append(events(1, 1, 3))
        database.execute(guide("GRANT SELECT"))
        with closing(database.journal("writer")) as writer:
            writer.append(events(2, 1, 3))
            with writer.exclusive():
                writer.append(events(2, 4, 1))
            with pytest.raises(JournalError, match="permission denied"):
                writer.rewrite([7], lambda payload: payload[:-1] + b"\x00", 3)
        with closing(database.journal("writer", log="another")) as writer:
            writer.append(events(2, 1, 3))
        with closing(database.journal("reader", writable=False)) as reader:
            assert payloads_of(reader) == payloads_of(owner)
            assert reader.head() == 7
        with closing(database.journal("reader")) as reader:
            with pytest.raises(JournalError, match="permission denied"):
                reader.append(events(3, 1, 1))
            with pytest.raises(JournalError, match="permission denied"), reader.exclusive():
                pass
        unknown = database.journal("reader", log="unknown", writable=False)
        with closing(unknown), pytest.raises(StoreNotFound):
            unknown.head()
        assert owner.head() == 7


def test_tables_are_where_the_search_path_of_the_user_says(database):
    """Other tables of the same names are left alone."""
    database.execute("CREATE TABLE public.events (id INT8)")
    database.execute(guide("search_path"))
    with closing(database.journal("writer")) as journal:
        journal.append(events(1, 1, 3))
        assert journal.head() == 3
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tracking.events")
        assert cursor.fetchone() == (3,)
        cursor.execute("SELECT count(*) FROM public.events")
        assert cursor.fetchone() == (0,)


def test_the_guide_asks_for_the_sizes_of_all_tables(database):
    """Whatever tables there are by now, but those of a few rows."""
    with closing(database.journal()) as journal:
        journal.append(events(1, 1, 3))
    sizes = guide("pg_size_pretty")
    database.execute(sizes)
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = {name for (name,) in cursor.fetchall()}
    assert {name for name in tables if name in sizes} == tables - {"schema_version", "locks"}


def test_a_log_that_was_deleted_is_gone_and_others_are_not(database):
    """Its name may be used again."""
    for log in ("old", "new"):
        with closing(database.journal(log=log)) as journal:
            journal.append([*events(1, 1, 3), bytes(2**20 + 1)])
    database.execute(guide("DELETE"))
    gone = database.journal(log="old", writable=False)
    with closing(gone), pytest.raises(StoreNotFound):
        gone.head()
    for log, size in (("old", 0), ("new", 4)):
        with closing(database.journal(log=log)) as journal:
            assert journal.head() == size
            journal.append(events(2, 1, 1))
            assert len(payloads_of(journal)) == size + 1


@pytest.fixture
def pool(database, tmp_path):
    """The port of a PgBouncer that lends connections for one transaction at a time."""
    program, port = shutil.which("pgbouncer"), free_port()
    if program is None:
        pytest.skip("there is no pgbouncer on the PATH")
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": 12,
    }
    written = "".join(f"{name} = {value}\n" for name, value in settings.items())
    target = f"host=127.0.0.1 port={port_of('postgres')} user=postgres"
    (tmp_path / "pool.ini").write_text(
        f"[databases]\n{database.name} = {target}\n[pgbouncer]\n{written}"
    )
    account = {"user": "nobody"} if os.geteuid() == 0 else {}
    with (tmp_path / "pool.ini").open() as file:  # which nobody may not open by its name
        process = subprocess.Popen(
            [program, f"/dev/fd/{file.fileno()}"], pass_fds=[file.fileno()], **account
        )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(JournalError), closing(database.journal(port=port)) as journal:
            journal.prepare()
            break
    yield port
    process.terminate()
    process.wait()


def test_a_pool_may_lend_connections_for_one_transaction(database, pool):
    """No statement relies on one before it that was in another transaction."""

    def work(producer):
        with closing(database.journal(port=pool)) as journal:
            for number in range(1, 6):
                journal.append(events(producer, number, 1))
            for number in range(6, 9):
                with journal.exclusive():
                    journal.append(events(producer, number, 1))

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(work, (1, 2, 3)))
    with closing(database.journal(port=pool)) as journal:
        found = sorted((one.producer, one.sequence) for one in journal.read())
    assert found == [(producer, number) for producer in (1, 2, 3) for number in range(1, 9)]
    with closing(database.connect(pool)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("0",)
