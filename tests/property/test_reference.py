"""Check that Track reads any journal like the reader that docs/format.md describes."""

import tempfile
import warnings
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.reference import read_journal
from tests.strategies import appends, written
from tests.unit.events.test_record import by_hand
from track.errors import DamageWarning, NewerFormat
from track.events.record import MAGIC, frame, frame_group
from track.journals.file import FileJournal

WINDOW = 2**20
"""The number of bytes that Track reads at once by default."""


def read_with_track(data, window=WINDOW, visits=()):
    """Return the events, the damage and the error of a reader that resumes as a file grows."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DamageWarning)
        path = Path(folder, "journal")
        path.touch()
        journal = FileJournal(path, "process")
        journal.window = window
        events, position, error = {}, 0, None
        for size in [*visits, len(data)]:
            path.write_bytes(data[:size])
            try:
                for batch in journal.read_batches(position):
                    events.update(zip(*batch, strict=True))
            except NewerFormat as newer:
                error = newer
            position = max(events, default=0)
        unsettled = journal.unsettled(position)
        journal.close()
    damage = [(start, end) for start, end, _ in journal.damage]
    return events, damage, error, unsettled


def agree(data, window=WINDOW, visits=()):
    """Check that Track reads the same as the reference."""
    expected = read_journal(data)
    events, damage, error, unsettled = read_with_track(data, window, visits)
    assert events == expected.events
    assert list(events) == sorted(events)
    assert damage == expected.damage
    assert all(before[1] < after[0] for before, after in pairwise(damage)), "disjoint, maximal"
    if expected.newer is None:
        assert error is None
        end = max([0, *events, *(end for _, end in damage)])
        assert (end if unsettled is None else unsettled.start) == end == expected.tail
    else:
        assert f"byte {expected.newer} " in str(error)
    return expected


holes = st.one_of(
    st.integers(1, 40),
    st.sampled_from([64, 4096, WINDOW - 30, WINDOW, WINDOW + 1, 2 * WINDOW + 7]),
)


gaps = st.integers(1, 100)


@st.composite
def accidents(draw, hole=gaps):
    """Draw the bytes of a damaged journal."""
    data = bytearray(b"".join(written(draw(appends.filter(bool)))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        kind = draw(
            st.sampled_from(["flip", "cut", "gap", "zero", "hole", "torn", "newer", "noise"])
        )
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[at:]
        elif kind == "gap":
            del data[at : at + draw(st.integers(1, 60))]
        elif kind == "zero":
            size = len(data[at : at + draw(st.integers(1, 60))])
            data[at : at + size] = bytes(size)
        elif kind == "hole":
            data[at:at] = bytes(draw(hole))
        elif kind == "torn":
            group = frame_group(draw(st.lists(st.binary(max_size=30), min_size=1, max_size=3)))
            data += group[: draw(st.integers(1, len(group)))] + frame(b"behind")
        elif kind == "newer":
            data[at:at] = by_hand(b"from a later version", version=2)
        elif kind == "noise":
            data[at:at] = draw(st.sampled_from([MAGIC, MAGIC + b"\1", b"\xc1", b"\xc1T"]))
    return bytes(data)


CUT_GROUP = frame_group([b"first", b"x" * 100])[:25]


@given(accidents(), st.sampled_from([16, 17, 64, 100, 257, WINDOW]))
@example(CUT_GROUP + by_hand(b"newer", version=2) + frame(b"behind"), WINDOW)
@example(CUT_GROUP * 2 + frame(b"end"), 30)
@settings(max_examples=300)
def test_track_reads_what_the_page_says(data, window):
    """The result is the same for any damage and any number of bytes read at a time."""
    agree(data, window)


@given(accidents(), st.data(), st.sampled_from([16, 100, WINDOW]))
def test_who_comes_back_reads_what_the_page_says(data, draw, window):
    """A reader of a growing journal finally sees the same as one that begins at its start."""
    sizes = sorted(draw.draw(st.sets(st.integers(0, len(data)), max_size=5)))
    if read_journal(data).newer is None:
        agree(data, window, sizes)


@given(accidents(holes))
@settings(max_examples=40)
def test_holes_of_any_size_are_read_as_the_page_says(data):
    """A hole of zeros is one range, even if it is longer than what is read at once."""
    agree(data)


@pytest.mark.parametrize("size", [1, WINDOW, WINDOW + 1, 3 * WINDOW])
def test_an_unfinished_tail_of_any_size_is_no_damage(size):
    """Zeros at the end, as after a power failure, are treated as an unfinished write."""
    found = agree(frame(b"event") + bytes(size))
    assert (found.tail, found.damage) == (25, [])


@pytest.mark.parametrize("size", [1, WINDOW - 45, WINDOW, 5 * WINDOW + 3])
def test_one_hole_is_one_range(size):
    """However many reads it takes to pass over it."""
    found = agree(frame(b"event") + bytes(size) + frame(b"behind"))
    assert found.damage == [(25, 25 + size)]
    assert len(found.events) == 2


@pytest.mark.parametrize("size", [0, 100, 2 * WINDOW])
def test_a_group_whose_last_member_is_bad_waits_for_what_follows(size):
    """Its members count only once an intact record follows it."""
    group = bytearray(frame_group([b"one", b"two", b"three"]))
    group[-1] ^= 1
    data = bytes(group) + bytes(size)
    assert agree(data).events == {}
    assert list(agree(data + frame(b"behind")).events.values()) == [b"one", b"two", b"behind"]


@pytest.mark.parametrize("size", [0, 100, 2 * WINDOW])
@pytest.mark.parametrize("before", [b"", frame(b"event"), CUT_GROUP, frame(b"event") + CUT_GROUP])
@pytest.mark.parametrize("behind", [b"", frame(b"behind")])
def test_a_record_of_a_newer_format_is_never_hidden(before, size, behind):
    """A cut group or damage before it, and anything after it, does not prevent the error."""
    found = agree(before + bytes(size) + by_hand(b"", version=2) + behind)
    assert found.newer == len(before) + size
    assert (b"event" in found.events.values()) == before.startswith(frame(b"event"))


@pytest.mark.parametrize("behind", [b"", frame(b"behind")])
def test_a_header_that_does_not_hold_is_never_believed(behind):
    """It is damage even if the closing CRC holds."""
    record = bytes.fromhex("c1544a0100000000000000009d7f50e6a168967a")
    assert agree(record + behind).events == ({26 + 20: b"behind"} if behind else {})
