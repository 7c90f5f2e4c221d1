"""Frames: what one end sends is what the other one gets, or nothing is."""

import struct
from zlib import crc32

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile import content_of
from tests.strategies import loggable, same
from track.errors import EncodingError, InsecureConnection, MalformedMessage
from track.events.record import MAGIC, MAX_GROUP, SEED, START, frame, frame_group
from track.relay.messages import (
    LENGTH,
    MAX_ANSWER,
    MAX_HEADER,
    MAX_REQUEST,
    MAX_STRANGER,
    Message,
    Verb,
    body_length,
    checked_records,
    from_frame,
    from_records,
    to_frame,
    to_records,
)
from track.utils.handshake import CheckedChannel
from track.utils.sealing import KeyExchange

messages = st.builds(
    Message, st.sampled_from(Verb), st.lists(loggable, max_size=3), st.binary(max_size=300)
)
layers = st.sampled_from(["none", "AES"])


def ends(layer):
    """Return the two ends of a channel."""
    if layer == "none":
        return CheckedChannel(), CheckedChannel()
    client, server = KeyExchange(), KeyExchange()
    keys = client.public, server.public
    return (
        client.finish(keys[1], b"transcript", is_server=False),
        server.finish(keys[0], b"transcript", is_server=True),
    )


def body_of(message, channel):
    frame = to_frame(message, channel)
    assert body_length(frame[: LENGTH.size], MAX_ANSWER) == len(frame) - LENGTH.size
    return frame[LENGTH.size :]


def is_same(left, right):
    return (
        left.verb is right.verb
        and same(left.header, right.header)
        and left.attachment == right.attachment
    )


@given(layers, st.lists(messages, min_size=1, max_size=4))
def test_messages_arrive_as_they_were_sent(layer, sent):
    """In their order, to the last bit, in both directions."""
    left, right = ends(layer)
    for message in sent:
        assert is_same(from_frame(body_of(message, left), right), message)
        assert is_same(from_frame(body_of(message, right), left), message)


@given(layers, messages, st.data())
def test_a_flipped_bit_is_noticed(layer, message, data):
    """Wherever it is."""
    left, right = ends(layer)
    body = bytearray(body_of(message, left))
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InsecureConnection):
        from_frame(bytes(body), right)


@given(layers, messages, st.data())
def test_a_frame_that_is_cut_short_or_grew_is_noticed(layer, message, data):
    """Also one of which nothing is left."""
    left, right = ends(layer)
    body = body_of(message, left)
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    with pytest.raises(InsecureConnection):
        from_frame(cut, right)
    left, right = ends(layer)
    with pytest.raises(InsecureConnection):
        from_frame(body_of(message, left) + data.draw(st.binary(min_size=1, max_size=9)), right)


@given(layers, st.lists(messages, min_size=3, max_size=6), st.data())
def test_frames_that_come_in_another_order_are_noticed(layer, sent, data):
    """Repeated, swapped or left out: the first that is not the next one is refused."""
    left, right = ends(layer)
    bodies = [body_of(message, left) for message in sent]
    order = data.draw(
        st.lists(st.integers(0, len(sent) - 1), min_size=len(sent)).filter(
            lambda order: order != sorted(set(order))
        )
    )
    wrong = next(at for at, index in enumerate(order) if at != index)
    for index in order[:wrong]:
        from_frame(bodies[index], right)
    with pytest.raises(InsecureConnection):
        from_frame(bodies[order[wrong]], right)


@given(st.binary(max_size=200))
def test_whoever_lacks_the_key_seals_nothing(body):
    """With AES no bytes that somebody makes up are opened."""
    _, right = ends("AES")
    with pytest.raises(InsecureConnection):
        from_frame(body, right)


def test_what_one_end_sent_is_not_taken_by_it():
    """With AES each direction has a key of its own, so nothing can be sent back."""
    left, _ = ends("AES")
    with pytest.raises(InsecureConnection):
        from_frame(body_of(Message(Verb.DONE, []), left), left)


@pytest.mark.parametrize("limit", [MAX_STRANGER, MAX_REQUEST, MAX_ANSWER])
def test_a_length_over_the_limit_is_refused_by_itself(limit):
    """Nothing but the length is needed for it."""
    assert body_length(LENGTH.pack(limit), limit) == limit
    with pytest.raises(MalformedMessage, match=f"{limit + 1} bytes is over the limit of {limit}"):
        body_length(LENGTH.pack(limit + 1), limit)
    with pytest.raises(MalformedMessage):
        body_length(b"\xff" * 4, limit)


def test_a_request_may_hold_what_a_journal_takes_at_once():
    """The largest group of a journal, and a header beside it."""
    assert MAX_REQUEST >= MAX_GROUP + MAX_HEADER + 9


def refused(content):
    """Return what is said of the content of a sound frame."""
    left, right = ends("none")
    with pytest.raises(MalformedMessage) as caught:
        from_frame(left.seal(content), right)
    assert type(caught.value) is MalformedMessage
    return str(caught.value)


WRONG = {
    "nothing": b"",
    "half a head": b"\x10\0\0",
    "an unknown verb": content_of(99, b"\x90"),
    "no verb": content_of(0, b"\x90"),
    "a header that is a number": content_of(16, b"\x01"),
    "a header that is a dictionary": content_of(16, b"\x80"),
    "a header that is text": content_of(16, b"\xa3abc"),
    "a header that is a tuple": content_of(16, msgpack.packb(msgpack.ExtType(1, b"\x90"))),
    "no header": content_of(16, b""),
    "a header that is longer than the message": content_of(16, b"\x90", length=2),
    "a header that is said to be enormous": content_of(16, b"\x90", length=2**32 - 1),
    "a header over the limit": content_of(16, b"\xc6" + struct.pack(">I", 2**20) + bytes(2**20)),
    "two headers": content_of(16, b"\x90\x90"),
    "half a header": content_of(16, b"\x92\x01"),
    "an array with more items than bytes": content_of(16, b"\xdd\xff\xff\xff\xff"),
    "arrays inside each other": content_of(16, b"\x91" * 10_000 + b"\x90"),
    "dictionaries inside each other": content_of(16, b"\x91" + b"\x81\x01" * 10_000 + b"\x90"),
    "keys that cannot be ones": content_of(16, b"\x91\x81\x90\x90"),
    "text that is no text": content_of(16, b"\x91\xa2\xff\xff"),
    "a byte that begins nothing": content_of(16, b"\xc1"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_message_is_refused(what):
    """With one kind of error, whatever the decoder thinks of it."""
    assert refused(WRONG[what])


def test_what_is_refused_is_not_repeated():
    """It may be a password, and the error is written to a log."""
    said = refused(content_of(2, msgpack.packb(["ada", "secret"]) + b"\x90"))
    assert "secret" not in said
    left, right = ends("none")
    with pytest.raises(MalformedMessage) as caught:
        from_frame(left.seal(content_of(2, b"\xa6secret" * 2)), right)
    assert "secret" not in repr(caught.value)
    assert caught.value.__suppress_context__


@given(st.binary(max_size=80))
def test_whatever_comes_is_a_message_or_malformed(content):
    """No other error comes out, however odd the bytes are."""
    left, right = ends("none")
    try:
        message = from_frame(left.seal(content), right)
    except MalformedMessage:
        return
    assert isinstance(message.header, list)
    assert message.verb in Verb


@given(messages, st.data())
def test_a_changed_message_is_another_message_or_malformed(message, data):
    """Somebody with the key may send anything; it raises nothing else."""
    left, right = ends("none")
    content = bytearray(right.open(body_of(message, left)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    left, right = ends("none")
    try:
        changed = from_frame(left.seal(bytes(content)), right)
    except MalformedMessage:
        return
    assert isinstance(changed.header, list)


@pytest.mark.parametrize("header", [[object()], [{1, 2}], [b"x" * (MAX_HEADER + 1)]])
@pytest.mark.parametrize("layer", ["none", "AES"])
def test_what_cannot_be_sent_is_refused_and_costs_nothing(layer, header):
    """The next message arrives."""
    left, right = ends(layer)
    with pytest.raises(EncodingError):
        to_frame(Message(Verb.CALL, header), left)
    message = Message(Verb.CALL, ["sync"])
    assert is_same(from_frame(body_of(message, left), right), message)


@given(st.lists(st.binary(max_size=100)))
def test_records_are_attached_whole(payloads):
    """They come back as they were; cut or damaged ones do not come back at all."""
    attachment = to_records(payloads)
    assert from_records(attachment) == payloads
    for broken in (attachment[:-1], attachment + b"\0", attachment[1:], b"TJ" + attachment):
        if broken not in (attachment, b""):
            with pytest.raises(MalformedMessage):
                from_records(broken)


@given(st.lists(st.binary(max_size=100) | st.sampled_from([MAGIC, b"x" + MAGIC])))
def test_records_go_into_a_journal_as_they_came(payloads):
    """Also those that are masked; what was appended as one is taken apart."""
    records = [*map(frame, payloads)]
    assert checked_records(b"".join(records)) == records
    assert checked_records(frame_group(payloads)) == records
    for broken in (frame_group([*payloads, b"a", b"b"])[:-21], b"".join(records) + b"\xc1"):
        with pytest.raises(MalformedMessage):
            checked_records(broken)


def stranger(payload, start=SEED):
    """Return a record as a writer makes it that is not ours, and may be up to something."""
    fields = START + len(payload).to_bytes(4, "little") + bytes(4)
    record = fields + crc32(fields).to_bytes(4, "little") + payload
    return record + crc32(record, start).to_bytes(4, "little")


def test_what_would_mislead_a_reader_is_framed_anew():
    """A record within a record would be found by whoever reads on behind damage."""
    numbers = (number.to_bytes(3, "big") for number in range(2**16))
    misleading = next(number for number in numbers if stranger(number).endswith(START[:1]))
    payloads = [b"a" + frame(b"within") + b"b", misleading]
    came, ours = [*map(stranger, payloads)], [*map(frame, payloads)]
    assert not set(came) & set(ours)
    for record, our in zip(came, ours, strict=True):
        assert checked_records(record) == [our]
    assert checked_records(b"".join(came)) == ours


def test_errors_that_cancel_out_reach_no_journal():
    """A checksum over both records holds, and those of each do not."""
    first = stranger(b"first", start=1)
    both = first + stranger(b"second", start=crc32(first, SEED))
    assert from_records(both) == [b"first", b"second"]
    assert checked_records(both) == [frame(b"first"), frame(b"second")]


@given(st.lists(st.binary(max_size=100), min_size=1), st.data())
def test_damaged_records_are_refused(payloads, data):
    """Wherever the damage is."""
    attachment = bytearray(to_records(payloads))
    at = data.draw(st.integers(0, len(attachment) - 1))
    attachment[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InsecureConnection):
        from_records(bytes(attachment))
