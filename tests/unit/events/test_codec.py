"""Events <-> payloads: identity, wire tags, what is newer, what is older, and what is garbage."""

import struct
from typing import Any, NamedTuple

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.strategies import events, events_of, loggable, same, sequences, streams, times
from track.errors import EncodingError
from track.events import codec
from track.events.codec import (
    MAX_BODY,
    MAX_PAYLOAD,
    UPCASTERS,
    Encoder,
    decode,
    fields_of,
    stream_id,
)
from track.events.types import (
    CATALOGUE,
    ArgumentsLogged,
    Kind,
    MetricsLogged,
    Recorded,
    TagsAdded,
    TrialStarted,
    Unknown,
)

WIRE = {
    "ProjectCreated": (1, 1),
    "GroupCreated": (2, 1),
    "TrialCreated": (3, 1),
    "TrialAddedToProject": (4, 1),
    "TrialAddedToGroup": (5, 1),
    "TrialStarted": (6, 1),
    "TrialFinished": (7, 1),
    "ChronoStarted": (8, 1),
    "ChronoFinished": (9, 1),
    "ArgumentsLogged": (10, 1),
    "MetadataLogged": (11, 1),
    "MetricsLogged": (12, 1),
    "TagsAdded": (13, 1),
    "StatusChanged": (14, 1),
    "GroupMetadataSet": (15, 1),
    "Heartbeat": (16, 1),
    "ProcessDescribed": (17, 1),
    "TrialArchived": (18, 1),
    "TrialRestored": (19, 1),
    "TrialRedacted": (20, 1),
    "Redacted": (21, 1),
    "SearchLogged": (22, 1),
    "SystemSampled": (23, 1),
    "MediaLogged": (24, 1),
    "ArtifactLogged": (25, 1),
    "ArtifactUsed": (26, 1),
    "OutputCaptured": (27, 1),
    "AlertRaised": (28, 1),
    "MetricDefined": (29, 1),
}
NEXT_TAG = 1 + max(tag for tag, _ in WIRE.values())
"""What journals on disk say. Lines are added and versions raised, nothing else ever changes."""


def encode(event, stream=1, producer=2, sequence=3, at=4):
    return Encoder().encode(type(event), fields_of(event), stream, producer, sequence, at)


def raw(tag, version, body):
    """Return the payload of an event as some other version may have written it."""
    envelope = struct.pack(">BBBBQBQBIBQ", 0x97, tag, version, 0xCF, 1, 0xCF, 2, 0xCE, 3, 0xCF, 4)
    return envelope + msgpack.packb(body)


# Identity


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.__name__)
def test_every_event_comes_back_the_same(kind):
    """Decoding undoes encoding for each type of the catalogue, its envelope included."""

    @given(events_of(kind), streams, st.integers(0, 2**64 - 1), sequences, times)
    def check(event, stream, producer, sequence, at):
        payload = Encoder().encode(kind, [*event], stream, producer, sequence, at)
        recorded = decode(77, payload)
        assert type(recorded) is Recorded
        assert recorded[:-1] == (77, at, producer, sequence, stream)
        assert type(recorded.event) is kind
        assert same(tuple(recorded.event), tuple(event))

    check()


@given(events, streams, sequences, times)
def test_the_envelope_is_at_fixed_offsets(event, stream, sequence, at):
    """A program can read whom an event is about without parsing the payload."""
    payload = encode(event, stream, 2**63 - 1, sequence, at)
    tag, version = CATALOGUE[type(event)]
    assert payload[:4] == bytes((0x97, tag, version, 0xCF))
    assert struct.unpack_from(">Q", payload, 4) == (stream,)
    assert struct.unpack_from(">Q", payload, 13) == (2**63 - 1,)
    assert struct.unpack_from(">I", payload, 22) == (sequence,)
    assert struct.unpack_from(">Q", payload, 27) == (at,)


@given(st.lists(events, max_size=5))
def test_one_encoder_writes_what_fresh_ones_do(several):
    """A reused buffer leaves nothing of one event in the next."""
    encoder = Encoder()
    together = [encoder.encode(type(event), fields_of(event), 1, 2, 3, 4) for event in several]
    assert together == [encode(event) for event in several]


def test_an_encoder_goes_on_after_a_refusal():
    """A value that cannot be logged leaves nothing behind in the encoder."""
    encoder = Encoder()
    expected = encoder.encode(TagsAdded, [{"a": 1}], 1, 2, 3, 4)
    with pytest.raises(EncodingError):
        encoder.encode(TagsAdded, [{"a": ["long" * 9, object()]}], 1, 2, 3, 4)
    assert encoder.encode(TagsAdded, [{"a": 1}], 1, 2, 3, 4) == expected


# Limits


def test_an_event_may_be_as_large_as_a_record_can_hold():
    """The largest event that is accepted is read back."""
    overhead = len(encode(ArgumentsLogged({"blob": bytes(2**16)}))) - 2**16
    payload = encode(ArgumentsLogged({"blob": bytes(MAX_PAYLOAD - overhead)}))
    assert len(payload) == MAX_PAYLOAD
    assert len(decode(0, payload).event.values["blob"]) == MAX_PAYLOAD - overhead


def test_a_larger_event_is_refused():
    """One byte over the limit is an error that says so and what to do."""
    overhead = len(encode(ArgumentsLogged({"blob": bytes(2**16)}))) - 2**16
    with pytest.raises(EncodingError, match=r"ArgumentsLogged takes .* over the limit.*log_file"):
        encode(ArgumentsLogged({"blob": bytes(MAX_PAYLOAD - overhead + 1)}))
    assert MAX_BODY < MAX_PAYLOAD


# Streams


def test_streams_are_pinned():
    """The numbers of streams are on disk, so they never change."""
    assert stream_id("trial", "demo_0") == 1098124836053666640
    assert stream_id("trial", "\ud800") != stream_id("trial", "\ud801")
    assert len({stream_id(kind, "x") for kind in ("project", "group", "trial")}) == 3


@given(st.text(st.characters()))
def test_a_stream_is_a_number_of_63_bits(uid):
    """Any uid at all has a stream that a signed database column can hold."""
    assert 0 <= stream_id("project", uid) < 2**63


# Evolution


def test_wire_tags_are_pinned():
    """Journals on disk know events by these numbers."""
    assert {kind.__name__: tuple(wire) for kind, wire in CATALOGUE.items()} == WIRE


@given(st.integers(NEXT_TAG, 127), st.integers(0, 127), st.lists(loggable, max_size=4))
@example(99, 0, [1, 2, 3])
@example(99, 1, [1, 2, 3])
def test_an_unknown_event_is_kept_and_can_be_written_again(tag, version, body):
    """An event of a later Track is handed on with all its bytes."""
    unknown = Unknown(tag, version, body)
    payload = encode(unknown, 5, 6, 7, 8)
    recorded = decode(1, payload)
    assert recorded[:-1] == (1, 8, 6, 7, 5)
    assert same(recorded.event, unknown)
    assert encode(recorded.event, 5, 6, 7, 8) == payload


@given(events, st.integers(2, 127))
def test_a_later_schema_of_a_known_event_is_unknown(event, version):
    """What a field means there is anybody's guess, so nobody guesses."""
    tag = CATALOGUE[type(event)].tag
    payload = encode(Unknown(tag, version, list(event)))
    assert same(decode(0, payload).event, Unknown(tag, version, list(event)))


@given(events, st.lists(loggable, min_size=1, max_size=3))
def test_fields_that_a_later_writer_added_are_ignored(event, added):
    """Fields are added at the end without a new version, and this reader does not need them."""
    kind = CATALOGUE[type(event)]
    payload = encode(Unknown(kind.tag, kind.version, [*event, *added]))
    assert same(tuple(decode(0, payload).event), tuple(event))


class Renamed(NamedTuple):
    """TagsAdded as it may be one day: version 3, with a field that has a default."""

    tags: Any
    author: str = "nobody"


@pytest.fixture
def evolved(monkeypatch):
    """A catalogue in which TagsAdded has come to version 3."""
    monkeypatch.setitem(codec._CLASSES, 13, (3, Renamed))
    monkeypatch.setitem(UPCASTERS, Kind(13, 1), lambda body: [sorted(body[0].items())])
    monkeypatch.setitem(UPCASTERS, Kind(13, 2), lambda body: [dict(body[0]), "somebody"])


@pytest.mark.usefixtures("evolved")
def test_old_events_are_upcast_one_version_at_a_time():
    """An event of version 1 goes through both upcasters, one of version 2 through the second."""
    assert decode(0, raw(13, 1, [{"b": 1, "a": 2}])).event == Renamed({"a": 2, "b": 1}, "somebody")
    assert decode(0, raw(13, 2, [[["x", 1]]])).event == Renamed({"x": 1}, "somebody")
    assert decode(0, raw(13, 3, [{"x": 1}, "me"])).event == Renamed({"x": 1}, "me")


@pytest.mark.usefixtures("evolved")
def test_a_field_that_an_older_writer_did_not_know_gets_its_default():
    """Within a version, missing fields at the end are those that were added later."""
    assert decode(0, raw(13, 3, [{"x": 1}])).event == Renamed({"x": 1}, "nobody")


@pytest.mark.usefixtures("evolved")
def test_a_version_without_an_upcaster_is_unknown(monkeypatch):
    """Where the chain of upcasters breaks, the event is kept as it came that far."""
    monkeypatch.delitem(UPCASTERS, Kind(13, 2))
    assert isinstance(decode(0, raw(13, 1, [{"x": 1}])).event, Unknown)


@pytest.mark.usefixtures("evolved")
def test_an_upcaster_that_fails_costs_only_its_event():
    """A body the upcaster chokes on is kept like any other that cannot be understood."""
    payload = raw(13, 1, [None])
    assert decode(0, payload).event == Unknown(0, 0, payload)


# Garbage


@given(st.binary(max_size=80))
@example(b"")
@example(b"\x97\x0c\x01")
@example(b"\xc1" * 40)
@example(b"\x91" * 100_000)
@example(b"\xdd\xff\xff\xff\xff")
def test_bytes_that_are_no_event_are_unknown(payload):
    """Whatever an intact record holds, decoding never raises, and keeps what it does not know."""
    recorded = decode(5, payload)
    assert recorded == (5, 0, 0, 0, 0, Unknown(0, 0, payload))


@given(events, st.data())
def test_a_changed_event_never_makes_decoding_raise(event, data):
    """A payload with any bytes changed is an event or an unknown one, never an exception."""
    payload = bytearray(encode(event))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = payload[: data.draw(st.integers(0, len(payload)))]
    for garbage in (bytes(payload), bytes(cut)):
        assert isinstance(decode(1, garbage), Recorded)


NOT_EVENTS = [
    raw(12, 1, "abc"),
    raw(12, 1, {1: 2, 3: 4, 5: 6}),
    raw(12, 1, None),
    raw(12, 1, [1, {}]),
    raw(99, 1, "x"),
    raw(6, 1, []) + b"\0",
    msgpack.packb([6, 1, "x", 2, 3, 4, []]),
    msgpack.packb([6, 1, 2**63, [], 3, 4, []]),
    msgpack.packb([6, 1, 1, 2, None, 4, []]),
    msgpack.packb(["x", 1, 1, 2, 3, 4, []]),
    msgpack.packb([6, 1, 1, 2, 3, 4]),
    msgpack.packb([6, 1, 1, 2, 3, 4, [], 8]),
    msgpack.packb({"tag": 6}),
]


@pytest.mark.parametrize("payload", NOT_EVENTS, ids=range(len(NOT_EVENTS)))
def test_what_only_looks_like_an_event_is_unknown(payload):
    """Those who fold events may rely on numbers in the envelope and on a list of fields."""
    assert decode(0, payload) == (0, 0, 0, 0, 0, Unknown(0, 0, payload))


def test_an_event_without_fields_is_decoded():
    """The smallest event is 36 bytes, and equals what was encoded."""
    payload = encode(TrialStarted())
    assert len(payload) == 36
    assert decode(0, payload).event == TrialStarted()


def test_metrics_take_the_documented_space():
    """Two metrics with a step cost at most 45 bytes for each value, framing included."""
    payload = encode(MetricsLogged(1000, {"loss": 0.1, "acc": 0.2}, None))
    assert len(payload) + 20 <= 2 * 45
