"""Reading a log in batches, each of which is asked for while the one before it is worked on."""

import threading
import time

import pytest

from tests.databases import numbered_events as events
from tests.databases import port_of, sql_journal
from tests.programs import run_at_once
from tests.proxy import Proxy
from track.errors import JournalClosed

MANY = 20_000


@pytest.fixture
def filled(open_journal):
    """A log of several batches."""
    journal = open_journal()
    for first in range(1, MANY, 5000):
        journal.append(events(1, first, 5000))
    return journal


def connections(admin, log):
    """Count the connections whose last statement read a log."""
    admin.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'track' "
        "AND query LIKE '%%size_before%%' AND strpos(query, %s) > 0",
        (log,),
    )
    return admin.fetchone()[0]


def test_a_connection_that_is_lost_between_two_batches_costs_no_event(filled, log):
    """What was asked for ahead is asked for again."""
    with Proxy(port_of("postgres")) as proxy:
        reader = sql_journal("postgres", log, proxy.port)
        seen = []
        for positions, _ in reader.read_batches():
            seen += positions
            proxy.cut()
        reader.close()
    assert seen == [*range(1, MANY + 1)]


def test_a_read_that_is_given_up_leaves_nothing_behind(filled, admin, log):
    """The connection on which more was asked for is closed, and the journal goes on."""
    reader = filled
    for _ in range(3):
        batches = reader.read_batches()
        assert len(next(batches)[0]) == 64
        batches.close()
    deadline = time.monotonic() + 60
    while connections(admin, log) > 1:  # the server notices when it is done
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert reader.head() == MANY
    assert sum(len(positions) for positions, _ in reader.read_batches()) == MANY


def test_a_journal_that_is_closed_in_the_middle_says_so(filled):
    """What came before that was whole."""
    batches = filled.read_batches()
    next(batches)
    filled.close()
    with pytest.raises(JournalClosed):
        list(batches)


def test_what_is_appended_while_it_is_read_is_read_once(filled, open_journal):
    """Whether it comes with this reading or the next."""
    writer, seen = open_journal(), []
    for number, (positions, _) in enumerate(filled.read_batches()):
        seen += positions
        writer.append(events(2, 10 * number + 1, 10))
    for positions, _ in filled.read_batches(seen[-1]):
        seen += positions
    assert seen == [*range(1, writer.head() + 1)]


def test_threads_read_at_once(filled):
    """Each has what it asked for."""
    found = [0] * 4

    def read(number):
        found[number] = sum(len(positions) for positions, _ in filled.read_batches(number))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    run_at_once(threads)
    assert found == [MANY - number for number in range(4)]


def test_logs_of_one_database_do_not_see_each_other(open_journal, log):
    """Same producers, streams and numbers in each; every way to read finds those of its own."""
    journals = {name: sql_journal("postgres", f"{log[-200:]} {name}") for name in "ab"}
    size = {"a": 5000, "b": 3000}
    for first in range(1, 5001, 500):
        for name, journal in journals.items():
            if first <= size[name]:
                journal.append(events(1, first, 500))
    for name, journal in journals.items():
        assert journal.head() == journal.last_sequence(1) == size[name]
        everything = [*range(1, size[name] + 1)]
        for batches in (journal.read_batches(), journal.read_stream(7)):
            assert [position for positions, _ in batches for position in positions] == everything
        last = [position for positions, _ in journal.read_last(10) for position in positions]
        assert last == everything[-10:]
    assert journals["a"].fingerprint(10) == journals["b"].fingerprint(10)
    assert journals["b"].fingerprint(4000) is None
    journals["a"].rewrite([7], lambda payload: payload[:-1] + b"\x00", 5000)
    assert {payload[-1] for _, batch in journals["a"].read_batches() for payload in batch} == {0}
    assert {payload[-1] for _, batch in journals["b"].read_batches() for payload in batch} == {0xC0}
    for journal in journals.values():
        journal.close()
