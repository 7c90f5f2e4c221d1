"""What the tests of SQL journals share: a log on a real server."""

import psycopg2
import pytest

from tests.databases import KINDS, port_of, sql_journal


@pytest.fixture
def admin():
    """Somebody who may do everything, behind the back of a journal."""
    port_of("postgres")
    connection = psycopg2.connect(
        host="127.0.0.1", port=port_of("postgres"), user="postgres", dbname="postgres"
    )
    connection.autocommit = True
    yield connection.cursor()
    connection.close()


@pytest.fixture
def log(tmp_path):
    return str(tmp_path)[-200:]


@pytest.fixture
def open_journal(log):
    """Open the log of the test as often as called."""
    opened = []

    def open_one(kind="postgres", **options):
        opened.append(sql_journal(kind, log, **options))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.close()


@pytest.fixture(params=KINDS)
def journal(request, open_journal):
    return open_journal(request.param)
