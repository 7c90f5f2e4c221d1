"""The LMDB journal: maps that grow, environments that are shared, broken, deleted or foreign."""

import errno
import os
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path

import lmdb
import pytest

from track.errors import (
    JournalAbandoned,
    JournalClosed,
    JournalWriteError,
)
from track.events.types import TrialStarted
from track.journals import lmdb_environment
from track.journals.lmdb import LMDBJournal
from track.journals.producer import Producer

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.lmdb"


@pytest.fixture
def journal(path):
    opened = LMDBJournal(path, "process", lock_timeout_s=0.5)
    yield opened
    opened.close()


def payloads_of(journal, after=0):
    return [payload for _, batch in journal.read_batches(after) for payload in batch]


PROGRAM = """
import os, sys, time
sys.path.insert(0, {root!r})
from track.journals.lmdb import LMDBJournal
from track.journals.producer import Producer
from track.events.types import MetricsLogged
journal = LMDBJournal({path!r}, "process", lock_timeout_s=60)
producer = Producer(journal)
{body}
"""


@pytest.fixture
def start(path):
    """Start programs that have the journal open."""
    started = []

    def start_one(body):
        program = PROGRAM.format(root=str(ROOT), path=str(path), body=body)
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
        started.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


# The map


def test_a_map_that_is_full_is_made_larger(path):
    """What does not fit is appended all the same, whole, and nothing before it is lost."""
    journal = LMDBJournal(path, "process")
    journal.append([b"first"])
    journal.append([bytes(1_000_000), bytes(3_000_000)])
    for number in range(100):
        journal.append([b"%d" % number * 20_000])
    found = payloads_of(journal)
    assert found[:3] == [b"first", bytes(1_000_000), bytes(3_000_000)]
    assert found[3:] == [b"%d" % number * 20_000 for number in range(100)]
    journal.close()


def test_processes_cope_with_maps_that_others_made_larger(path, start):
    """Several processes write more than the first maps hold; everybody's events are all there."""
    body = """
for step in range(300):
    producer.record({stream}, MetricsLogged(step, {{"pad": "x" * 2000}}, None))
    if step % 30 == 0:
        assert sum(len(batch) for batch, _ in journal.read_batches()) >= step
"""
    processes = [start(body.format(stream=stream)) for stream in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    journal = LMDBJournal(path, "process")
    steps = {0: [], 1: [], 2: []}
    for recorded in journal.read():
        steps[recorded.stream].append(recorded.event.step)
    assert steps == {stream: list(range(300)) for stream in range(3)}
    journal.close()


def test_readers_do_not_hold_writers_up(path, start):
    """Somebody who stops in the middle of reading is in nobody's way, not even of a larger map."""
    reader = start("""
for step in range(10_000):
    producer.record(1, MetricsLogged(step, {"x": 0.5}, None))
batches = journal.read_batches()
next(batches)
print("reading", flush=True)
sys.stdin.read()
""")
    assert reader.stdout.readline() == "reading\n"
    journal = LMDBJournal(path, "process", lock_timeout_s=0.5)
    before = journal.head()
    batches = journal.read_batches()
    next(batches)
    for _ in range(100):
        journal.append([bytes(10_000)])
    assert journal.head() == before + 100
    assert sum(len(batch) for batch, _ in batches) > 100
    journal.close()


def test_readers_that_were_killed_are_forgotten(path, start):
    """What a dead reader saw would otherwise be kept for it for ever, and the file would grow."""
    reader = start("""
journal.append([b"a"])

def look(transaction):
    print("reading", flush=True)
    sys.stdin.read()

journal._environment.read(look)
""")
    assert reader.stdout.readline() == "reading\n"
    reader.kill()
    reader.wait()
    journal = LMDBJournal(path, "process")
    readers = journal._environment.read(
        lambda transaction: journal._environment._environment.readers()
    )
    assert str(reader.pid) not in readers
    assert payloads_of(journal) == [b"a"]
    journal.close()


# One environment for each file


def test_journals_of_one_file_share_an_environment(path):
    """A file may be opened as often as one likes, under any of its names, and closed one by one."""
    first = LMDBJournal(path, "process")
    link = path.with_name("link")
    link.symlink_to(path)
    second = LMDBJournal(os.path.realpath(link), "always")
    first.append([b"a"])
    second.append([b"b"])
    first.close()
    assert payloads_of(second) == [b"a", b"b"]
    second.append([b"c"])
    second.close()
    third = LMDBJournal(path, "process")
    assert payloads_of(third) == [b"a", b"b", b"c"]
    third.close()


def test_an_environment_that_nobody_closed_is_released(path):
    """A journal that is dropped gives its environment back, as LMDB allows only one."""
    LMDBJournal(path, "process").append([b"a"])
    environment = lmdb.open(str(path), subdir=False)
    assert environment.stat()["entries"] == 2
    environment.close()


def test_a_journal_may_be_closed_while_another_thread_appends(path):
    """That thread is told so, and the file can be opened again."""
    for _ in range(20):
        journal = LMDBJournal(path, "process")
        started = threading.Event()
        outcome = []

        def append(journal=journal, started=started, outcome=outcome):
            try:
                while True:
                    journal.append([b"x"])
                    started.set()
            except JournalClosed as error:
                outcome.append(error)

        thread = threading.Thread(target=append)
        thread.start()
        started.wait(30)
        journal.close()
        thread.join(30)
        assert len(outcome) == 1
    LMDBJournal(path, "process").close()


def test_a_finalizer_waits_for_nobody(path):
    """A journal may be collected in the middle of anything; its use ends a little later then."""
    dropped = LMDBJournal(path, "process")
    held, done = threading.Event(), threading.Event()

    def hold():
        with lmdb_environment.environments._lock:
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    del dropped
    done.set()
    thread.join()
    journal = LMDBJournal(path, "process")
    assert journal._environment.users == 1
    journal.close()


def test_a_fork_in_the_middle_of_transactions_does_no_harm(path, start):
    """Children that fork off while other threads append find a journal that they can use."""
    program = start("""
import threading
done = threading.Event()

def log():
    step = 0
    while not done.is_set():
        producer.record(1, MetricsLogged(step, {"x": 0.5}, None))
        step += 1

def open_and_close():
    while not done.is_set():
        LMDBJournal(journal.path, "process").close()
        LMDBJournal(journal.path + ".other", "process").append([b"x"])

threads = [threading.Thread(target=work) for work in (log, log, open_and_close)]
for thread in threads:
    thread.start()
children = []
for _ in range(10):
    child = os.fork()
    if not child:
        producer.record(2, MetricsLogged(0, {"x": 0.5}, None))
        os._exit(0)
    children.append(child)
codes = [os.waitpid(child, 0)[1] for child in children]
done.set()
for thread in threads:
    thread.join()
assert codes == [0] * 10
""")
    assert program.wait(timeout=60) == 0
    journal = LMDBJournal(path, "process")
    assert sum(recorded.stream == 2 for recorded in journal.read()) == 10
    found = {}
    for recorded in journal.read():
        assert recorded.sequence == found.get(recorded.producer, 0) + 1
        found[recorded.producer] = recorded.sequence
    journal.close()


# Turns


def test_who_stops_in_the_middle_of_an_append_is_waited_for_no_longer_than_said(path, start):
    """A stopped writer holds its turn: others get an error that says so, and go on when it does."""
    stopped = start("""
def stop(transaction):
    print("appending", flush=True)
    os.kill(os.getpid(), 19)
journal._environment.write(stop, 1)
print("went on", flush=True)
""")
    assert stopped.stdout.readline() == "appending\n"
    os.waitid(os.P_PID, stopped.pid, os.WSTOPPED)
    journal = LMDBJournal(path, "process", lock_timeout_s=0.2)
    with pytest.raises(JournalWriteError, match="resume or kill it") as error:
        journal.append([b"a"])
    assert error.value.errno == errno.ETIMEDOUT
    assert payloads_of(journal) == []
    stopped.send_signal(signal.SIGCONT)
    assert stopped.stdout.readline() == "went on\n"
    journal.append([b"b"])
    assert payloads_of(journal) == [b"b"]
    journal.close()


def test_who_is_killed_in_the_middle_of_an_append_frees_its_turn(path, start):
    """The half of an append is gone, and the next writer does not wait."""
    killed = start("""
def stop(transaction):
    transaction.put(b"t" + bytes(7) + b"\\x01", b"half")
    print("appending", flush=True)
    sys.stdin.read()
journal._environment.write(stop, 1)
""")
    assert killed.stdout.readline() == "appending\n"
    journal = LMDBJournal(path, "process", lock_timeout_s=300)
    killed.kill()
    journal.append([b"a"])
    assert payloads_of(journal) == [b"a"]
    assert journal.damage == []
    journal.close()


def test_a_signal_handler_cannot_append_in_the_middle_of_an_append(journal):
    """It is told so, rather than waiting for itself for ever; the outer append is whole."""

    def nest(transaction):
        with pytest.raises(JournalWriteError, match="signal handler"):
            journal.append([b"inner"])
        journal._put_format(transaction)

    journal._write(nest)
    journal.append([b"outer"])
    assert payloads_of(journal) == [b"outer"]


# The index of producers


def test_the_last_sequence_of_each_producer_is_known(journal):
    """It is that of the last event which that producer appended, also within one batch."""
    producer = Producer(journal)
    for _ in range(3):
        producer.record(1, TrialStarted())
    journal.append([b"garbage"])
    who = next(journal.read()).producer
    assert journal.last_sequence(who) == 3
    assert journal.last_sequence(who ^ 1) == 0


# Starting over


def test_a_deleted_journal_is_not_confused_with_the_new_one(path, journal):
    """Who has the deleted one open cannot decide anything any more; the new one begins empty."""
    journal.append([b"old"])
    path.unlink()
    fresh = LMDBJournal(path, "process")
    assert payloads_of(fresh) == []
    fresh.append([b"new"])
    with pytest.raises(JournalAbandoned, match="started the store over"), journal.exclusive():
        pass
    journal.append([b"nobody sees this"])
    assert payloads_of(fresh) == [b"new"]
    fresh.close()


def test_a_forked_child_does_not_open_what_replaced_its_journal(path, start):
    """A child has to open the file anew, and must not take another store for its own."""
    program = start("""
from track.errors import JournalAbandoned
journal.append([b"old"])
child = os.fork()
if not child:
    os.unlink(journal.path)
    fresh = LMDBJournal(journal.path, "process")
    try:
        journal.append([b"lost"])
    except JournalAbandoned:
        os._exit(fresh.head())
    os._exit(9)
assert os.waitpid(child, 0)[1] == 0
""")
    assert program.wait(timeout=60) == 0


def test_the_keys_are_those_of_the_format_page(path, journal):
    """Positions and producers are big-endian numbers behind a letter; values end in a checksum."""
    Producer(journal).record(1, TrialStarted())
    (recorded,) = journal.read()
    journal.close()
    environment = lmdb.open(str(path), subdir=False)
    with environment.begin() as transaction:
        found = dict(transaction.cursor())
    environment.close()
    assert sorted(found) == [
        b"format",
        b"p" + struct.pack(">Q", recorded.producer),
        b"t" + struct.pack(">Q", 1),
    ]
    assert found[b"format"] == b"1"
    assert found[b"p" + struct.pack(">Q", recorded.producer)] == struct.pack(">Q", 1)
