"""Check that prepared writers of a trial write the same bytes as encoding each event separately."""

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.strategies import events, loggable, payloads, steps, streams, unloggable
from track.errors import EncodingError
from track.events.codec import MAX_PAYLOAD, Encoder, decode, fields_of
from track.events.record import MAGIC, START, frame, framer
from track.events.types import MetricsLogged, TrialStarted
from track.journals.file import FileJournal
from track.journals.memory import MemoryJournal
from track.journals.producer import Producer

split = st.tuples(payloads, payloads)
"""The prefix of a payload, and its rest."""


def outcome(call, *args):
    """Return the result of a call, or the error that it raises."""
    try:
        return call(*args)
    except EncodingError as error:
        return str(error)


@given(payloads, st.lists(payloads, min_size=1, max_size=8))
@example(MAGIC[:1], [MAGIC[1:]])
@example(MAGIC[:2], [MAGIC[2:]])
@example(b"\x97", [bytes(length) for length in (0, 4095, 4096, 4096, 0)])
def test_a_framer_frames_as_every_payload_is_framed(prefix, rests):
    """The place of magic bytes and earlier records do not matter."""
    frame_rest = framer(prefix)
    assert [frame_rest(rest) for rest in rests] == [frame(prefix + rest) for rest in rests]


def test_a_framer_lets_no_checksum_pass_for_a_start():
    """Of many payloads, some have a checksum that must not stand at the end of a record."""
    frame_rest, odd = framer(b"prefix"), 0
    for number in range(5000):
        rest = number.to_bytes(2, "little")
        record = frame_rest(rest)
        assert record == frame(b"prefix" + rest)
        odd += record[-1] in START
    assert odd > 5  # those whose end is no start of a record: the mask took care of the others


@pytest.mark.parametrize("size", [MAX_PAYLOAD, MAX_PAYLOAD + 1])
def test_a_framer_has_the_limit_of_a_record(size):
    """With the same words."""
    assert outcome(framer(b"123"), bytes(size - 3)) == outcome(frame, b"123" + bytes(size - 3))


def test_a_framer_refuses_what_no_mask_can_hide():
    """Neither does it write a record that a reader would misunderstand."""
    crafted = b"".join(bytes(byte ^ mask for byte in MAGIC) for mask in range(256))
    for prefix, rest in ((b"", crafted), (crafted, b""), (crafted[:301], crafted[301:])):
        assert outcome(framer(prefix), rest) == outcome(frame, crafted)
        assert "crafted" in outcome(framer(prefix), rest)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(split, max_size=6), st.sampled_from(["process", "always"]))
def test_a_journal_file_is_the_same_either_way(tmp_path_factory, appended, durability):
    """Writers of several prefixes that take turns equal one append for each payload."""
    folder = tmp_path_factory.mktemp("files")
    with (
        closing(FileJournal(folder / "whole", durability)) as whole,
        closing(FileJournal(folder / "prepared", durability)) as prepared,
    ):
        writers = {prefix: prepared.event_writer(prefix) for prefix, _ in appended}
        for prefix, rest in appended:
            whole.append([prefix + rest])
            writers[prefix](rest)
    assert Path(prepared.path).read_bytes() == Path(whole.path).read_bytes()


@given(st.lists(st.tuples(streams, events), min_size=1, max_size=6))
def test_a_recorder_records_what_a_producer_does(story):
    """Events of any kind are recorded alternately in both ways, under one producer."""
    journal = MemoryJournal()
    producer = Producer(journal)
    for stream, event in story:
        producer.recorder(stream, type(event))(fields_of(event))
        producer.record(stream, event)
    for _, batch in journal.read_batches():
        for number, (payload, (stream, event)) in enumerate(
            zip(batch, (one for one in story for _ in range(2)), strict=True), 1
        ):
            found = decode(number, payload)
            assert (found.stream, found.sequence) == (stream, number)
            fields = fields_of(event)
            expected = Encoder().encode(
                type(event), fields, stream, found.producer, found.sequence, found.at
            )
            assert payload == expected


@given(steps, st.dictionaries(st.text(max_size=5), loggable | unloggable, max_size=4))
def test_a_recorder_refuses_what_a_producer_refuses(step, values):
    """The message is the same; nothing of the event is written, and the next event is."""
    journal = MemoryJournal()
    producer = Producer(journal)
    record = producer.recorder(1, MetricsLogged)
    fast = outcome(record, [step, values, None])
    assert fast == outcome(producer.record, 1, MetricsLogged(step, values, None))
    assert journal.head() == (0 if fast else 2)
    producer.recorder(1, TrialStarted)([])
    assert journal.head() == (1 if fast else 3)
