"""Every journal against the one contract, and what only journals that outlive a process promise."""

from functools import partial

import pytest

from tests.contracts.journal_contract import JournalContract, payloads_of
from tests.databases import KINDS, sql_journal
from tests.programs import run_python
from track.forwarding.forwarder import Forwarder
from track.forwarding.journal import ForwardingJournal
from track.forwarding.spool import Spool
from track.journals.buffered import BufferedJournal
from track.journals.file import FileJournal
from track.journals.journal import ExclusiveJournal, Journal
from track.journals.lmdb import LMDBJournal
from track.journals.memory import MemoryJournal


def sql_in(kind, path):
    """Return a journal in a log of its own for each path."""
    return sql_journal(kind, str(path)[-255:])


PERSISTENT = {
    "file-process": lambda path: FileJournal(path, "process"),
    "file-interval": lambda path: FileJournal(path, "interval"),
    "file-always": lambda path: FileJournal(path, "always"),
    "lmdb-process": lambda path: LMDBJournal(path, "process"),
    "lmdb-interval": lambda path: LMDBJournal(path, "interval"),
    "lmdb-always": lambda path: LMDBJournal(path, "always"),
    "retrying-file": lambda path: BufferedJournal(FileJournal(path, "process")),
} | {f"sql-{kind}": partial(sql_in, kind) for kind in KINDS}
"""What opens a journal in a folder, as often as it is called. A new backend is a line here."""


@pytest.fixture(params=PERSISTENT)
def make(request):
    return PERSISTENT[request.param]


@pytest.fixture
def open_journal(make, tmp_path):
    """Open the same store as often as called; all of them are closed in the end."""
    opened = []

    def open_one():
        opened.append(make(tmp_path / "journal"))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.close()


@pytest.fixture
def journal(open_journal):
    return open_journal()


class TestPersistentJournals(JournalContract):
    """Files of each durability."""

    def test_reopening_finds_everything(self, open_journal):
        """Closing and opening again changes neither the events nor their positions."""
        first = open_journal()
        first.append([b"a", b"b"])
        first.append([b"c"])
        before = list(first.read())
        first.close()
        second = open_journal()
        assert list(second.read()) == before
        second.append([b"d"])
        assert payloads_of(second) == [b"a", b"b", b"c", b"d"]

    def test_what_one_appends_another_reads(self, open_journal):
        """Two that opened the same store see one order of events."""
        one, other = open_journal(), open_journal()
        for number in range(10):
            (one, other)[number % 2].append([b"%d" % number])
        assert list(one.read()) == list(other.read())
        assert payloads_of(one) == [b"%d" % number for number in range(10)]
        assert one.head() == other.head()


class TestMemoryJournal(JournalContract):
    """The reference, which lasts as long as its process."""

    @pytest.fixture
    def journal(self):
        return MemoryJournal()

    @pytest.fixture
    def open_journal(self, journal):
        """Memory has no second way in: the same journal each time, or a new one once closed."""
        return lambda: MemoryJournal() if journal._closed else journal

    def test_reading_goes_on_behind_any_position(self, open_journal):
        """Positions count the events from 1."""
        journal = open_journal()
        journal.append([b"a", b"b"])
        assert [recorded.position for recorded in journal.read()] == [1, 2]
        assert payloads_of(journal, 1) == [b"b"]
        assert payloads_of(journal, 2) == []


class TestForwardingJournal(JournalContract):
    """A spool in front of another journal, for one process: what others log may be on its way."""

    @pytest.fixture(params=["file-process", *(name for name in PERSISTENT if "sql" in name)])
    def open_journal(self, request, tmp_path):
        opened = []

        def open_one():
            if not opened or opened[-1].forwarder.is_closed:
                far = PERSISTENT[request.param](tmp_path / "far")
                opened.append(ForwardingJournal(Forwarder(Spool(str(tmp_path / "spool")), far, 30)))
            return opened[-1]

        yield open_one
        for journal in opened:
            journal.close()

    @pytest.fixture
    def journal(self, open_journal):
        return open_journal()


MADE_OF_OTHERS = {"event_writer", "read", "tail"}
"""Methods of a journal that are right in front of another one as they are."""


class PlainJournal(Journal):
    """A journal without an exclusive section."""

    append = read_batches = close = lambda *_: ()


@pytest.mark.parametrize("in_front", [lambda journal: journal, BufferedJournal])
def test_a_journal_without_a_section_says_what_it_lacks(in_front):
    """Also behind another one, as with ``log.on_error = warn``."""
    journal = in_front(PlainJournal())
    says = pytest.raises(TypeError, match=r"a PlainJournal .*: derive it from .*ExclusiveJournal")
    with says, journal.exclusive():
        raise AssertionError("nobody can decide anything")


@pytest.mark.parametrize("wrapper", [BufferedJournal, ForwardingJournal])
def test_a_journal_in_front_of_another_hides_nothing_of_it(wrapper):
    """Each method is its own, so that what the other one knows is not answered by a default."""
    public = {name for name in dir(ExclusiveJournal) if name[0] != "_"}
    public = {name for name in public if callable(getattr(ExclusiveJournal, name))}
    hidden = {name for name in public if getattr(wrapper, name) is getattr(ExclusiveJournal, name)}
    assert hidden <= MADE_OF_OTHERS


FORK = """
import os, time
from tests.contracts.test_journals import PERSISTENT
from track.journals.producer import Producer
from track.events.types import MetricsLogged

name, path = {name!r}, {path!r}
journal = PERSISTENT[name](path)
producer = Producer(journal)

def log(stream, count=50):
    for step in range(count):
        producer.record(stream, MetricsLogged(step, {{"x": 0.5}}, None))

log(1)
{body}
"""


@pytest.fixture(params=PERSISTENT)
def forking(request, tmp_path):
    """Run a program that forks, and return the events it left behind."""

    def run(body):
        path = str(tmp_path / "forked")
        program = FORK.format(name=request.param, path=path, body=body)
        run_python(program)
        journal = PERSISTENT[request.param](path)
        events = list(journal.read())
        journal.close()
        return events

    return run


def by_producer(events):
    """Return stream -> producer -> the sequences, in the order of the journal."""
    found = {}
    for item in events:
        found.setdefault(item.stream, {}).setdefault(item.producer, []).append(item.sequence)
    return found


def test_a_forked_child_logs_as_somebody_else(forking):
    """The child gets a producer of its own, the parent keeps its, and nothing is lost."""
    found = by_producer(
        forking("""
children = []
for stream in (2, 3):
    pid = os.fork()
    if not pid:
        log(stream)
        os._exit(0)
    children.append(pid)
log(1)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0]
""")
    )
    assert {stream: list(who.values()) for stream, who in found.items()} == {
        1: [list(range(1, 101))],
        2: [list(range(1, 51))],
        3: [list(range(1, 51))],
    }
    assert len({producer for who in found.values() for producer in who}) == 3


def test_a_child_forked_inside_a_section_does_not_hold_it(forking):
    """The parent leaves its section while the child lives on, and others may then enter."""
    found = by_producer(
        forking("""
wait, done = os.pipe()
with journal.exclusive():
    pid = os.fork()
    log(1 if pid else 2)
if not pid:
    os.close(done)
    os.read(wait, 1)
    os._exit(0)
other = PERSISTENT[name](path)
with other.exclusive():
    log(1)
os.close(done)
assert os.waitpid(pid, 0)[1] == 0
""")
    )
    assert {s: [len(n) for n in who.values()] for s, who in found.items()} == {1: [150], 2: [50]}


def test_a_child_waits_for_the_section_of_its_parent(forking):
    """Parent and child exclude each other, though the child inherited all that was open."""
    events = forking("""
pid = None
with journal.exclusive():
    pid = os.fork()
    if pid:
        time.sleep(0.2)
        log(1)
if not pid:
    with journal.exclusive():
        log(2)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
""")
    assert [event.stream for event in events] == [1] * 100 + [2] * 50
