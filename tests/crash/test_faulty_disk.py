"""Check that the file journal keeps acknowledged appends, each as a whole, on a faulty disk.

The disk is :class:`~tests.crash.faulty_disk.FaultyDisk`: it refuses writes and syncs, cuts writes
short, and loses what was not synced when the power goes. The expected answers come from what was
given to the disk, and from nothing that a reader does.
"""

import errno
import os
from contextlib import ExitStack, contextmanager
from itertools import count
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.crash.faulty_disk import (
    PAGE,
    SECTOR,
    Fails,
    FaultyDisk,
    Short,
    contents,
    covered,
    installed,
    is_in_order,
    records_of,
    stranded,
    visit,
)
from tests.strategies import payloads
from track.errors import JournalWriteError
from track.events.record import MAGIC
from track.events.types import MetricsLogged
from track.journals.buffered import BufferedJournal
from track.journals.file import FileJournal
from track.journals.journal import DURABILITIES, JournalSyncError
from track.journals.producer import Producer

pytestmark = pytest.mark.filterwarnings("ignore::track.errors.TrackWarning")

# One accident at a time

FULL, BROKEN, INTERRUPTED = Fails(errno.ENOSPC), Fails(errno.EIO), Fails(errno.EINTR)
ONE, GROUP = [b"x" * 30], [b"x" * 10, b"y" * 20, b""]  # of 50 bytes; of 30, 40 and 20
LARGE = [bytes(9000), b"z"]


class Row(NamedTuple):
    """Describes appends with an outcome for each write, and what is left of them."""

    batch: list[bytes]
    writes: list[Short | Fails | None]
    found: list[bytes]
    torn: int = 0
    """The number of damaged bytes after the earlier events."""


ROWS = {
    "no fault": Row(ONE, [None], ONE),
    "full": Row(ONE, [FULL], []),
    "full, a group": Row(GROUP, [FULL], []),
    "broken": Row(ONE, [BROKEN], []),
    "interrupted": Row(ONE, [INTERRUPTED], []),
    "not one byte": Row(ONE, [Short(0)], []),
    "one byte": Row(ONE, [Short(1)], [], 1),
    "a part of the header": Row(ONE, [Short(15)], [], 15),
    "the header": Row(ONE, [Short(16)], [], 16),
    "all but one byte": Row(ONE, [Short(49)], [], 49),
    "a part, then full": Row(ONE, [Short(20), FULL], [], 20),
    "a part, a smaller one, then all": Row(ONE, [Short(20), Short(5), None], ONE, 25),
    "of a group the first": Row(GROUP, [Short(30)], [], 30),
    "of a group one and a half": Row(GROUP, [Short(55)], [], 55),
    "of a group all but the last": Row(GROUP, [Short(70)], [], 70),
    "of a group a part, then full, then all": Row(GROUP, [Short(35), FULL, None], GROUP, 35),
    "two pages of three": Row(LARGE, [Short(2 * PAGE), FULL], [], 2 * PAGE),
    "all of a large group but the last": Row(LARGE, [Short(9025), None], LARGE, 9025),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_an_append_counts_whole_or_not_at_all(disk, row):
    """Appends that were cut short or refused are not read; those before and after them are."""
    journal = FileJournal(disk.file, "process")
    earlier, later = [b"earlier", b"and", b"then"], [b"later"]
    journal.append(earlier)
    start = disk.size()
    disk.will(row.writes)
    for fault in row.writes:
        if fault is None:
            journal.append(row.batch)
        else:
            with pytest.raises(JournalWriteError) as caught:
                journal.append(row.batch)
            assert not isinstance(caught.value, JournalSyncError)
    assert [payload for _, payload in contents(journal)] == earlier + row.found
    journal.append(later)
    expected = earlier + row.found + later
    assert [payload for _, payload in contents(journal)] == expected
    events, damage = visit(disk.file)
    assert [payload for _, payload in events] == expected
    assert covered(damage) == set(range(start, start + row.torn))


@pytest.mark.parametrize("batch", [ONE, GROUP])
def test_an_event_whose_sync_failed_is_there(disk, batch):
    """A JournalSyncError leaves the events in the journal, and the next sync may succeed."""
    journal = FileJournal(disk.file, "always")
    disk.will(syncs=[BROKEN])
    with pytest.raises(JournalSyncError):
        journal.append(batch)
    assert [payload for _, payload in visit(disk.file).events] == batch
    journal.append([b"later"])
    assert [payload for _, payload in contents(journal)] == [*batch, b"later"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_errors_name_the_file_the_cause_and_what_became_of_the_event(disk, call, code):
    """The error is an OSError with the number that the system gave."""
    journal = FileJournal(disk.file, "always")
    disk.will(**{"writes" if call == "write" else "syncs": [Fails(code)]})
    with pytest.raises(JournalWriteError) as caught:
        journal.append([b"x"])
    assert caught.value.errno == code
    message = str(caught.value)
    assert disk.file in message
    assert os.strerror(code) in message
    assert ("not recorded" if call == "write" else "are recorded") in message


# Cuts that a reader takes for something else


def test_a_stranger_may_be_taken_for_the_missing_member(disk):
    """It ends where the group would have ended, the one coincidence that the format accepts."""
    journal = FileJournal(disk.file, "process")
    disk.will([Short(30)])
    with pytest.raises(JournalWriteError):
        journal.append([b"x" * 10, b"y" * 20])
    journal.append([b"stranger".ljust(20)])
    assert [payload for _, payload in contents(journal)] == [b"x" * 10, b"stranger".ljust(20)]
    assert {end for end, _ in contents(journal)} >= stranded(disk) == {30}


def test_the_next_record_does_not_complete_one_that_lacks_a_byte(disk):
    """A record that lacks one byte is not read, and does not affect its neighbours."""
    journal = FileJournal(disk.file, "process")
    for number in range(300):
        disk.will([Short(1000)])
        with pytest.raises(JournalWriteError):
            journal.append([b"torn %d" % number])
        journal.append([b"sound %d" % number])
    assert [payload for _, payload in contents(journal)] == [b"sound %d" % n for n in range(300)]


def test_a_group_cut_short_twice_is_not_read_twice(disk):
    """The second fragment covers the place of the missing member, and the third try succeeds."""
    journal = FileJournal(disk.file, "process")
    batch = [b"x" * 60, b"y"]
    disk.will([Short(80), Short(40)])
    for _ in range(2):
        with pytest.raises(JournalWriteError):
            journal.append(batch)
    journal.append(batch)
    assert [payload for _, payload in contents(journal)] == batch


def test_a_group_that_failed_may_come_back_when_the_power_goes(disk):
    """Its first member was synced, the record behind it was not: a gap that is documented."""
    journal = FileJournal(disk.file, "process")
    disk.will([Short(30)])
    with pytest.raises(JournalWriteError):
        journal.append([b"x" * 10, b"y" * 20])
    journal.sync()
    journal.append([b"stranger" * 9])
    assert [payload for _, payload in contents(journal)] == [b"stranger" * 9]
    disk.power_off(disk.size(), [])
    FileJournal(disk.file, "process").append([b"next writer"])
    events = visit(disk.file).events
    assert [payload for _, payload in events] == [b"x" * 10, b"next writer"]
    assert {events[0][0]} == stranded(disk)


# The laws, whatever happens in whatever order

codes = st.sampled_from([errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EINTR])
write_faults = st.one_of(
    st.none(), st.none(), codes.map(Fails), st.integers(0, 12000).map(Short), st.just(Short(40))
)
sync_faults = st.one_of(st.none(), st.none(), st.just(Fails(errno.EIO)))
bodies = st.one_of(
    payloads,
    st.builds(bytes.__mul__, st.sampled_from([b"x", b"\0", MAGIC]), st.integers(0, 3000)),
)
batches = st.lists(bodies, min_size=1, max_size=4)


@contextmanager
def no_chance():
    """Advance the clock by 0.3 s with each reading, and give all producers the same id.

    The bytes that are written, and where ``durability=interval`` syncs, are then the same whenever
    Hypothesis repeats an example.
    """
    clock = count(10**18, 3 * 10**8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("track.journals.producer.os", SimpleNamespace(urandom=bytes))
        patch.setattr("track.journals.producer.time_ns", clock.__next__)
        patch.setattr("track.journals.local.time", SimpleNamespace(time_ns=clock.__next__))
        yield


class Logging(RuleBasedStateMachine):
    """Compares a journal on a faulty disk with a list of the events that must be in it."""

    def __init__(self):
        super().__init__()
        self.open_until_the_end = ExitStack()
        folder = self.open_until_the_end.enter_context(TemporaryDirectory())
        self.disk = FaultyDisk(os.path.join(folder, "x.journal"))
        self.open_until_the_end.enter_context(installed(self.disk))
        self.open_until_the_end.enter_context(no_chance())
        self.number = 0
        self.appended = {}
        """End and key of every event that was appended, in order -> its start, its write."""
        self.there = []
        """The events that were not lost, in order."""
        self.acknowledged = set()
        """The events whose append returned."""
        self.lost_power = False

    def teardown(self):
        self.open_until_the_end.close()

    @initialize(durability=st.sampled_from(DURABILITIES))
    def open(self, durability):
        self.durability = durability
        self.reopen()

    def reopen(self):
        self.journal = FileJournal(self.disk.file, self.durability)
        self.producer = Producer(self.journal)

    def name(self, body):
        """Make a payload unique."""
        self.number += 1
        return self.number.to_bytes(3, "big") + body

    def expect(self, call, keys):
        """Make a call that appends events, and check its outcome against what the disk did."""
        before = len(self.disk.writes)
        error = None
        try:
            call()
        except JournalWriteError as raised:
            error = raised
        for write in self.disk.writes[before:]:
            if write.is_whole:
                records = records_of(write)
                events = [(r.end, key) for r, key in zip(records, keys, strict=True)]
                places = [(record.start, write) for record in records]
                self.appended.update(zip(events, places, strict=True))
                self.there += events
                if error is None:
                    self.acknowledged.update(events)
        if "write" in self.disk.struck:
            assert error is not None
            assert not isinstance(error, JournalSyncError)
        elif "fdatasync" in self.disk.struck:
            assert isinstance(error, JournalSyncError)
        else:
            assert error is None
        assert error is None or self.disk.file in str(error)

    @rule(batch=batches, write=write_faults, sync=sync_faults)
    def append(self, batch, write, sync):
        batch = [self.name(body) for body in batch]
        self.disk.will([write], [sync])
        self.expect(lambda: self.journal.append(batch), batch)

    @rule(size=st.integers(0, 6000), write=write_faults, sync=sync_faults)
    def record(self, size, write, sync):
        self.number += 1
        event = MetricsLogged(self.number, {"pad": "p" * size}, None)
        self.disk.will([write], [sync])
        self.expect(lambda: self.producer.record(self.number, event), [self.number])

    @rule(sync=sync_faults, sync_if_interval=st.booleans())
    def sync(self, sync, sync_if_interval):
        self.disk.will(syncs=[sync])
        self.expect(self.journal.sync_if_interval if sync_if_interval else self.journal.sync, [])

    @rule(sync=sync_faults)
    def close_and_open(self, sync):
        self.disk.will(syncs=[sync])
        self.expect(self.journal.close, [])
        self.reopen()

    @invariant()
    @precondition(lambda self: hasattr(self, "journal"))
    def everybody_reads_what_is_there(self):
        tolerated = stranded(self.disk)
        for events in (contents(self.journal), visit(self.disk.file).events):
            assert [e for e in events if e in self.there or e[0] not in tolerated] == self.there

    @invariant()
    @precondition(lambda self: hasattr(self, "journal") and not self.lost_power)
    def the_damage_is_what_was_cut_short(self):
        events, damage = visit(self.disk.file)
        cut = covered(
            (write.offset, write.offset + write.kept)
            for write in self.disk.writes
            if not write.is_whole
        )
        last = max((end for end, _ in events), default=0)
        lost = covered([*damage, (last, self.disk.size())])
        assert lost <= cut
        if not stranded(self.disk):
            assert lost == cut

    @rule(data=st.data(), unit=st.sampled_from([PAGE, SECTOR]))
    def power_off(self, data, unit):
        promised = [event for event in self.there if self.is_promised(event)]
        length = data.draw(st.integers(self.disk.shortest(), self.disk.size()), "length")
        loose = self.disk.loose(unit)
        reached = data.draw(st.sets(st.sampled_from(loose)) if loose else st.just([]), "reached")
        self.disk.power_off(length, reached)
        self.lost_power = True
        self.reopen()
        self.check_what_is_left(promised)

    def is_promised(self, event):
        """Return whether an event must survive, with all events of the same append."""
        write = self.appended[event][1]
        if self.disk.content()[write.offset : write.end] != write.data:
            return False  # an earlier power failure took a part of the group
        is_acknowledged = self.durability == "always" and event in self.acknowledged
        return is_acknowledged or self.disk.has_promised(write.offset, write.end)

    def check_what_is_left(self, promised):
        """All promised events are there, and no others; the next writer appends after them."""
        before = self.left()
        assert is_in_order(promised, before)
        self.disk.will()
        batch = [self.name(b"next"), self.name(b"writer")]
        self.expect(lambda: self.journal.append(batch), batch)
        next_events = self.there[-2:]
        after = self.left()
        assert after[: len(before)] == before
        assert after[-2:] == next_events
        self.there = after

    def left(self):
        """Return the appended events that are left, and check that there are no others."""
        events, damage = visit(self.disk.file)
        tolerated = stranded(self.disk)
        events = [e for e in events if e in self.appended or e[0] not in tolerated]
        # Not only of what was there before: a group whose rest was lost in an earlier power failure
        # may count again when this one takes the record that gave it away.
        assert is_in_order(events, self.appended)
        assert not covered(damage) & covered((self.appended[e][0], e[0]) for e in events)
        return events


TestLogging = Logging.TestCase
TestLogging.settings = settings(stateful_step_count=30)


@given(st.lists(batches, min_size=1, max_size=5), st.booleans(), st.data())
def test_what_was_synced_survives_any_loss_of_power(batches, is_one_sync, data):
    """Each append is synced, or all at once; later appends may be lost."""
    number = iter(range(10**6))
    batches = [[next(number).to_bytes(3, "big") + body for body in batch] for batch in batches]
    with TemporaryDirectory() as folder, installed(FaultyDisk(f"{folder}/x.journal")) as disk:
        journal = FileJournal(disk.file, "process" if is_one_sync else "always")
        for batch in batches:
            journal.append(batch)
        if is_one_sync:
            journal.sync()
        FileJournal(disk.file, "process").append([b"of another process"])
        loose = disk.loose(SECTOR)
        reached = data.draw(st.sets(st.sampled_from(loose)))
        disk.power_off(data.draw(st.integers(disk.shortest(), disk.size())), reached)
        found = [payload for _, payload in visit(disk.file).events]
    synced = [payload for batch in batches for payload in batch]
    assert found in (synced, [*synced, b"of another process"])


@given(
    st.lists(batches, max_size=8),
    st.lists(write_faults, max_size=12),
    st.lists(sync_faults, max_size=12),
    st.sampled_from(DURABILITIES),
)
def test_with_a_retry_everything_is_there_in_the_end(appends, writes, syncs, durability):
    """With ``log.on_error = warn`` no fault loses, repeats or reorders an event."""
    number = iter(range(10**6))
    appends = [[next(number).to_bytes(3, "big") + body for body in batch] for batch in appends]
    with TemporaryDirectory() as folder, installed(FaultyDisk(f"{folder}/x.journal")) as disk:
        journal = BufferedJournal(FileJournal(disk.file, durability))
        disk.will(writes, syncs)
        for batch in appends:
            journal.append(batch)
        disk.will()
        journal.close()
        tolerated = stranded(disk)
        events = [payload for end, payload in visit(disk.file).events if end not in tolerated]
    assert events == [payload for batch in appends for payload in batch]
    assert journal.dropped == 0
