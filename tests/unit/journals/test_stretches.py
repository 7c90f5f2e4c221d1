"""Where the events of a stream are: everything is found, and little else is read."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import track
from track.events.codec import stream_id
from track.events.record import frame_group
from track.events.types import MetricsLogged, SearchLogged
from track.journals.producer import Producer
from track.journals.stretches import EVENTS, Stretches, before_last, of_one
from track.persistence import get_protocol
from track.structure import Trial

URIS = ["file:store.json", "lmdb:store.lmdb"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def steps(journal, stream, after=0):
    return [
        (recorded.position, recorded.event.step)
        for batch in journal.read_stream(stream, after)
        for recorded in map(track.events.codec.decode, *batch)
    ]


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
                    expected = [
                        (one.position, one.event.step)
                        for one in events
                        if one.stream == stream and one.position > after
                    ]
                    assert steps(journal, stream, after) == expected
        other.close()
    protocol.close()


@pytest.mark.parametrize("uri", URIS)
def test_little_is_read_of_what_others_logged(uri):
    """Of a large journal only the stretches that have something of the stream."""
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
    begin, last = of_one(known, 7, 0)[0]
    assert (begin, last) == (0, known[0].last)
    assert steps(protocol.journal, 7) == [(known[0].after + steps(protocol.journal, 7)[0][0], 0)]
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
    cut = []

    class Sink:
        append, sync_due_ns = cut.extend, float("inf")

    for number in range(3):
        Producer(Sink()).record(1, MetricsLogged(number, {}, None))
    protocol = get_protocol("file:store.json")
    journal = protocol.journal
    Producer(journal).record(1, MetricsLogged("before", {}, None))
    with Path("store.json.journal").open("ab") as file:
        file.write(frame_group(cut)[:-5])
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
        payloads = [bytes(4) + one.to_bytes(8, "big") for one in streams]
        stretches.add(places, payloads)
        stretches.add(places, payloads)
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
    assert position - before_last(known, count) >= min(count, position)
    assert Stretches(known).known() == known
