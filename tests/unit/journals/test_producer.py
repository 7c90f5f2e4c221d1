"""Producers: identities, numbers and times, and what an interrupted or failed call leaves."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.programs import run_at_once
from tests.strategies import events, same, streams
from track.errors import EncodingError, JournalWriteError
from track.events.codec import MAX_SEQUENCE
from track.events.types import MetadataLogged, TagsAdded, TrialStarted
from track.journals.memory import MemoryJournal
from track.journals.producer import Producer


class Failing(MemoryJournal):
    """A journal of which some appends fail, before or after the event is in it."""

    fail_before = fail_after = False

    def append(self, payloads):
        if self.fail_before:
            raise JournalWriteError("no")
        super().append(payloads)
        if self.fail_after:
            raise JournalWriteError("perhaps")


@pytest.fixture
def journal():
    return Failing()


@given(st.lists(st.tuples(streams, events), max_size=6))
def test_what_is_recorded_is_read(story):
    """Any events at all come back in order, numbered from 1, under one producer."""
    journal = MemoryJournal()
    producer = Producer(journal)
    for stream, event in story:
        producer.record(stream, event)
    found = list(journal.read())
    assert [item.stream for item in found] == [stream for stream, _ in story]
    assert all(same(tuple(a.event), tuple(b)) for a, (_, b) in zip(found, story, strict=True))
    assert [item.sequence for item in found] == list(range(1, len(story) + 1))
    assert len({item.producer for item in found}) <= 1


def test_events_are_stamped_with_the_time_of_the_call(journal):
    """The wall time of the call, in nanoseconds, is in the envelope."""
    before = time.time_ns()
    Producer(journal).record(1, TrialStarted())
    after = time.time_ns()
    [recorded] = journal.read()
    assert before <= recorded.at <= after


def test_events_in_pieces_are_the_same_events(journal):
    """Both ways to record write the same."""
    producer = Producer(journal)
    producer.record(1, TagsAdded({"a": 1}))
    producer.recorder(1, TagsAdded)([{"a": 1}])
    first, second = journal.read()
    assert (first.event, first.stream) == (second.event, second.stream)


def test_values_are_frozen_at_the_call(journal):
    """What the caller changes afterwards changes nothing that was logged."""
    values = {"opt": {"lr": [0.1]}}
    Producer(journal).record(1, MetadataLogged(values, None))
    values["opt"]["lr"].append(0.2)
    values["more"] = 1
    [recorded] = journal.read()
    assert recorded.event.values == {"opt": {"lr": [0.1]}}


def test_each_producer_has_an_id_of_its_own(journal):
    """Producers of one journal are told apart by 63 random bits."""
    for _ in range(20):
        Producer(journal).record(1, TrialStarted())
    ids = {recorded.producer for recorded in journal.read()}
    assert len(ids) == 20
    assert all(0 <= number < 2**63 for number in ids)


def test_each_thread_has_an_id_of_its_own(journal):
    """Threads share nothing that one would have to wait for."""
    producer = Producer(journal)
    threads = [
        threading.Thread(target=producer.record, args=(number, TrialStarted()))
        for number in range(5)
    ]
    run_at_once(threads)
    assert len({recorded.producer for recorded in journal.read()}) == 5


@pytest.mark.parametrize("in_pieces", [False, True], ids=["whole", "in pieces"])
def test_a_refused_event_spends_no_number(journal, in_pieces):
    """A value that cannot be logged leaves no gap, which would look like a lost event."""
    producer = Producer(journal)
    producer.record(1, TrialStarted())
    record = producer.recorder(1, MetadataLogged)
    refused = {"x": {1, 2}}
    with pytest.raises(EncodingError):
        record([refused, None]) if in_pieces else producer.record(1, MetadataLogged(refused, None))
    producer.record(1, TrialStarted())
    assert [recorded.sequence for recorded in journal.read()] == [1, 2]


@pytest.mark.parametrize("where", ["fail_before", "fail_after"])
def test_a_failed_append_never_lets_a_number_be_used_twice(journal, where):
    """A write that failed may have reached the disk, so its number is gone."""
    producer = Producer(journal)
    setattr(journal, where, True)
    for _ in range(3):
        with pytest.raises(JournalWriteError):
            producer.record(1, TrialStarted())
    setattr(journal, where, False)
    producer.record(1, TrialStarted())
    numbers = [recorded.sequence for recorded in journal.read()]
    assert all(before < after for before, after in pairwise([0, *numbers]))
    assert numbers[-1] == 4


@pytest.mark.parametrize("failing", [False, True], ids=["written", "failed"])
def test_a_producer_that_runs_out_of_numbers_takes_a_new_id(journal, failing):
    """The last number is used, or lost, and the next event is the first of somebody else."""
    producer = Producer(journal)
    producer.record(1, TrialStarted())
    producer.identity().recorded = MAX_SEQUENCE - 1
    journal.fail_after = failing
    try:
        producer.record(1, TrialStarted())
    except JournalWriteError:
        assert failing
    journal.fail_after = False
    producer.record(1, TrialStarted())
    first, last, fresh = journal.read()
    assert (first.sequence, last.sequence, fresh.sequence) == (1, MAX_SEQUENCE, 1)
    assert first.producer == last.producer != fresh.producer


@pytest.mark.parametrize("last", ["recorder", "record"])
def test_a_recorder_goes_on_when_the_numbers_run_out(journal, last):
    """Whoever used the last one: what is prepared for a producer is prepared anew."""
    producer = Producer(journal)
    record = producer.recorder(1, TagsAdded)
    record([{}])
    producer.identity().recorded = MAX_SEQUENCE - 1
    record([{}]) if last == "recorder" else producer.record(1, TagsAdded({}))
    record([{}])
    producer.record(1, TagsAdded({}))
    first, at_last, fresh, next_one = journal.read()
    assert [item.sequence for item in (first, at_last, fresh, next_one)] == [1, MAX_SEQUENCE, 1, 2]
    assert first.producer == at_last.producer != fresh.producer == next_one.producer


def test_a_recorder_writes_to_the_journal_of_its_producer(journal):
    """Also after that was changed, in every thread."""
    producer, later = Producer(journal), MemoryJournal()
    record = producer.recorder(1, TagsAdded)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(record, [{}]).result()
        record([{}])
        producer.write_to(later)
        pool.submit(record, [{}]).result()
        record([{}])
    assert (journal.head(), later.head()) == (2, 2)
    assert len({recorded.producer for recorded in [*journal.read(), *later.read()]}) == 4


@pytest.mark.parametrize("first", [1, 2])
def test_a_function_is_called_behind_the_first_event_from_a_time_on(journal, first):
    """Once it was called, the next one is called when its time comes."""
    producer, called = Producer(journal), []
    record = producer.recorder(1, TagsAdded)
    for _ in range(first):
        record([{}])
    producer.remind(time.time_ns() + 10**15, lambda: called.append("much later"))
    record([{}])
    producer.record(1, TagsAdded({}))
    assert called == []
    producer.remind(time.time_ns(), lambda: (called.append("now"), producer.stop_reminding()))
    record([{}])
    record([{}])
    assert called == ["now"]


def test_it_says_whether_anything_was_recorded(journal):
    """Whoever writes reports can tell whether there is news."""
    producer = Producer(journal)
    assert not producer.changed
    producer.record(1, TrialStarted())
    assert producer.changed


def test_what_a_signal_handler_wants_waits_for_the_call_it_interrupts(journal):
    """A callback in the middle of a call runs right after it, and at once when there is none."""
    producer = Producer(journal)
    called = []

    class Interrupted:
        shape = ()

        def item(self):
            producer.when_idle(lambda: producer.record(2, TrialStarted()))
            return 1.5

    producer.record(1, MetadataLogged({"x": Interrupted()}, None))
    assert [recorded.stream for recorded in journal.read()] == [1, 2]
    assert [recorded.sequence for recorded in journal.read()] == [1, 2]
    producer.when_idle(lambda: called.append(True))
    assert called == [True]


def test_a_callback_waits_for_the_end_of_a_busy_block(journal):
    """Blocks may nest; what waits runs when the outermost is left."""
    producer = Producer(journal)
    called = []
    with producer.busy():
        with producer.busy():
            producer.when_idle(lambda: called.append(1))
        assert called == []
    assert called == [1]


def test_a_callback_runs_though_the_block_it_waits_for_fails(journal):
    """An error in what was interrupted does not lose what a signal asked for."""
    producer = Producer(journal)
    journal.fail_before = True
    called = []

    class Interrupted:
        shape = ()

        def item(self):
            producer.when_idle(lambda: called.append(True))
            return 1.5

    with pytest.raises(JournalWriteError):
        producer.record(1, MetadataLogged({"x": Interrupted()}, None))
    assert called == [True]
