"""Store and forward: what happens in the background, at the end, and when nobody answers."""

import gc
import logging
import random
import threading
import zlib

import pytest

from tests.flaky import FlakyJournal
from tests.programs import run_python
from track.errors import JournalClosed, JournalUnreachable
from track.events.types import MetricsLogged, TrialStarted
from track.forwarding.forwarder import Forwarder, Pace
from track.forwarding.journal import ForwardingJournal
from track.forwarding.spool import Spool
from track.journals.producer import Producer

QUICK = Pace(pause_s=0.001, longest_pause_s=0.01, share=1.0)
"""What is done now and then is done at once."""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def far():
    return FlakyJournal()


@pytest.fixture
def journal(far, folder):
    opened = ForwardingJournal(Forwarder(Spool(str(folder)), far, 30, QUICK))
    yield opened
    far.away = False
    far.blocked.set()
    opened.close()


def wait_until(condition):
    """Wait for what a thread does; the test ends badly if that is never."""
    for _ in range(10_000):
        if condition():
            return
        threading.Event().wait(0.002)
    raise AssertionError("it did not happen")


def log(journal, count=3):
    producer = Producer(journal)
    for step in range(count):
        producer.record(1, MetricsLogged(step, {"x": 0.5}, None))


def steps(far):
    return [recorded.event.step for recorded in far.read()]


def test_what_is_logged_arrives_in_the_background(journal, far):
    """Nobody has to ask for it."""
    log(journal)
    wait_until(lambda: len(far._payloads) == 3)
    assert steps(far) == [0, 1, 2]


def test_what_is_delivered_is_in_the_far_journal_and_not_in_the_spool(journal, far, folder):
    """Whoever brought it forgets it; while that is not possible, it is told so."""
    log(journal, 1)
    elsewhere = FlakyJournal()
    log(elsewhere, 2)
    payloads = [payload for _, batch in elsewhere.read_batches() for payload in batch]
    journal.append_foreign(payloads)
    assert steps(far) == [0, 0, 1]
    far.away = True
    log(elsewhere, 1)
    with pytest.raises(JournalUnreachable):
        journal.append_foreign([payloads[-1]])
    assert journal._spool.is_empty


def test_a_log_call_does_not_wait_for_the_far_journal(journal, far):
    """While that one hangs, or is away, logging goes on."""
    far.blocked.clear()
    log(journal)
    assert far._payloads == []
    far.away = True
    far.blocked.set()
    log(journal)
    assert far._payloads == []
    far.away = False
    journal.forwarder.drain_all()
    assert steps(far) == [0, 1, 2, 0, 1, 2]


def test_a_read_sees_what_was_logged_before(journal, far):
    """By the same client, whatever the thread has come to."""
    for count in range(1, 20):
        log(journal, 1)
        assert len(list(journal.read())) == count
        assert journal.head() == count


def test_a_decision_is_made_on_what_was_logged_before_and_goes_there_at_once(journal, far):
    """What is appended in the section is in the far journal when the call returns."""
    log(journal)
    with journal.exclusive():
        assert steps(far) == [0, 1, 2]
        Producer(journal).record(2, TrialStarted())
        assert len(far._payloads) == 4
    assert journal._spool.is_empty


def test_other_threads_spool_while_one_decides(journal, far):
    """They do not wait for the far journal because somebody else does."""
    with journal.exclusive():
        far.blocked.clear()
        thread = threading.Thread(target=log, args=(journal,))
        thread.start()
        thread.join()
        far.blocked.set()
    assert len(list(journal.read())) == 3


def test_an_outage_is_told_once_and_so_is_its_end(journal, far, folder, caplog):
    """Not once for each attempt; the first message says where everything is."""
    far.away = True
    log(journal)
    wait_until(lambda: caplog.messages)
    (message,) = caplog.messages
    assert "far journal is away" in message
    assert str(folder) in message
    far.away = False
    wait_until(lambda: len(caplog.messages) == 2)
    assert "answers again" in caplog.messages[1]
    assert steps(far) == [0, 1, 2]


def test_who_needs_an_answer_is_told_where_everything_is(journal, far, folder):
    """A drain, a read and a decision end with one error; nothing is lost by it."""
    far.away = True
    log(journal)
    for call in (journal.forwarder.drain_all, journal.head, lambda: list(journal.read())):
        with pytest.raises(JournalUnreachable, match="are safe in") as caught:
            call()
        assert str(folder) in str(caught.value)
    with pytest.raises(JournalUnreachable), journal.exclusive():
        raise AssertionError("nobody can decide anything")
    far.away = False
    assert len(list(journal.read())) == 3


def test_a_thread_that_hangs_is_not_waited_for_without_end(far, folder):
    """Who needs an answer gives up after the timeout."""
    journal = ForwardingJournal(Forwarder(Spool(str(folder)), far, 0.05, QUICK))
    far.blocked.clear()
    log(journal)
    wait_until(journal.forwarder._sending.locked)
    with pytest.raises(JournalUnreachable, match="another thread"):
        journal.forwarder.drain_all()
    far.blocked.set()
    journal.close()
    assert steps(far) == [0, 1, 2]


def test_closing_sends_what_is_left_and_leaves_nothing_behind(journal, far, folder):
    """The thread ends, the files are gone, and nothing more can be logged."""
    far.blocked.clear()
    log(journal)
    thread = journal.forwarder.thread
    far.blocked.set()
    journal.close()
    journal.close()
    thread.join()
    assert steps(far) == [0, 1, 2]
    assert list(folder.iterdir()) == []
    with pytest.raises(JournalClosed, match="open a new one"):
        log(journal)


def test_closing_while_nobody_answers_leaves_it_to_the_next(far, folder):
    """The error says where it is; the next client sends it before anything else."""
    journal = ForwardingJournal(Forwarder(Spool(str(folder)), far, 30, QUICK))
    far.away = True
    log(journal)
    with pytest.raises(JournalUnreachable, match=str(folder)):
        journal.close()
    far.away = False
    following = ForwardingJournal(
        Forwarder(Spool(str(folder)), FlakyJournal(far._payloads), 30, QUICK)
    )
    assert [recorded.event.step for recorded in following.read()] == [0, 1, 2]
    following.close()
    assert list(folder.iterdir()) == []


def test_a_journal_that_nobody_has_any_more_is_sent(far, folder):
    """Programs that never close anything lose nothing, and keep no threads."""
    journal = ForwardingJournal(Forwarder(Spool(str(folder)), far, 30, QUICK))
    far.blocked.clear()
    log(journal)
    thread = journal.forwarder.thread
    del journal
    gc.collect()
    far.blocked.set()
    thread.join()
    assert steps(far) == [0, 1, 2]
    assert list(folder.iterdir()) == []


def test_who_only_reads_has_no_thread_and_no_files(journal, far, folder):
    """A notebook that looks at results leaves no traces."""
    before = threading.active_count()
    assert list(journal.read()) == []
    with journal.exclusive():
        assert journal.head() == 0
    assert threading.active_count() == before
    assert not folder.exists()


def test_the_chance_of_the_program_is_left_alone(journal, far):
    """Whoever has set a seed gets the same numbers with and without Track."""
    random.seed(1)
    state = random.getstate()
    far.away = True
    log(journal)
    wait_until(lambda: journal.forwarder.thread is not None)
    far.away = False
    journal.forwarder.drain_all()
    assert random.getstate() == state


def test_an_error_that_nobody_thought_of_does_not_end_the_thread(journal, far, caplog):
    """It is told, and what is logged later arrives."""
    whole, once = far.append, [True]

    def fail_once(payloads):
        if once:
            once.clear()
            raise ZeroDivisionError("surprise")
        whole(payloads)

    far.append = fail_once
    log(journal)
    wait_until(lambda: len(far._payloads) == 3)
    assert "surprise" in caplog.text


def test_batches_grow_where_the_journal_is_slow(journal, far):
    """And shrink again where it is not."""
    sender = journal.forwarder
    journal._spool.on_begin = None
    least = sender._batch_bytes
    sender.pace = QUICK._replace(slow_s=-1.0)
    for _ in range(3):
        log(journal, 1)
        journal.forwarder.drain_all()
    assert sender._batch_bytes == least * 8
    sender.pace = QUICK._replace(slow_s=1e9)
    for _ in range(5):
        log(journal, 1)
        journal.forwarder.drain_all()
    assert sender._batch_bytes == least


def test_what_others_left_is_looked_for_again_and_again(journal, far, folder):
    """A child that was terminated leaves its spool to a parent that lives on."""
    journal.forwarder.pace = QUICK._replace(look_around_s=0.0)
    journal.forwarder.drain_all()
    elsewhere = FlakyJournal()
    log(elsewhere, 8)
    other = Spool(str(folder))
    other.append(elsewhere._payloads[7:])
    other.close()
    log(journal, 1)
    wait_until(lambda: sorted(steps(far)) == [0, 7])


def test_what_cannot_be_sent_of_others_is_in_nobodys_way(journal, far, folder, told):
    """A spool of a newer version, say. It is told, and stays."""
    other = Spool(str(folder))
    other.append([b"a"])
    other.close()
    (path,) = folder.glob("*.journal")
    data = bytearray(path.read_bytes())
    data[3] = 2
    data[12:16] = zlib.crc32(data[:12]).to_bytes(4, "little")
    path.write_bytes(data)
    log(journal)
    journal.forwarder.drain_all()
    assert steps(far) == [0, 1, 2]
    assert "upgrade" in told[0]
    assert path.read_bytes() == data
    path.unlink()


def test_pauses_have_an_end_however_long_an_outage_is():
    """Days, at ten seconds each, are more than a power of two can hold."""
    assert [QUICK.pause_after(failures) for failures in (1, 2, 10_000)] == [0.002, 0.004, 0.01]


PROGRAM = """
import logging, sys
logging.basicConfig(format="%(message)s")
from track.forwarding.forwarder import Forwarder
from track.forwarding.journal import ForwardingJournal
from track.journals.file import FileJournal
from track.journals.producer import Producer
from track.forwarding.spool import Spool
from track.events.types import TrialStarted
from tests.flaky import FlakyJournal

far = {far}
journal = ForwardingJournal(Forwarder(Spool({folder!r}), far, 30))
for _ in range(5):
    Producer(journal).record(1, TrialStarted())
"""


def run(far, folder):
    program = PROGRAM.format(far=far, folder=str(folder))
    return run_python(program).stderr


def test_at_the_end_of_the_program_everything_is_sent(folder, tmp_path):
    """Also when nobody closes anything."""
    from track.journals.file import FileJournal

    path = str(tmp_path / "far.journal")
    assert run(f"FileJournal({path!r})", folder) == ""
    assert len(list(FileJournal(path).read())) == 5
    assert list(folder.iterdir()) == []


def test_at_the_end_of_the_program_a_warning_says_what_was_not_sent(folder):
    """With its place; the program ends all the same."""
    said = run("FlakyJournal(); far.away = True", folder)
    assert f"safe in {folder}" in said
    assert "Traceback" not in said
    (left,) = Spool.left_behind(str(folder))
    assert len(left.oldest()) == 5
    left.close()


class CountedSpool(Spool):
    """A spool that counts its syncs."""

    syncs = 0

    def sync(self):
        self.syncs += 1


@pytest.mark.parametrize(("durability", "syncs"), [("interval", 1), ("process", 0)])
def test_durability_is_that_of_the_spool(far, folder, durability, syncs):
    """Acknowledged events are synced here as often as by a journal in a file."""
    spool = CountedSpool(str(folder), durability)
    journal = ForwardingJournal(Forwarder(spool, far, 30, QUICK))
    spool.on_begin = None
    log(journal, 10)
    assert spool.syncs == syncs
    journal.close()


def test_nothing_is_logged_when_all_is_well(journal, far, caplog):
    """Silence is the normal state."""
    with caplog.at_level(logging.DEBUG, "track"):
        log(journal)
        journal.forwarder.drain_all()
        journal.close()
    assert caplog.messages == []


class Contents:
    """Contents that wait, and note what the spool held when a piece of them was sent."""

    def __init__(self, spool, pieces):
        self.spool, self.left, self.spooled = spool, pieces, []

    def send_in_background(self):
        if not self.left:
            return False
        self.spooled.append(self.spool.end == self.spool.acknowledged)
        self.left -= 1
        return True

    def send_all(self):
        while self.send_in_background():
            pass

    def take_over(self, spool):
        """There is nothing."""


def test_contents_are_sent_while_no_event_waits(far, folder):
    """All events that were spooled before go first; at the end, nothing of them is left."""
    spool = Spool(str(folder))
    contents = Contents(spool, 100)
    far.blocked.clear()
    journal = ForwardingJournal(Forwarder(spool, far, 30, QUICK, contents))
    log(journal, 300)
    assert contents.spooled == []
    far.blocked.set()
    wait_until(lambda: contents.left < 50)
    assert steps(far)[:300] == [*range(300)]
    journal.close()
    assert contents.left == 0
    assert all(contents.spooled)
