"""The file journal: one write per append, and what it does when the system will not."""

import errno
import multiprocessing
import os
import subprocess
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.programs import run_at_once, run_python
from track.errors import (
    JournalClosed,
    JournalError,
    JournalWriteError,
)
from track.events.record import frame, frame_group
from track.events.types import MetricsLogged, TrialStarted
from track.journals import file as journal_file
from track.journals import local as journal_on_disk
from track.journals import producer as producer_module
from track.journals.file import FileJournal
from track.journals.journal import SYNC_INTERVAL_NS, JournalSyncError
from track.journals.producer import Producer

pytestmark = pytest.mark.filterwarnings("ignore::track.errors.DamageWarning")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.journal"


@pytest.fixture
def journal(path):
    opened = FileJournal(path, "process")
    yield opened
    opened.close()


def payloads_of(journal, after=0):
    return [payload for _, batch in journal.read_batches(after) for payload in batch]


# One write


@pytest.fixture
def writes(monkeypatch):
    """Return the bytes of each call of ``os.write``, which still writes them."""
    made = []
    real = os.write

    def write(fd, data):
        made.append(bytes(data))
        return real(fd, data)

    monkeypatch.setattr(journal_file.os, "write", write)
    return made


@pytest.mark.parametrize("batch", [[b"one"], [b"one", b"two", b"three"], [bytes(2**21)] * 3])
def test_an_append_is_one_write(journal, writes, batch):
    """All of an append, a large group too, goes to the kernel in one call."""
    journal.append(batch)
    assert writes == [frame(batch[0]) if len(batch) == 1 else frame_group(batch)]
    assert payloads_of(journal) == batch


def test_a_log_call_is_one_write(journal, writes):
    """An event costs one system call that carries all of its record."""
    producer = Producer(journal)
    for step in range(5):
        producer.record(1, MetricsLogged(step, {"loss": 0.5}, None))
    assert len(writes) == 5
    assert b"".join(writes) == Path(journal.path).read_bytes()


def append_many(path, stream, count):
    """Run in a process of its own."""
    journal = FileJournal(path, "process")
    producer = Producer(journal)
    for step in range(count):
        producer.record(
            stream, MetricsLogged(step, {"x": step / 7, "pad": "p" * (step % 97)}, None)
        )
        if step % 50 == 0:
            journal.append([b"%d.%d.%d" % (stream, step, part) for part in range(3)])
    journal.close()


def test_processes_append_at_once_without_losing_or_tearing(path):
    """Four processes at once: one order that all readers see, all of it intact, groups in one."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=append_many, args=(path, n, 500)) for n in range(4)]
    run_at_once(processes)
    journal = FileJournal(path)
    events = list(journal.read())
    assert journal.damage == []
    assert journal.head() == path.stat().st_size == events[-1].position
    steps = {stream: [] for stream in range(4)}
    groups = []
    for item in events:
        if isinstance(item.event, MetricsLogged):
            steps[item.stream].append(item.event.step)
        else:
            groups.append(item.event.body)
    assert steps == {stream: list(range(500)) for stream in range(4)}
    triples = list(zip(*[iter(groups)] * 3, strict=True))
    assert len(triples) == 4 * 10
    for triple in triples:
        assert [part[-2:] for part in triple] == [b".0", b".1", b".2"]
        assert len({part[:-2] for part in triple}) == 1
    assert all(a.position < b.position for a, b in pairwise(events))
    journal.close()


# Writes that fail


def once(monkeypatch, name, outcome):
    """Have one call of a function of ``os`` raise an error, or write only so many bytes."""
    real = getattr(os, name)

    def fail(fd, *data):
        monkeypatch.setattr(journal_file.os, name, real)
        if isinstance(outcome, OSError):
            raise outcome
        return real(fd, data[0][:outcome])

    monkeypatch.setattr(journal_file.os, name, fail)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("batch", [[b"lost"], [b"lost", b"too"]], ids=["single", "group"])
def test_a_write_that_fails_is_an_error_and_appends_nothing(journal, monkeypatch, code, batch):
    """The error names the file and the cause, and the next append works as ever."""
    journal.append([b"before"])
    once(monkeypatch, "write", OSError(code, os.strerror(code)))
    with pytest.raises(JournalWriteError) as caught:
        journal.append(batch)
    assert caught.value.errno == code
    assert journal.path in str(caught.value)
    assert os.strerror(code) in str(caught.value)
    assert isinstance(caught.value, OSError)
    journal.append([b"after"])
    assert payloads_of(journal) == [b"before", b"after"]
    assert journal.damage == []


@pytest.mark.parametrize("written", [0, 1, 15, 16, 24, 40])
@pytest.mark.parametrize("batch", [[b"x" * 30], [b"x" * 4, b"y" * 9]], ids=["single", "group"])
def test_a_short_write_is_an_error_and_leaves_a_torn_fragment(journal, monkeypatch, written, batch):
    """What was written of the event counts for nothing, and the journal goes on behind it."""
    journal.append([b"before"])
    once(monkeypatch, "write", written)
    with pytest.raises(JournalWriteError, match=f"only {written} of .* bytes") as caught:
        journal.append(batch)
    assert journal.path in str(caught.value)
    assert payloads_of(journal) == [b"before"]
    journal.append([b"after", b"that"])
    assert payloads_of(journal) == [b"before", b"after", b"that"]
    assert [piece[:2] for piece in journal.damage] == ([(26, 26 + written)] if written else [])
    if written >= 16:
        assert journal.damage[0].reason == "torn"


FILL = """
import os, resource, signal, sys
from track.errors import JournalWriteError
from track.journals.file import FileJournal
path, limit = sys.argv[1], int(sys.argv[2])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
journal = FileJournal(path, "process")
acknowledged = 0
try:
    while True:
        journal.append([b"%d " % acknowledged + b"x" * 1000])
        acknowledged += 1
except JournalWriteError as error:
    assert path in str(error), error
print(acknowledged)
"""


@contextmanager
def small_disk(folder):
    """Give a path on a disk that is full at 64 kB: a real one, or else a limit on the process."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield folder / "x.journal", 0 if mounted else 64 * 1024
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path):
    """Logging until the disk is full raises in the end; all before it is there and intact."""
    with small_disk(tmp_path / "disk") as (path, limit):
        acknowledged = int(run_python(FILL, path, limit).stdout)
        journal = FileJournal(path, "process")
        found = payloads_of(journal)
        journal.close()
    assert acknowledged > 50
    assert [int(payload.split()[0]) for payload in found] == list(range(acknowledged))


def test_a_journal_on_a_disk_that_was_full_goes_on(tmp_path):
    """Once there is room again, events are appended behind the fragment and read."""
    path = tmp_path / "x.journal"
    acknowledged = int(run_python(FILL, path, 50_000).stdout)
    journal = FileJournal(path, "process")
    journal.append([b"room again"])
    found = payloads_of(journal)
    assert found[-1] == b"room again"
    assert len(found) == acknowledged + 1
    assert [piece.reason for piece in journal.damage] == ["torn"]
    journal.close()


# Syncing


@pytest.fixture
def syncs(monkeypatch):
    """Count the calls of ``fdatasync``, and remember how long the file was at each."""
    made = []
    real = os.fdatasync

    def fdatasync(fd):
        made.append(os.fstat(fd).st_size)
        real(fd)

    monkeypatch.setattr(journal_file.os, "fdatasync", fdatasync)
    return made


def test_always_syncs_before_each_return(path, syncs):
    """With ``durability=always`` an acknowledged event is on the disk."""
    journal = FileJournal(path, "always")
    journal.append([b"a"])
    assert syncs == [21]
    journal.append([b"b", b"c"])
    assert syncs == [21, 63]
    journal.close()


def test_process_never_syncs_by_itself(path, syncs):
    """With ``durability=process`` the kernel writes back when it likes, unless asked to sync."""
    journal = FileJournal(path, "process")
    producer = Producer(journal)
    for _ in range(10):
        producer.record(1, TrialStarted())
    journal.sync_if_interval()
    assert syncs == []
    journal.sync()
    assert len(syncs) == 1
    journal.close()


class Clock:
    """A wall clock that moves when told to."""

    def __init__(self, now_ns):
        self.now_ns = now_ns

    def time_ns(self):
        return self.now_ns


def test_interval_syncs_about_once_a_second(path, syncs, monkeypatch):
    """With ``durability=interval`` a sync comes with the first event a second after the last."""
    clock = Clock(10**18)
    monkeypatch.setattr(producer_module, "time_ns", clock.time_ns)
    monkeypatch.setattr(journal_on_disk.time, "time_ns", clock.time_ns)
    journal = FileJournal(path, "interval")
    producer = Producer(journal)
    for _ in range(100):
        producer.record(1, TrialStarted())
        clock.now_ns += SYNC_INTERVAL_NS // 20
    assert len(syncs) == 5
    journal.sync_if_interval()
    assert len(syncs) == 6
    producer.record(1, TrialStarted())
    assert len(syncs) == 6, "a milestone counts as the sync of its second"
    journal.close()
    assert len(syncs) == 7


@pytest.mark.parametrize("durability", ["always", "interval"])
def test_a_sync_that_fails_is_told_apart_from_a_write_that_fails(path, monkeypatch, durability):
    """The event is in the journal, though it might not survive a loss of power: say that."""
    journal = FileJournal(path, durability)
    producer = Producer(journal)
    once(monkeypatch, "fdatasync", OSError(errno.EIO, "Input/output error"))
    with pytest.raises(JournalSyncError, match="recorded, but") as caught:
        producer.record(3, TrialStarted())
    assert caught.value.errno == errno.EIO
    assert journal.path in str(caught.value)
    producer.record(4, TrialStarted())
    assert [recorded.stream for recorded in journal.read()] == [3, 4]
    journal.close()


def test_a_reading_ends_where_the_journal_ended_as_it_began(journal):
    """Whoever logs meanwhile, faster than somebody reads, must not keep him busy for ever."""
    journal.window = 100
    journal.append([bytes(60)])
    journal.append([bytes(60)])
    end, seen = journal.head(), []
    for positions, _ in journal.read_batches():
        seen += positions
        journal.append([bytes(60)])
    assert len(seen) == 2
    assert seen[-1] == end
    assert [batch[0][0] for batch in journal.read_batches(end)] == [end * 3 // 2, end * 2]
    assert list(journal.read_batches(10**9)) == []


def test_a_closed_journal_says_so_whatever_is_asked_of_it(journal):
    """Every use of a closed journal is the same clear error."""
    journal.append([b"a"])
    journal.close()
    for use in (journal.sync, journal.head, lambda: journal.append([b"b"]), lambda: enter(journal)):
        with pytest.raises(JournalClosed, match="was closed"):
            use()


def enter(journal):
    with journal.exclusive():
        pass


# Paths


@pytest.mark.parametrize("where", ["", "missing/x.journal", "file/x.journal"])
def test_a_path_that_cannot_be_a_journal_is_named(tmp_path, where):
    """A folder, a missing folder, and a file used as a folder are errors that name the path."""
    (tmp_path / "file").touch()
    with pytest.raises(JournalError) as caught:
        FileJournal(tmp_path / where)
    assert str(tmp_path / where).rstrip("/") in str(caught.value)


UNWRITABLE = """
import os, sys
from track.errors import JournalError
from track.journals.file import FileJournal
if os.geteuid() == 0:
    os.setuid(65534)
for path in sys.argv[1:]:
    try:
        FileJournal(path)
    except JournalError as error:
        print(path in str(error))
"""


def test_a_path_that_may_not_be_written_is_named(tmp_path):
    """A read-only file, and a new one in a read-only folder, are errors that name the path."""
    (tmp_path / "x.journal").touch()
    (tmp_path / "x.journal").chmod(0o444)
    tmp_path.chmod(0o555)
    output = run_python(UNWRITABLE, tmp_path / "x.journal", tmp_path / "new.journal").stdout
    tmp_path.chmod(0o755)
    assert output.split() == ["True", "True"]
