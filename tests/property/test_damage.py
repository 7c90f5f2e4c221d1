"""Check that a reader yields exactly the intact records of a journal with any damage.

The expected answers come from where the records begin and end, known from writing them, and from
nothing that the reader does.
"""

from itertools import accumulate, pairwise
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.strategies import appends
from track.events.record import MAGIC, OVERHEAD, frame, frame_group
from track.events.scan import scan
from track.journals.file import FileJournal

pytestmark = pytest.mark.filterwarnings("ignore::track.errors.DamageWarning")


class Written(NamedTuple):
    """Describes a record of an undamaged journal."""

    start: int
    end: int
    append: int
    payload: bytes


def write(batches):
    """Return the bytes of a journal, its records, and where each append ends."""
    pieces = [frame_group(batch) for batch in batches]
    records, offset = [], 0
    for number, batch in enumerate(batches):
        for payload in batch:
            records.append(Written(offset, offset + len(payload) + OVERHEAD, number, payload))
            offset = records[-1].end
    return b"".join(pieces), records, list(accumulate(map(len, pieces)))


def settled(intact, records):
    """Return the intact records that count: a group that ends in the unsettled tail waits."""
    ends = {record.append: record.end for record in records}
    tail = intact[-1].end if intact else 0
    return [(r.end, r.payload) for r in intact if ends[r.append] <= tail]


class Reading(NamedTuple):
    """Holds the result of reading some bytes."""

    events: list[tuple[int, bytes]]
    damage: list[tuple[int, int]]


def joined(damage):
    """Return ranges after joining adjacent ones."""
    joined_ranges = []
    for start, end, _ in damage:
        if joined_ranges and joined_ranges[-1][1] == start:
            start, _ = joined_ranges.pop()
        joined_ranges.append((start, end))
    return joined_ranges


def read_scan(data):
    result = scan(data)
    return Reading(list(zip(result.ends, result.payloads, strict=True)), joined(result.damage))


def read_file(path, data, window=2**20):
    path.write_bytes(data)
    journal = FileJournal(path, "process")
    journal.window = window
    try:
        events = [event for batch in journal.read_batches() for event in zip(*batch, strict=True)]
        return Reading(events, joined(journal.damage))
    finally:
        journal.close()


def covered(ranges):
    return {offset for start, end in ranges for offset in range(start, end)}


def lost_bytes(reading, size):
    """Return the bytes reported as damage or left as the unsettled tail, checked for overlaps."""
    records = [(end - len(payload) - OVERHEAD, end) for end, payload in reading.events]
    ranges = sorted([*records, *reading.damage])
    assert all(before[1] <= after[0] for before, after in pairwise(ranges))
    tail = (ranges[-1][1] if ranges else 0, size)
    lost = covered([*reading.damage, tail])
    assert lost | covered(records) == set(range(size)), "every byte is accounted for"
    return lost


SMALL = [
    [b"one"],
    [b"two" + MAGIC],
    [b"three", b"four" + frame(b"inner"), b""],
    [b"five"],
    [frame(b"whole")[:20], b"six"],
    [b"seven"],
]
ENDING_IN_A_GROUP = [[b"one"], [b"two", MAGIC, b"three"]]


@pytest.fixture(params=[SMALL, ENDING_IN_A_GROUP], ids=["single last", "group last"])
def small(request):
    return write(request.param)


@pytest.fixture(params=["scan", "file", "file in small windows"])
def read(request, tmp_path):
    """Return a function that reads bytes as a journal."""
    if request.param == "scan":
        return read_scan
    window = 64 if request.param == "file in small windows" else 2**20
    return lambda data: read_file(tmp_path / "journal", data, window)


# One accident, exactly


def test_a_cut_at_any_byte_loses_what_was_not_whole(small, read):
    """The appends before a cut at any place are read, a group as a whole or not at all."""
    data, records, ends = small
    for size in range(len(data) + 1):
        whole = sum(end <= size for end in ends)
        reading = read(data[:size])
        assert reading.events == [(r.end, r.payload) for r in records if r.append < whole], size
        assert reading.damage == [], size


def test_a_flip_of_any_bit_loses_its_record_only(small, read):
    """If any bit is flipped, its record is reported and every other one is read."""
    data, records, _ = small
    for record in records:
        intact = [other for other in records if other is not record]
        expected = settled(intact, records)
        lost = set(range(len(data))) - covered(
            (r.start, r.end) for r in intact if (r.end, r.payload) in expected
        )
        for bit in range(record.start * 8, record.end * 8):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << bit % 8
            reading = read(bytes(damaged))
            assert reading.events == expected, bit
            assert lost_bytes(reading, len(data)) == lost, bit
            if record is not records[-1]:
                assert lost == set(range(record.start, record.end))
                assert reading.damage == [(record.start, record.end)], bit


def test_damage_at_the_end_is_reported_once_something_follows(small, read):
    """The last record may still be being written; once another follows, it is settled."""
    data, records, _ = small
    last = records[-1]
    expected = [(r.end, r.payload) for r in records[:-1]] + [(len(data) + 25, b"later")]
    for offset in range(last.start, last.end):
        damaged = bytearray(data)
        damaged[offset] ^= 0x55
        reading = read(bytes(damaged) + frame(b"later"))
        assert reading.events == expected, offset
        assert reading.damage == [(last.start, last.end)], offset


def test_a_cut_that_is_appended_to_loses_the_fragment_only(small, read):
    """After a cut at any place and more appends, the fragment is reported, and the rest is read."""
    data, records, ends = small
    later = frame_group([b"later " * 9, b"still later"])
    for size in range(len(data)):
        whole = sum(end <= size for end in ends)
        settled = ends[whole - 1] if whole else 0
        reading = read(data[:size] + later)
        assert [payload for _, payload in reading.events] == [
            *(record.payload for record in records if record.append < whole),
            b"later " * 9,
            b"still later",
        ], size
        assert reading.damage == ([(settled, size)] if size > settled else []), size


def test_a_large_torn_record_does_not_swallow_those_behind_it(read):
    """Small records that lie where a torn record would have been are found."""
    small = [b"a", b"b", b"c" * 30]
    for kept in (1, 15, 16, 17, 500):
        torn = frame(b"x" * 5000)[:kept]
        data = frame(b"before") + torn + b"".join(map(frame, small))
        reading = read(data)
        assert [payload for _, payload in reading.events] == [b"before", *small]
        assert reading.damage == [(26, 26 + kept)]


def test_a_torn_group_does_not_swallow_those_behind_it(read):
    """A group that is mostly missing claims a range in which others have appended."""
    group = frame_group([b"first", b"x" * 3000, b"last"])
    data = group[:400] + frame(b"a") + frame_group([b"b", b"c"]) + frame(b"d")
    reading = read(data)
    assert [payload for _, payload in reading.events] == [b"a", b"b", b"c", b"d"]
    assert reading.damage == [(0, 400)]


def test_a_thousand_torn_pieces_in_a_row_are_one_damage(read):
    """A series of headers that announce long records is neither trusted nor slow to read."""
    pieces = b"".join(frame(bytes(size))[:16] for size in range(3000, 4000))
    reading = read(frame(b"before") + pieces + frame(b"after"))
    assert [payload for _, payload in reading.events] == [b"before", b"after"]
    assert covered(reading.damage) == set(range(26, 26 + len(pieces)))


def test_lengths_that_reach_beyond_the_end_are_not_waited_for(read):
    """Torn pieces that claim more bytes than the file has do not hide what follows them."""
    torn = frame(bytes(100_000))[:300] + frame_group([b"a", bytes(50_000)])[:200]
    reading = read(torn + frame(b"after"))
    assert [payload for _, payload in reading.events] == [b"after"]
    assert covered(reading.damage) == set(range(500))


# Any accidents


def numbered(batches):
    """Make each payload unique, so that the origin of a yielded one is known."""
    number = iter(range(10**6))
    return [[next(number).to_bytes(3, "big") + payload for payload in batch] for batch in batches]


journals = appends.map(numbered)
garbage = st.lists(st.binary(max_size=12) | st.just(MAGIC), max_size=3).map(b"".join)


@st.composite
def overwritten(draw):
    """Draw a journal and a damaged copy of equal length."""
    data, records, _ = write(draw(journals.filter(bool)))
    damaged = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data) - 1))
        noise = draw(garbage.filter(bool))[: len(data) - start]
        damaged[start : start + len(noise)] = noise
    return bytes(damaged), data, records


@given(overwritten())
def test_overwriting_loses_what_was_hit_and_nothing_else(case):
    """Every unchanged record is read, even if its neighbours are damaged."""
    damaged, data, records = case
    intact = [r for r in records if damaged[r.start : r.end] == data[r.start : r.end]]
    reading = read_scan(damaged)
    assert reading.events == settled(intact, records)
    lost_bytes(reading, len(data))
    later = read_scan(damaged + frame(b"later"))
    assert later.events[:-1] == [(r.end, r.payload) for r in intact]


@st.composite
def mangled(draw):
    """Draw the payloads of a journal, and its bytes after some accidents."""
    batches = draw(journals)
    data = bytearray(write(batches)[0])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        noise = draw(garbage)
        match draw(st.sampled_from(["insert", "delete", "overwrite"])):
            case "insert":
                data[at:at] = noise
            case "delete":
                del data[at : at + draw(st.integers(1, 60))]
            case "overwrite":
                data[at : at + len(noise)] = noise
    return [payload for batch in batches for payload in batch], bytes(data)


@st.composite
def torn_and_sound(draw):
    """Draw payloads of which some were written completely, and all written bytes."""
    data, sound = [], []
    for batch in draw(journals):
        piece = frame_group(batch)
        if draw(st.booleans()):
            data.append(piece)
            sound += batch
        else:
            data.append(piece[: draw(st.integers(0, len(piece) - 1))])
    return sound, b"".join(data)


def is_in_order(some, every):
    """Return whether ``some`` is a subsequence of ``every``."""
    rest = iter(every)
    return all(item in rest for item in some)


LATER = [[b"later 1"], [b"later 2", b"later 3" * 20], [b"later 4"]]


@given(mangled())
def test_no_accident_makes_a_reader_invent(case):
    """After insertions, deletions and overwriting, all that is read was appended once, in order."""
    payloads, data = case
    reading = read_scan(data)
    assert is_in_order([payload for _, payload in reading.events], payloads)
    lost_bytes(reading, len(data))


@given(mangled())
def test_after_any_accident_the_journal_goes_on(case):
    """Everything appended after damage is read, after everything that was read before."""
    _, data = case
    before = read_scan(data).events
    after = read_scan(data + write(LATER)[0]).events
    assert after[: len(before)] == before
    assert [payload for _, payload in after[-4:]] == [p for batch in LATER for p in batch]


@given(torn_and_sound())
@example(([b"sound"], frame_group([b"torn", b"x" * 40])[:30] + frame(b"sound")))
def test_torn_pieces_never_cost_a_sound_record(case):
    """Every complete append is read, wherever processes died while writing."""
    sound, data = case
    found = [payload for _, payload in read_scan(data + frame(b"end")).events]
    assert is_in_order([*sound, b"end"], found)


@given(st.one_of(mangled(), torn_and_sound()), st.sampled_from([64, 65, 100, 257]))
def test_windows_do_not_show(tmp_path_factory, case, window):
    """Reading in pieces gives the same events and damage as reading everything at once."""
    data = case[1] + frame(b"end")
    pieces = read_file(tmp_path_factory.getbasetemp() / "windows.journal", data, window)
    whole = read_scan(data)
    assert pieces.events == whole.events
    assert covered(pieces.damage) == covered(whole.damage)


@given(mangled(), st.data())
def test_a_reader_that_comes_back_sees_what_one_from_the_start_sees(case, data):
    """Reading a growing journal in visits, each from the last position, misses nothing."""
    content = case[1] + write(LATER)[0]
    events, position, sizes = [], 0, sorted(data.draw(st.sets(st.integers(0, len(content)))))
    for size in [*sizes, len(content)]:
        result = scan(content[position:size], position)
        events += zip(result.ends, result.payloads, strict=True)
        position = result.consumed
    assert events == read_scan(content).events
