"""Writes that fail become warnings under ``log.on_error = warn``; what waits is written late."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from track.errors import EncodingError, JournalClosed, JournalWriteError
from track.events.types import MetadataLogged
from track.journals.buffered import BufferedJournal
from track.journals.journal import JournalSyncError
from track.journals.memory import MemoryJournal
from track.journals.producer import Producer


class Unreliable(MemoryJournal):
    """A journal that cannot be written, or synced, for as long as it is told to fail."""

    failing = None
    failing_sync = None

    def __init__(self):
        super().__init__()
        self.batches = []

    def append(self, payloads):
        if self.failing:
            raise JournalWriteError(self.failing, f"cannot append: {os.strerror(self.failing)}.")
        super().append(payloads)
        self.batches.append(list(payloads))
        self.sync()

    def sync(self):
        if self.failing_sync:
            raise JournalSyncError(self.failing_sync, "cannot sync")

    sync_if_interval = sync

    def close(self):
        self.sync()
        super().close()


@pytest.fixture
def below():
    return Unreliable()


@pytest.fixture
def journal(below, told):
    return BufferedJournal(below)


def payloads_of(journal):
    return [payload for _, batch in journal.read_batches() for payload in batch]


def test_while_all_is_well_it_only_hands_on(journal, below, told):
    """Without errors it is the journal it stands in front of."""
    journal.append([b"a"])
    journal.append([b"b", b"c"])
    journal.sync()
    assert below.batches == [[b"a"], [b"b", b"c"]]
    assert payloads_of(journal) == [b"a", b"b", b"c"]
    assert journal.head() == 3
    assert journal.sync_due_ns == below.sync_due_ns
    assert told == []


def test_what_fails_waits_and_is_written_in_order(journal, below, told, caplog):
    """A failed append raises nothing, is one warning, and comes before whatever is next."""
    journal.append([b"before"])
    below.failing = errno.ENOSPC
    for number in range(5):
        journal.append([b"%d" % number])
    assert payloads_of(journal) == [b"before"]
    assert len(told) == 1
    assert "No space left" in told[0]
    assert "kept in memory" in told[0]
    below.failing = None
    journal.append([b"after"])
    assert payloads_of(journal) == [b"before", b"0", b"1", b"2", b"3", b"4", b"after"]
    assert len(told) == 1
    assert "5 events were written late" in caplog.text


def test_each_cause_is_one_warning_until_it_works_again(journal, below, told):
    """Another cause is told, the same again is not, and after a recovery it is."""
    for code in (errno.ENOSPC, errno.EIO, errno.ENOSPC, errno.EIO):
        below.failing = code
        journal.append([b"x"])
    assert len(told) == 2
    below.failing = None
    journal.append([b"y"])
    below.failing = errno.EIO
    journal.append([b"z"])
    assert len(told) == 3
    assert "Input/output error" in told[-1]


def test_a_group_that_waited_is_still_all_or_none(journal, below):
    """An append is atomic also when it is late."""
    below.failing = errno.EIO
    journal.append([b"a", b"b", b"c"])
    journal.append([b"d"])
    below.failing = None
    journal.sync()
    assert payloads_of(journal) == [b"a", b"b", b"c", b"d"]
    assert [b"a", b"b", b"c"] in below.batches


def test_syncing_and_closing_try_again(journal, below):
    """What waits is written as soon as somebody asks for a sync, or closes."""
    below.failing = errno.EIO
    journal.append([b"a"])
    below.failing = None
    journal.sync()
    assert payloads_of(journal) == [b"a"]
    below.failing = errno.EIO
    journal.append([b"b"])
    below.failing = None
    journal.close()
    assert payloads_of(journal) == [b"a", b"b"]


def test_a_failed_sync_is_a_warning_and_nothing_is_written_twice(journal, below, told):
    """An event that is in the journal but not synced does not wait to be written again."""
    below.failing_sync = errno.EIO
    journal.append([b"a"])
    journal.append([b"b"])
    journal.sync()
    journal.sync_if_interval()
    assert payloads_of(journal) == [b"a", b"b"]
    assert len(told) == 1


def test_only_so_many_wait(below, told):
    """Beyond the limit the newest are dropped, counted, and told of once."""
    journal = BufferedJournal(below, max_waiting=3)
    below.failing = errno.ENOSPC
    for number in range(10):
        journal.append([b"%d" % number])
    assert journal.dropped == 7
    assert sum("more are dropped" in message for message in told) == 1
    below.failing = None
    journal.append([b"after"])
    assert payloads_of(journal) == [b"0", b"1", b"2", b"after"]


def test_closing_while_nothing_can_be_written_says_what_is_lost(journal, below, told):
    """The end of the process is the end of what waits; that is said, and closing twice is fine."""
    below.failing = errno.ENOSPC
    journal.append([b"a"])
    journal.append([b"b"])
    journal.close()
    assert "2 events could not be written and are lost" in told[-1]
    below.failing = None
    journal.close()
    with pytest.raises(JournalClosed):
        journal.append([b"c"])


def test_a_sync_that_fails_at_the_close_is_a_warning(journal, below, told):
    """Closing is no place for an exception that logging itself would not raise."""
    journal.append([b"a"])
    below.failing_sync = errno.EIO
    journal.close()
    assert len(told) == 1


def test_what_is_decided_or_delivered_never_waits(journal, below):
    """Whoever did it would go on as if it were recorded, and forget it."""
    below.failing = errno.ENOSPC
    with pytest.raises(JournalWriteError), journal.exclusive():
        journal.append([b"decided"])
    with pytest.raises(JournalWriteError):
        journal.append_foreign([b"delivered"])
    below.failing = None
    journal.append([b"later"])
    assert payloads_of(journal) == [b"later"]


def test_nobody_decides_before_what_waits_is_written(journal, below):
    """The message says why; in the section all of it is there, also in a section inside."""
    below.failing = errno.ENOSPC
    journal.append([b"logged"])
    why = r"nothing was decided.*No space left"
    with pytest.raises(JournalWriteError, match=why), journal.exclusive():
        raise AssertionError
    below.failing = None
    with journal.exclusive():
        assert payloads_of(journal) == [b"logged"]
        with journal.exclusive():
            journal.append([b"decided"])
        journal.append([b"decided, too"])
    assert payloads_of(journal) == [b"logged", b"decided", b"decided, too"]


def test_while_one_thread_decides_what_others_log_may_wait(journal, below):
    """Whoever only logs is in no section, whatever another thread is in."""
    with ThreadPoolExecutor(1) as pool, journal.exclusive():
        below.failing = errno.ENOSPC
        pool.submit(journal.append, [b"logged"]).result()
        below.failing = None
        journal.append([b"decided"])
    journal.sync()
    assert payloads_of(journal) == [b"decided", b"logged"]


def test_misuse_still_raises(journal, below):
    """A value that cannot be logged and a closed journal are not failures of the disk."""
    producer = Producer(journal)
    with pytest.raises(EncodingError):
        producer.record(1, MetadataLogged({"x": object()}, None))
    journal.close()
    with pytest.raises(JournalClosed):
        producer.record(1, MetadataLogged({"x": 1}, None))


def test_a_forked_child_does_not_write_what_waits_in_its_parent(journal, below):
    """What the parent could not write yet is the parent's to write, once."""
    below.failing = errno.EIO
    journal.append([b"of the parent"])
    journal.renew_after_fork()
    below.failing = None
    journal.append([b"of the child"])
    assert payloads_of(journal) == [b"of the child"]
