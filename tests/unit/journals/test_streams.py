"""The index of streams: what it finds, and that it is never trusted."""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from track.events.codec import decode
from track.events.record import frame_group
from track.events.types import MetricsLogged, TrialStarted
from track.journals import streams
from track.journals.file import FileJournal
from track.journals.lmdb import LMDBJournal
from track.journals.producer import Producer


@pytest.fixture(autouse=True)
def eager(monkeypatch, caplog):
    """An index is written whenever one event is new."""
    monkeypatch.setattr(streams, "FEWEST_NEW_EVENTS", 1)
    monkeypatch.setattr(streams, "ONE_NEW_IN", 10**9)
    caplog.set_level(logging.INFO)


@pytest.fixture(params=[FileJournal, LMDBJournal])
def open_journal(request, tmp_path):
    journals = []

    def open_it():
        journals.append(request.param(tmp_path / "journal", "process"))
        return journals[-1]

    yield open_it
    for journal in journals:
        journal.close()


def found(journal, stream, after=0):
    return [e for batch in journal.read_stream(stream, after) for e in map(decode, *batch)]


def expected(journal, stream, after=0):
    return [event for event in journal.read(after) if event.stream == stream]


def index_of(journal):
    return Path(journal.path + ".streams")


def fill(journal, count=50):
    producer = Producer(journal)
    for number in range(count):
        producer.record(number % 3 + 1, MetricsLogged(number, {"loss": 1.0}, None))
        producer.record(7 if number < 20 else 8, TrialStarted())


def test_what_the_index_has_and_what_came_later_is_found(open_journal):
    """By whoever wrote the index, and by whoever opens it."""
    journal = open_journal()
    for _ in range(3):
        fill(journal)
        for reader in (journal, open_journal()):
            for stream in (1, 2, 3, 7, 8, 9, 2**63 - 1):
                assert found(reader, stream) == expected(reader, stream)
    assert index_of(journal).exists()


def test_an_index_is_used(open_journal, monkeypatch):
    """With one at hand, nothing is read but the events of the stream."""
    journal = open_journal()
    fill(journal)
    wanted = expected(journal, 2)
    assert found(journal, 2) == wanted
    reader = open_journal()
    read = []
    read_run = type(reader).read_run
    monkeypatch.setattr(type(reader), "read_run", lambda *a: read.append(1) or read_run(*a))
    monkeypatch.setattr(reader, "read_batches", lambda after: iter(()) if after else 1 / 0)
    assert found(reader, 2) == wanted
    assert len(read) == len(wanted)


@given(data=st.data())
def test_a_damaged_index_is_made_anew(tmp_path_factory, data):
    """Whichever bit is flipped, wherever it is cut: the events are found all the same."""
    journal = FileJournal(tmp_path_factory.mktemp("damage") / "journal", "process")
    fill(journal, 8)
    wanted = {stream: expected(journal, stream) for stream in (1, 2, 3, 7, 9)}
    assert found(journal, 1) == wanted[1]
    index = index_of(journal)
    content = bytearray(index.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    index.write_bytes(content)
    reader = FileJournal(journal.path, "process")
    for stream, events in wanted.items():
        assert found(reader, stream) == events
    reader.close()
    journal.close()


def test_an_index_of_another_journal_is_not_used(open_journal, tmp_path, caplog):
    """Somebody put another journal in the place of the one that it was made from."""
    journal = open_journal()
    fill(journal)
    assert found(journal, 1)
    content = index_of(journal).read_bytes()
    other = type(journal)(tmp_path / "other", "process")
    fill(other)
    index_of(other).write_bytes(content)
    assert found(other, 1) == expected(other, 1)
    assert "not the one it was made from" in caplog.text
    other.close()


def test_a_run_may_begin_and_end_in_a_group(tmp_path):
    """Of events that were appended as one, those of a stream are read without the others."""
    memory = []

    class Sink:
        append, sync_due_ns = memory.extend, float("inf")

    producer = Producer(Sink())
    for number in range(9):
        producer.record(number // 3 + 1, MetricsLogged(number, {}, None))
    journal = FileJournal(tmp_path / "journal", "process")
    journal.append(memory)
    for stream in (1, 2, 3):
        assert found(journal, stream) == expected(journal, stream) != []
    journal.close()


def test_what_does_not_count_is_not_found_in_a_run(tmp_path):
    """Events of an append that was cut short are no events, though some of them are intact."""
    cut = []

    class Sink:
        append, sync_due_ns = cut.extend, float("inf")

    producer = Producer(Sink())
    for number in range(3):
        producer.record(1, MetricsLogged(number, {}, None))
    journal = FileJournal(tmp_path / "journal", "process")
    Producer(journal).record(1, MetricsLogged("before", {}, None))
    with open(journal.path, "ab") as file:
        file.write(frame_group(cut)[:-5])
    Producer(journal).record(1, MetricsLogged("after", {}, None))
    for _ in range(2):
        assert [event.event.step for event in found(journal, 1)] == ["before", "after"]
    assert [event.event.step for event in journal.read()] == ["before", "after"]
    journal.close()


def test_what_is_damaged_since_the_index_was_made_costs_only_itself(tmp_path):
    """The rest of its run is found."""
    journal = FileJournal(tmp_path / "journal", "process")
    producer = Producer(journal)
    for number in range(10):
        producer.record(1, MetricsLogged(number, {}, None))
    positions = [event.position for event in found(journal, 1)]
    with open(journal.path, "r+b") as file:
        file.seek(positions[4] + 40)
        file.write(b"\xff" * 8)
    assert [event.event.step for event in found(journal, 1)] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    journal.close()


def test_without_a_place_for_it_there_is_no_index(tmp_path, monkeypatch, caplog):
    """A folder that cannot be written is a reason to say so once in a while, not to fail."""
    journal = FileJournal(tmp_path / "journal", "process")
    fill(journal)
    os.mkdir(journal.path + ".streams")
    assert found(journal, 1) == expected(journal, 1)
    assert found(journal, 2) == expected(journal, 2)
    assert "no index of the journal was written" in caplog.text
    journal.close()
