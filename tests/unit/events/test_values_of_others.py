"""Values that other programs wrote."""

import msgpack
import pytest

from tests.encoded import encode, round_trip
from track.events.codec import decode, stream_id
from track.events.types import Unknown
from track.events.values import EXT_TUPLE, unpack
from track.persistence import get_protocol
from track.structure import Project, Trial


@pytest.mark.parametrize(
    ("code", "data"),
    [
        *((1, msgpack.packb(other)) for other in ({1: 2}, "ab", b"ab", 7, None)),
        *((1, b""), (1, b"\x91"), (1, b"\x90\x90"), (1, b"\x81\x90\x01")),
        (2, b""),
        *((3, b"\xff"), (3, b"\xed\xa0")),
        *(
            (4, b""),
            (4, b"20260131"),
            (4, b"2026-02-30"),
            (4, b"2026-W05-6"),
            (4, b"2026-01-31T12"),
        ),
        *((4, b"2026-01-31T12:00:00Z"), (4, b"2026-01-31 12:00:00"), (4, b"2026-01-31T12:00:00.5")),
        *((5, bytes(15)), (5, bytes(17))),
    ],
)
def test_what_no_writer_puts_into_an_extension_stays_one(code, data):
    """Its code and its data are kept, the same under every version of Python."""
    value = msgpack.ExtType(code, data)
    assert unpack(msgpack.packb([value])) == [value]


def test_a_pair_of_surrogates_is_not_joined():
    """Each is a code point of its own, as it was logged."""
    assert round_trip("\ud83d\ude00") == "\ud83d\ude00"
    assert unpack(msgpack.packb(msgpack.ExtType(3, "\U0001f600".encode()))) == "\U0001f600"


def test_of_equal_keys_the_last_value_counts():
    """Equal are also numbers of different types, which are one key of a dictionary."""
    assert unpack(bytes.fromhex("83 a161 01 a162 02 a161 03")) == {"a": 3, "b": 2}
    assert unpack(bytes.fromhex("83 01 01 cb3ff0000000000000 02 c3 03")) == {1: 3}


def as_metadata(value):
    """Return the payload of an event with a value in msgpack, whoever might have written it."""
    return encode(0)[:35] + b"\x92\x81\xa3key" + value + b"\xc0"


@pytest.mark.parametrize(
    "value",
    [
        *(b"\x81\x90\x01", b"\x81\x80\x01", b"\x81\xc7\x02\x01\x91\x90\x01"),
        *(b"\xa1\xff", b"\xc1", b"\x92\x01", b"\x01\x01", b"\xc7\x01\xff\x00"),
        *(b"\x91" * depth + b"\xc0" for depth in (101, 500, 1000, 10**5)),
        msgpack.packb(msgpack.ExtType(EXT_TUPLE, b"\x91" * 101 + b"\xc0")),
    ],
    ids=repr,
)
def test_an_event_of_which_a_value_cannot_be_held_is_unknown(value):
    """Keys that cannot be hashed, no UTF-8, no msgpack, and what nests too deeply to be shown."""
    payload = as_metadata(value)
    assert decode(9, payload) == (9, 0, 0, 0, 0, Unknown(0, 0, payload))


def test_a_value_of_another_program_that_nests_too_deeply_hides_no_other(tmp_path):
    """Whatever is asked of the store is answered, without that event."""
    path = tmp_path / "store"
    store = get_protocol(f"file:{path}")
    store.new_project(Project("p"))
    store.new_trial(Trial("a", project_id="p"))
    deep = b"\x91" * 1000 + b"\xc0"
    stream = stream_id("trial", "a_0").to_bytes(8, "big")
    store.journal.append([as_metadata(deep)[:4] + stream + as_metadata(deep)[12:]])
    store.log_trial_metadata(Trial("a"), other=1)
    store.close()
    again = get_protocol(f"file:{path}")
    (trial,) = again.fetch_trials()
    again.close()
    assert trial.metadata["other"] == 1
    assert "key" not in trial.metadata
