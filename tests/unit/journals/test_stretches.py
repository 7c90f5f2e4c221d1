"""Where the events of a stream are: everything is found, and little else is read."""

import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

import track
from track.containers.points import Unusable
from track.events.codec import stream_id
from track.events.record import frame_group
from track.events.types import MetricsLogged, SearchLogged
from track.journals.file import FileJournal
from track.journals.lmdb import LMDBJournal
from track.journals.producer import Producer
from track.journals.stretches import EVENTS, Stretches, before_last, of_one
from track.persistence import get_protocol
from track.read_model.cache_format import read_stretches, write_stretches
from track.structure import Trial

URIS = ["file:store.json", "lmdb:store.lmdb"]


def steps(journal, stream, after=0):
    return [
        (recorded.position, recorded.event.step)
        for batch in journal.read_stream(stream, after)
        for recorded in map(track.events.codec.decode, *batch)
    ]


def steps_among(events, stream, after):
    """Return what :func:`steps` must find, given all events."""
    return [
        (one.position, one.event.step)
        for one in events
        if one.stream == stream and one.position > after
    ]


def payloads(streams):
    """Return an event of each stream, numbered."""
    made = []

    class Sink:
        append, sync_due_ns = made.extend, float("inf")

    producer = Producer(Sink())
    for number, stream in enumerate(streams):
        producer.record(stream, MetricsLogged(number, {"loss": 1.0}, None))
    return made


def fill(journal, count, seed=0):
    """Log to several streams, in runs and by turns."""
    producer, chance = Producer(journal), random.Random(seed)
    for number in range(count):
        stream = number // 3000 + 10 if number % 2 else chance.choice([1, 2, 3])
        producer.record(stream, MetricsLogged(number, {"loss": 1.0}, None))


@pytest.mark.parametrize("uri", URIS)
def test_what_the_cache_knows_and_what_came_later_is_found(uri):
    """By whoever wrote the cache, and by whoever opens the store next, behind any position."""
    protocol = get_protocol(uri)
    for number in range(3):
        fill(protocol.journal, EVENTS + 100 if number else 20, number)
        other = get_protocol(uri)
        for journal in (protocol.journal, other.journal):
            events = [*journal.read()]
            for stream in (1, 10, 99):
                for after in (0, events[len(events) // 2].position, events[-1].position):
                    assert steps(journal, stream, after) == steps_among(events, stream, after)
        other.close()
    protocol.close()


@pytest.mark.parametrize("uri", URIS)
def test_little_is_read_of_what_others_logged(uri):
    """Of a large journal only what is between the events of the stream in each stretch."""
    protocol = get_protocol(uri)
    producer = Producer(protocol.journal)
    producer.record(7, MetricsLogged(0, {"loss": 1.0}, None))
    for number in range(3 * EVENTS):
        producer.record(8, MetricsLogged(number, {"loss": 1.0}, None))
    protocol.close()
    protocol = get_protocol(uri)
    with protocol.read_state():
        known = protocol.repository.stretches()
    assert len(of_one(known, 7, 0)) == 2
    assert len(of_one(known, 8, 0)) == 1
    [(position, step)] = steps(protocol.journal, 7)
    assert (of_one(known, 7, 0)[0], step) == ((0, position), 0)
    assert of_one(known, 8, 0) == [(position, None)]
    protocol.close()


@pytest.mark.parametrize("uri", URIS)
def test_an_event_alone_among_others_costs_itself(uri, monkeypatch):
    """Such as the metrics of a machine, which are logged every now and then."""
    protocol = get_protocol(uri)
    journal, producer = protocol.journal, Producer(protocol.journal)
    for number in range(20):
        journal.append(payloads([8] * 1000))
        producer.record(7, MetricsLogged(number, {"loss": 1.0}, None))
    with protocol.read_state():
        pass
    events, sizes = [], []
    read_batches, pread = journal.read_batches, os.pread

    def counted(*bounds):
        for batch in read_batches(*bounds):
            events.extend(batch[0])
            yield batch

    def measured(descriptor, size, offset):
        data = pread(descriptor, size, offset)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(journal, "read_batches", counted)
    monkeypatch.setattr(os, "pread", measured)
    found = steps(journal, 7)
    assert [step for _, step in found] == [*range(20)]
    assert events == [position for position, _ in found]
    assert sum(sizes) < 20 * 100
    protocol.close()


@pytest.mark.parametrize("uri", URIS)
def test_the_last_events_are_those_of_the_whole_log(uri):
    """However many are asked for, with a cache and without one."""
    protocol = get_protocol(uri)
    fill(protocol.journal, 2 * EVENTS + 100)
    protocol.close()
    with track.open(uri) as reader:
        events = [*reader.events()]
        for count in (0, 1, 100, 101, EVENTS, len(events), len(events) + 1):
            assert reader.recent(count) == (events[-count:] if count else [])


def test_what_does_not_count_is_not_found():
    """Events of an append that was cut short are no events, though some of them are intact."""
    protocol = get_protocol("file:store.json")
    journal = protocol.journal
    Producer(journal).record(1, MetricsLogged("before", {}, None))
    with Path("store.json.journal").open("ab") as file:
        file.write(frame_group(payloads([1, 1, 1]))[:-5])
    Producer(journal).record(1, MetricsLogged("after", {}, None))
    assert [step for _, step in steps(journal, 1)] == ["before", "after"]
    protocol.close()


def test_searches_are_found_behind_a_position():
    protocol = get_protocol("file:store.json")
    stream = stream_id("search", "optuna")
    protocol.new_trial(Trial(_hash="h"))
    protocol.producer.record(stream, SearchLogged([1]))
    ((first,), _), *_ = protocol.journal.read_stream(stream)
    protocol.producer.record(stream, SearchLogged([2]))
    found = [place for batch in protocol.journal.read_stream(stream, first) for place in batch[0]]
    assert len(found) == 1
    assert found[0] > first
    protocol.close()


@given(st.lists(st.lists(st.integers(0, 3), max_size=9), max_size=9), st.integers(0, 60))
def test_stretches_cover_everything_once(batches, count):
    """Whatever is added twice, and wherever a stretch is ended."""
    stretches, position = Stretches(), 0
    for number, streams in enumerate(batches):
        places = [*range(position + 1, position + 1 + len(streams))]
        made = [bytes(4) + one.to_bytes(8, "big") for one in streams]
        stretches.add(places, made)
        stretches.add(places, made)
        position += len(streams)
        if number % 2:
            stretches.end()
    known = stretches.known()
    assert stretches.position == position
    assert [one.after for one in known] == [0, *(one.last for one in known)][: len(known)]
    assert sum(one.events for one in known) == position
    events = [stream for streams in batches for stream in streams]
    for stream in range(5):
        ranges = of_one(known, stream, 0)
        there = [n for n in range(1, position + 1) if any(a < n <= (b or n) for a, b in ranges)]
        assert {n for n, one in enumerate(events, 1) if one == stream} <= {*there}
        for one in known:
            its = [n for n in range(one.after + 1, one.last + 1) if events[n - 1] == stream]
            found = [n for a, b in one.ranges(stream) for n in range(a + 1, b + 1)]
            assert (found[:1], found[-1:]) == (its[:1], its[-1:])
    assert position - before_last(known, count) >= min(count, position)
    assert Stretches(known).known() == known


BATCHES = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=9), max_size=12)


@given(BATCHES, st.sets(st.integers(0, 11)), st.sampled_from([16, 100, 2**20]), st.data())
def test_a_stream_is_what_a_scan_of_everything_finds(batches, ends, window, data):
    """Behind any position, in appends of several events, wherever stretches and windows end."""
    with TemporaryDirectory() as folder:
        for journal in (FileJournal(f"{folder}/file"), LMDBJournal(f"{folder}/lmdb")):
            journal.window = window
            stretches = Stretches()
            for number, streams in enumerate(batches):
                journal.append(payloads(streams))
                if number % 3:  # the last ones are known to nobody
                    for batch in journal.read_batches(stretches.position):
                        stretches.add(*batch)
                if number in ends:
                    stretches.end()
            journal.index = stretches.known
            events = [*journal.read()]
            after = data.draw(st.sampled_from([0, *(one.position for one in events)]))
            for stream in range(1, 6):
                assert steps(journal, stream, after) == steps_among(events, stream, after)
            journal.close()


def test_stretches_of_many_bytes_are_kept_whole(tmp_path):
    """Also where positions in a stretch are over four gigabytes apart."""
    stretches = Stretches()
    made = payloads([1, 2, 1])
    stretches.add([5, 2**33, 2**33 + 1], made)
    stretches.end()
    stretches.add([2**33 + 7, 2**33 + 9, 2**62], made)
    stretches.end()
    stretches.add([2**62 + 7, 2**62 + 9, 2**62 + 10], made)
    known = stretches.known()
    assert [range_ for one in known for range_ in one.ranges(2)] == [
        (5, 2**33),
        (2**33 + 7, 2**33 + 9),
        (2**62 + 7, 2**62 + 9),
    ]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(TABLE)
        write_stretches(connection, known)
        assert read_stretches(connection, 2**62 + 10) == known


TABLE = "CREATE TABLE stretches (last INTEGER PRIMARY KEY, crc INTEGER, data BLOB)"

DAMAGE = [
    "UPDATE stretches SET data = substr(data, 1, length(data) - 1)",
    "UPDATE stretches SET data = x'' WHERE last = 9",
    "UPDATE stretches SET data = NULL WHERE last = 9",
    "UPDATE stretches SET crc = crc + 1 WHERE last = 9",
    "UPDATE stretches SET crc = NULL",
    "DELETE FROM stretches WHERE last = 3",
    "DELETE FROM stretches WHERE last = 12",
    "DELETE FROM stretches",
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_stretches_are_not_used(damage):
    stretches = Stretches()
    for begin in (1, 4, 7, 10):
        stretches.add([*range(begin, begin + 3)], payloads([1, 2, 1]))
        stretches.end()
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(TABLE)
        write_stretches(connection, stretches.known())
        connection.execute(damage)
        with pytest.raises(Unusable, match="damaged"):
            read_stretches(connection, 12)


@pytest.mark.parametrize("uri", URIS)
@pytest.mark.parametrize("damage", ["data = substr(data, 2)", "data = NULL", "crc = 1"])
def test_a_stream_is_found_though_the_cache_is_damaged(uri, damage):
    protocol = get_protocol(uri)
    for number in range(3):
        protocol.journal.append(payloads([8] * EVENTS))
        Producer(protocol.journal).record(7, MetricsLogged(number, {"loss": 1.0}, None))
    protocol.close()
    path = protocol.journal.cache_path()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        changed = connection.execute(f"UPDATE stretches SET {damage}")
        assert changed.rowcount > 0
    protocol = get_protocol(uri)
    assert [step for _, step in steps(protocol.journal, 7)] == [0, 1, 2]
    protocol.close()
