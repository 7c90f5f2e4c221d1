"""Payloads <-> records: framing by hand, by property, and in groups."""

import struct
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.strategies import appends, payloads, written
from track.errors import EncodingError, NewerFormat
from track.events.record import (
    MAGIC,
    MAX_GROUP,
    MAX_LENGTH,
    OVERHEAD,
    SEED,
    VERSION,
    frame,
    frame_group,
)
from track.events.scan import Damage, salvage, scan

# By hand, from the page


def by_hand(stored, mask=0, rest=0, version=1):
    """Build the record of bytes that are masked already."""
    length = struct.pack("<I", len(stored))[:3]
    fields = b"\xc1TJ" + bytes((version,)) + length + bytes((mask,)) + struct.pack("<I", rest)
    header = fields + struct.pack("<I", zlib.crc32(fields))
    return header + stored + struct.pack("<I", zlib.crc32(header + stored, 0x2144DF1C))


@pytest.mark.parametrize("payload", [b"", b"\x00", b"hello", bytes(range(256)), b"x" * 70_000])
def test_a_record_is_what_the_page_says(payload):
    """A record worked out with struct and zlib alone is the one that Track writes."""
    assert frame(payload) == by_hand(payload)
    assert scan(by_hand(payload)).payloads == [payload]


def test_a_payload_with_the_magic_is_masked():
    """The first mask that leaves no magic is taken: 1, unless the masked bytes have it."""
    assert frame(b"ab" + MAGIC) == by_hand(bytes(byte ^ 1 for byte in b"ab" + MAGIC), mask=1)
    both = MAGIC + bytes(byte ^ 1 for byte in MAGIC)
    assert frame(both) == by_hand(bytes(byte ^ 2 for byte in both), mask=2)


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 143, 144, 145, 300, 1500])
def test_runs_of_records_are_read_whole_wherever_a_header_differs(count):
    """Records of one length are read many at a time, up to one that is masked, and behind it."""
    plain = [b"%06d" % number for number in range(count)]
    for masked in {0, 1, count // 2, count - 1}:
        written = [MAGIC + b"abc" if n == masked else one for n, one in enumerate(plain)]
        records = [frame(payload) for payload in written]
        found = scan(b"".join(records))
        assert found.payloads == written
        assert found.ends == [26 * number for number in range(1, count + 1)]


def test_a_group_is_records_that_count_down():
    """Each member says how many bytes of its group follow it."""
    expected = by_hand(b"a", rest=OVERHEAD * 2 + 5) + by_hand(b"bb", rest=23) + by_hand(b"ccc")
    assert frame_group([b"a", b"bb", b"ccc"]) == expected
    assert frame_group([b"a"]) == frame(b"a")
    assert frame_group([]) == b""


def test_the_numbers_of_the_format_are_pinned():
    """Journals on disk rely on these."""
    assert (MAGIC, VERSION, SEED, OVERHEAD) == (b"\xc1TJ", 1, 0x2144DF1C, 20)
    assert (MAX_LENGTH, MAX_GROUP) == (2**24 - 1, 2**26)


# Identity


@given(st.lists(payloads, max_size=12))
@example([frame(b"inner"), MAGIC * 5, b""])
@example([b"same"] * 100)
def test_scanning_undoes_framing(several):
    """Any payloads at all, appended one by one, come back in order, each at its position."""
    records = [frame(payload) for payload in several]
    ends = [sum(map(len, records[: index + 1])) for index in range(len(records))]
    assert scan(b"".join(records)) == (ends, several, [], sum(map(len, records)), True)


@given(appends, st.integers(0, 2**40))
def test_groups_come_back_like_singles(batches, base):
    """How payloads were batched does not show in what is read, and positions begin at the base."""
    data = b"".join(written(batches))
    result = scan(data, base)
    assert result.payloads == [payload for batch in batches for payload in batch]
    assert result.damage == []
    assert result.consumed == base + len(data)
    starts = [base, *result.ends]
    lengths = [len(payload) + OVERHEAD for payload in result.payloads]
    assert result.ends == [start + size for start, size in zip(starts, lengths, strict=False)]


@given(payloads)
def test_the_magic_never_occurs_in_a_stored_payload(payload):
    """Whoever looks for the next record is not misled by what a user logged."""
    stored = frame(payload)[16:-4]
    assert MAGIC not in stored
    assert len(stored) == len(payload)


@given(st.lists(payloads, max_size=5))
def test_one_checksum_proves_a_run_of_records(several):
    """The closing checksum maps its seed to itself over any number of records."""
    assert zlib.crc32(b"".join(map(frame, several)), SEED) == SEED


@given(appends.filter(bool), st.data())
def test_reading_may_begin_behind_any_append(batches, data):
    """A position is enough to go on from: the rest is read as if it were all."""
    pieces = written(batches)
    index = data.draw(st.integers(0, len(pieces)))
    base = len(b"".join(pieces[:index]))
    result = scan(b"".join(pieces[index:]), base)
    assert result.payloads == [payload for batch in batches[index:] for payload in batch]
    assert result.consumed == len(b"".join(pieces))


# Groups, all or none


@given(st.lists(payloads, min_size=2, max_size=4), st.data())
def test_a_group_that_is_cut_waits_for_its_rest(group, data):
    """Nothing of a group is read before all of it is there, and nothing of it is skipped."""
    lone, whole = frame(b"before"), frame_group(group)
    cut = data.draw(st.integers(0, len(whole) - 1))
    result = scan(lone + whole[:cut])
    assert (result.payloads, result.damage, result.consumed) == ([b"before"], [], len(lone))
    assert scan(whole, len(lone)).payloads == group


@given(st.lists(payloads, min_size=2, max_size=4), st.data())
def test_a_group_that_is_cut_and_followed_is_torn(group, data):
    """When somebody else appends behind the fragment, none of its members counts."""
    lone, whole = frame(b"before"), frame_group(group)
    # A follower that ends where the group would have ended passes for its last member.
    cut = data.draw(st.integers(1, len(whole) - 1).filter(lambda cut: cut + 25 != len(whole)))
    result = scan(lone + whole[:cut] + frame(b"after"))
    assert result.payloads == [b"before", b"after"]
    assert [piece[:2] for piece in result.damage] == [(len(lone), len(lone) + cut)]


def test_a_group_behind_a_torn_group_is_whole():
    """A writer that died in the middle of a group does not harm the group of the next."""
    torn = frame_group([b"a", b"b" * 50, b"c" * 50])[:60]
    result = scan(torn + frame_group([b"x", b"y"]) + frame(b"z"))
    assert result.payloads == [b"x", b"y", b"z"]
    assert result.damage == [Damage(0, 60, "torn")]


def test_a_group_of_many_members_is_read_in_order():
    """A batch of thousands with all their headers different is read whole."""
    several = [str(number).encode() for number in range(5000)]
    assert scan(frame_group(several)).payloads == several


# Limits and refusals


def test_a_group_may_not_be_larger_than_a_reader_can_hold():
    """A batch over the limit is refused with the way out, before anything is built."""
    with pytest.raises(
        EncodingError, match=r"5 events .* limit is 67108864 bytes.*smaller batches"
    ):
        frame_group([bytes(2**24 - 20)] * 5)


def test_a_payload_crafted_against_every_mask_is_refused():
    """Only a payload that holds the magic under all 256 masks cannot be framed."""
    crafted = b"".join(bytes(byte ^ mask for byte in MAGIC) for mask in range(256))
    with pytest.raises(EncodingError, match="crafted"):
        frame(crafted)
    spared = crafted[:-3]
    assert scan(frame(spared)).payloads == [spared]


def test_the_longest_payload_is_read_back():
    """A record of the largest size has a sound header and is found."""
    payload = bytes(MAX_LENGTH)
    assert scan(frame(payload)).payloads == [payload]


def test_a_longer_payload_is_never_framed():
    """A length that does not fit its field must not become a record that nobody can read."""
    with pytest.raises((EncodingError, AssertionError)):
        frame(bytes(MAX_LENGTH + 1))


# Versions


def test_a_record_of_a_later_version_is_not_skipped():
    """A newer format is an error that says to upgrade, since skipping would be silent loss."""
    with pytest.raises(NewerFormat, match=r"version 2.*upgrade"):
        scan(by_hand(b"new", version=2))


@pytest.mark.parametrize("base", [0, 1000])
def test_the_error_about_a_later_version_says_where(base):
    """The offset in the message is that in the journal, wherever reading began."""
    with pytest.raises(NewerFormat, match=f"byte {base} "):
        scan(by_hand(b"new", version=2), base)


def test_what_comes_before_a_later_version_is_read_first():
    """Nothing that can be read is lost because something behind it cannot."""
    result = scan(frame(b"old") + by_hand(b"new", version=2), 1000)
    assert (result.payloads, result.consumed) == ([b"old"], 1023)


def test_a_record_of_version_0_is_damage():
    """Version 0 was never written, so it is no promise of anything."""
    result = scan(by_hand(b"zero", version=0) + frame(b"x"))
    assert (result.payloads, result.damage) == ([b"x"], [Damage(0, 24, "corrupt")])


@given(st.integers(0, 255).filter(lambda version: version > 1), st.integers(0, 11))
def test_a_version_counts_only_when_the_header_holds(version, position):
    """A damaged header that looks like a later version is damage, not a reason to stop."""
    record = bytearray(by_hand(b"new", version=version))
    record[position] ^= 0x10
    result = scan(bytes(record) + frame(b"x"))
    assert result.payloads == [b"x"]


def test_zeros_are_no_records():
    """What some file systems leave after a loss of power is skipped like other damage."""
    result = scan(frame(b"a") + bytes(4096) + frame(b"b") + bytes(100))
    assert result.payloads == [b"a", b"b"]
    assert result.damage == [Damage(21, 21 + 4096, "corrupt")]
    assert result.consumed == 42 + 4096


@pytest.mark.parametrize("payload", [b"an event", MAGIC + b"masked"])
def test_a_damaged_header_hides_nothing_of_what_follows(payload):
    """Of a record that cannot be read any more, the payload is still to be had, unmasked."""
    record = bytearray(frame(payload))
    record[4] ^= 1
    assert scan(bytes(record)).payloads == []
    assert list(salvage(bytes(record))) == [payload]
