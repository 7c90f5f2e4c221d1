"""What every journal promises. A journal's test file only makes journals.

The fixture ``open_journal`` opens the same store as often as it is called; ``journal`` is one that
is open already.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.strategies import appends
from track.errors import EncodingError, JournalClosed
from track.events.codec import decode
from track.events.record import MAX_GROUP, frame, frame_group
from track.events.types import MetricsLogged, TrialStarted, Unknown
from track.journals.journal import Journal
from track.journals.producer import Producer


def payloads_of(journal: Journal, after: int = 0) -> list[bytes]:
    """Return the payloads behind a position."""
    return [payload for _, batch in journal.read_batches(after) for payload in batch]


def positions_of(journal: Journal, after: int = 0) -> list[int]:
    """Return the positions behind a position."""
    return [position for batch, _ in journal.read_batches(after) for position in batch]


class JournalContract:
    """The promises of :mod:`track.journals.journal`, one test or more for each."""

    # Order and atomicity

    def test_a_new_journal_is_empty(self, journal):
        """Nothing is in it, its head is 0, and reading it ends."""
        assert payloads_of(journal) == []
        assert list(journal.read()) == []
        assert journal.head() == 0

    def test_what_was_appended_is_read_in_order(self, journal):
        """Appends come back in the order they were made, at positions that only grow."""
        journal.append([b"a"])
        journal.append([b"b", b"c", b"b"])
        journal.append([b""])
        assert payloads_of(journal) == [b"a", b"b", b"c", b"b", b""]
        positions = positions_of(journal)
        assert all(before < after for before, after in pairwise([0, *positions]))
        assert journal.head() == positions[-1]

    def test_payloads_that_begin_alike_are_appended_as_others_are(self, journal):
        """Event writers and appends can be mixed; the order is that of the calls."""
        write, other = journal.event_writer(b"a"), journal.event_writer(b"b")
        write(b"1")
        journal.append([b"c"])
        other(b"2")
        write(b"33")
        write(b"")
        assert payloads_of(journal) == [b"a1", b"c", b"b2", b"a33", b"a"]

    def test_an_event_writer_of_a_closed_journal_says_so(self, journal):
        """It raises as an append does, since the closed descriptor may be in use elsewhere."""
        write = journal.event_writer(b"a")
        write(b"1")
        journal.close()
        with pytest.raises(JournalClosed):
            write(b"2")

    def test_records_of_another_journal_are_appended_as_one(self, journal):
        """Their earlier groups do not matter, and masked records are no exception."""
        journal.append([b"a"])
        grouped = frame_group([b"b", b"\xc1TJ", b"c"])
        journal.append_records([grouped[:21], grouped[21:44], grouped[44:], frame(b"d")])
        journal.append_records([frame(b"e")])
        journal.append([b"f"])
        assert payloads_of(journal) == [b"a", b"b", b"\xc1TJ", b"c", b"d", b"e", b"f"]

    def test_appending_nothing_changes_nothing(self, journal):
        """An empty batch adds no event."""
        journal.append([])
        journal.append([b"a"])
        journal.append([])
        assert payloads_of(journal) == [b"a"]

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(appends, appends)
    def test_reading_goes_on_behind_any_position(self, open_journal, first, second):
        """``read(after=p)`` is the rest of ``read()``, for each position, also of later appends."""
        journal = open_journal()
        start, known = journal.head(), len(positions_of(journal))
        for batch in first:
            journal.append(batch)
        between = journal.head()
        for batch in second:
            journal.append(batch)
        expected = [payload for batch in first + second for payload in batch]
        assert payloads_of(journal, start) == expected
        assert payloads_of(journal, between) == [p for batch in second for p in batch]
        positions = positions_of(journal)[known:]
        for index, position in enumerate(positions, 1):
            rest = [*journal.read_batches(position)]
            assert [one for batch, _ in rest for one in batch] == positions[index:]
            assert [one for _, batch in rest for one in batch] == expected[index:]
        journal.close()

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        streams=st.lists(st.sampled_from([1, 2, 3, 2**63 - 1]), max_size=30), after=st.integers(0)
    )
    def test_the_events_of_a_stream_are_read_by_themselves(self, open_journal, streams, after):
        """They come in order, after any position, including later events; other payloads do not."""
        journal = open_journal()
        producer, start = Producer(journal), journal.head()
        for stream in streams:
            producer.record(stream, TrialStarted())
            journal.append([b"garbage, and not short"])
            assert list(journal.read_stream(stream, journal.head())) == []
        everything = [event for event in journal.read(start) if event.sequence]
        positions = [start, *(event.position for event in everything)]
        after = positions[after % len(positions)]
        for stream in {*streams, 4}:
            batches = journal.read_stream(stream, after)
            found = [event for batch in batches for event in map(decode, *batch)]
            expected = [event for event in everything if event.stream == stream]
            assert found == [event for event in expected if event.position > after]
        journal.close()

    def test_payloads_that_are_no_events_are_read_as_unknown(self, journal):
        """A journal keeps such payloads, and readers report them in their place."""
        journal.append([b"garbage"])
        Producer(journal).record(7, TrialStarted())
        first, second = journal.read()
        assert first.event == Unknown(0, 0, b"garbage")
        assert (second.event, second.stream) == (TrialStarted(), 7)
        assert first.position < second.position == journal.head()

    def test_many_and_large_events_are_read_whole(self, journal):
        """Neither the number of events nor the size of one limits a reader."""
        several = [str(number).encode() for number in range(3000)]
        large = [bytes(3 * 2**20), b"x" * 2**20, b"y"]
        for payload in several:
            journal.append([payload])
        journal.append(large)
        assert payloads_of(journal) == several + large

    def test_readers_never_see_half_a_batch(self, open_journal):
        """A batch becomes visible at once, even to a reader that polls all the time."""
        writer, reader = open_journal(), open_journal()
        done = threading.Event()

        def write():
            for number in range(150):
                writer.append([b"%d.%d %s" % (number, part, b"x" * 200) for part in range(5)])
            done.set()

        with ThreadPoolExecutor() as pool:
            writing = pool.submit(write)
            seen = 0
            while not done.is_set():
                found = payloads_of(reader)
                assert len(found) % 5 == 0
                assert len(found) >= seen
                seen = len(found)
            writing.result()
        assert len(payloads_of(reader)) == 750

    # Tailing

    def test_a_tail_yields_what_comes_later(self, journal):
        """Events that another thread appends reach a reader that waits for them."""
        producer = Producer(journal)
        producer.record(0, TrialStarted())
        tail = journal.tail(timeout_s=30, poll_s=0.001)
        assert next(tail).stream == 0
        for stream in (1, 2):
            thread = threading.Thread(target=producer.record, args=(stream, TrialStarted()))
            thread.start()
            assert next(tail).stream == stream
            thread.join()
        tail.close()

    def test_a_tail_begins_behind_its_position_and_ends_after_its_timeout(self, journal):
        """With a timeout, tailing ends when no event arrives; earlier events are not repeated."""
        producer = Producer(journal)
        for stream in range(4):
            producer.record(stream, TrialStarted())
        second = positions_of(journal)[1]
        found = list(journal.tail(second, timeout_s=0.02, poll_s=0.001))
        assert [recorded.stream for recorded in found] == [2, 3]
        assert list(journal.tail(journal.head(), timeout_s=0, poll_s=0.001)) == []

    # Closing and syncing

    def test_nothing_is_appended_to_a_closed_journal(self, open_journal):
        """Appending after close is an error that says to open again, and adds nothing."""
        journal = open_journal()
        journal.append([b"a"])
        journal.close()
        journal.close()
        with pytest.raises(JournalClosed, match="open"):
            journal.append([b"b"])
        with pytest.raises(JournalClosed):
            Producer(journal).record(1, TrialStarted())

    def test_syncing_keeps_everything_readable(self, journal):
        """Syncing and milestones may come at any time, and change nothing that is read."""
        journal.sync()
        journal.append([b"a"])
        journal.sync_if_interval()
        journal.sync()
        assert payloads_of(journal) == [b"a"]

    # Refusals

    def test_a_batch_that_is_too_large_adds_nothing(self, journal):
        """A group over the limit is refused as a whole or accepted, and the journal still works."""
        payload = bytes(2**23)
        batch = [payload] * (MAX_GROUP // len(payload))
        try:
            journal.append(batch)
        except EncodingError:
            assert payloads_of(journal) == []
        else:
            assert len(payloads_of(journal)) == len(batch)
        position = journal.head()
        journal.append([b"after"])
        assert payloads_of(journal, position) == [b"after"]

    # Decisions

    def test_an_exclusive_section_may_be_entered_again(self, journal):
        """The thread inside may enter it once more, append in it, and still be inside after."""
        with journal.exclusive():
            with journal.exclusive():
                journal.append([b"a"])
            journal.append([b"b"])
        with journal.exclusive():
            assert payloads_of(journal) == [b"a", b"b"]

    def test_an_error_leaves_the_exclusive_section(self, open_journal):
        """Whatever is raised inside, the next one may enter."""
        one, other = open_journal(), open_journal()
        with pytest.raises(ZeroDivisionError), one.exclusive():
            raise ZeroDivisionError
        with other.exclusive():
            other.append([b"a"])

    @pytest.mark.parametrize("shared", [True, False], ids=["one journal", "one journal each"])
    def test_decisions_are_made_one_after_the_other(self, open_journal, shared):
        """A counter read from the journal and written back is never counted twice."""
        common = open_journal()

        def count(journal):
            for _ in range(15):
                with journal.exclusive():
                    last = payloads_of(journal)[-1:] or [b"0"]
                    journal.append([b"%d" % (int(last[0]) + 1)])

        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(count, [common if shared else open_journal() for _ in range(4)]):
                pass
        assert payloads_of(common) == [b"%d" % number for number in range(1, 61)]

    def test_appending_waits_for_nobodys_section(self, open_journal):
        """While one decides, others go on logging."""
        one, other = open_journal(), open_journal()
        with one.exclusive(), ThreadPoolExecutor() as pool:
            pool.submit(other.append, [b"a"]).result(timeout=30)
            assert payloads_of(one) == [b"a"]

    # Sharing

    def test_threads_share_a_producer_and_lose_nothing(self, journal):
        """Each thread's events are all there, in its order, numbered along the journal."""
        producer = Producer(journal)
        barrier = threading.Barrier(6)

        def log(stream):
            barrier.wait()
            for step in range(200):
                producer.record(stream, MetricsLogged(step, {"x": 0.5}, None))

        with ThreadPoolExecutor(6) as pool:
            for _ in pool.map(log, range(6)):
                pass
        steps, sequences = defaultdict(list), defaultdict(list)
        for recorded in journal.read():
            steps[recorded.stream].append(recorded.event.step)
            sequences[recorded.producer].append(recorded.sequence)
        assert steps == {stream: list(range(200)) for stream in range(6)}
        for numbers in sequences.values():
            assert all(before < after for before, after in pairwise([0, *numbers]))
        assert sum(len(set(numbers)) for numbers in sequences.values()) == 1200
