"""The page docs/format.md is exact: a reader written from it alone reads what Track writes."""

import re
import zlib
from hashlib import blake2b
from pathlib import Path

import pytest

from tests.databases import sql_journal
from tests.reference import SEED, payload_at, read_event, read_journal, sound_header
from track.events.codec import MAX_PAYLOAD, MAX_SEQUENCE, Encoder
from track.events.record import MAGIC, MAX_GROUP, MAX_LENGTH, frame, frame_group
from track.events.types import CATALOGUE, MetricsLogged
from track.journals.file import FileJournal

pytestmark = pytest.mark.filterwarnings("ignore::track.errors.DamageWarning")

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "format.md").read_text(encoding="utf-8")

EXAMPLE_LINE = re.compile(r"^ ?(\d+)  ((?:[0-9a-f]{2} )*[0-9a-f]{2}) +(\S.*)$", re.MULTILINE)
EVENT_ROW = re.compile(r"^\| (\d+) \| `(\w+)` \| (\d+) \| (\w+) \|([ `\w]*)\|$", re.MULTILINE)
FIELD_ROW = re.compile(r"^\| (?:`([A-Z]\w+)`)? ?\| `(\w+)` \| [^|]+ \| [^|]*\|$", re.MULTILINE)


# The worked example


@pytest.fixture
def example():
    section = PAGE.partition("## A record in full")[2].partition("\n## ")[0]
    return [
        (int(offset), bytes.fromhex(octets), meaning)
        for offset, octets, meaning in EXAMPLE_LINE.findall(section)
    ]


@pytest.fixture
def example_record(example):
    return b"".join(octets for _, octets, _ in example)


STREAM = int.from_bytes(blake2b(b"trial:demo_0", digest_size=8).digest(), "big") >> 1
PRODUCER, AT = 0x0123456789ABCDEF, 1_700_000_000_123_456_789
BODY = [3, {"loss": 0.25, "acc": 0.5}, None]


def test_the_offsets_of_the_example_add_up(example, example_record):
    expected = 0
    for offset, octets, _ in example:
        assert offset == expected
        expected += len(octets)
    assert expected == len(example_record) == 86


def test_a_reader_made_from_the_page_reads_the_example(example_record):
    found = read_journal(example_record)
    assert found == ({86: example_record[16:-4]}, [], 86, None)
    assert read_event(found.events[86]) == {
        "tag": 12,
        "version": 1,
        "stream": str(STREAM),
        "producer": "0123456789abcdef",
        "sequence": 7,
        "at": str(AT),
        "body": [
            {"integer": "3"},
            {
                "map": [
                    ["loss", {"float": "3fd0000000000000"}],
                    ["acc", {"float": "3fe0000000000000"}],
                ]
            },
            None,
        ],
    }


def test_the_numbers_named_in_the_example_are_those_in_its_bytes(example):
    named = {meaning.partition(" ")[0]: meaning for _, _, meaning in example}
    assert named["stream"] == f"stream {STREAM}, of trial:demo_0"
    assert named["producer"] == f"producer {PRODUCER}"
    assert named["at"] == f"at {AT}"


def test_a_closing_crc_is_that_of_the_payload_alone(example_record):
    """Whatever the header says, what it leads to is the number on the page."""
    (number,) = re.findall(
        r"`crc32\(header, 0x2144DF1C\)` is the same for every header,\n`(\w+)`", PAGE
    )
    first, second = example_record, frame_group([example_record[16:-4], b"another"])
    assert first[:16] != second[:16]
    assert zlib.crc32(first[:16], SEED) == zlib.crc32(second[:16], SEED) == int(number, 16)
    assert first[16:] == second[16 : len(first)]


def test_track_writes_the_bytes_of_the_example(example_record):
    payload = Encoder().encode(MetricsLogged, BODY, STREAM, PRODUCER, 7, AT)
    assert frame(payload) == example_record


def test_track_reads_the_example(example_record, tmp_path):
    path = tmp_path / "journal"
    path.write_bytes(example_record)
    journal = FileJournal(path)
    [recorded] = journal.read()
    journal.close()
    assert recorded == (86, AT, PRODUCER, 7, STREAM, MetricsLogged(*BODY))


def test_the_masked_record_of_the_page_is_what_track_writes():
    section = PAGE.partition("### Mask")[2].partition("###")[0]
    record = bytes.fromhex(section.partition("```text\n")[2].partition("\n```")[0])
    assert record == frame(b"\x97\xc1TJ")
    assert payload_at(record, sound_header(record, 0)) == b"\x97\xc1TJ"


# The checksums


def test_the_check_value_and_the_property_of_the_closing_checksum(example_record):
    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert zlib.crc32(example_record, SEED) == SEED
    assert zlib.crc32(example_record * 3 + frame(b"other"), SEED) == SEED


# The tables


def test_the_catalogue_of_the_page_is_the_catalogue():
    rows = {
        name: (int(tag), int(version), tuple(re.findall(r"\w+", fields)))
        for tag, name, version, _, fields in EVENT_ROW.findall(PAGE)
    }
    assert rows == {event.__name__: (*kind, event._fields) for event, kind in CATALOGUE.items()}


def test_the_streams_of_the_page_are_those_the_classes_name():
    for _, name, _, stream, _ in EVENT_ROW.findall(PAGE):
        [event] = [event for event in CATALOGUE if event.__name__ == name]
        assert event.__doc__.startswith(f"Stream: the {stream}")


def test_every_field_of_every_event_is_explained():
    section = PAGE.partition('The fields ("or nil"')[2].partition("###")[0]
    explained, event = {}, None
    for name, field in FIELD_ROW.findall(section):
        event = name or event
        explained.setdefault(event, []).append(field)
    assert explained == {
        event.__name__: list(event._fields) for event in CATALOGUE if event._fields
    }


def test_the_limits_of_the_page_are_those_of_the_code():
    assert MAX_LENGTH == MAX_PAYLOAD
    for what, limit in [
        ("payload", f"{MAX_PAYLOAD} bytes"),
        ("records of one group, together", f"{MAX_GROUP} bytes"),
        ("sequence of a producer", f"{MAX_SEQUENCE};"),
    ]:
        assert f"| {what} | {limit}" in PAGE


# Recovery


def encode(sequence, value):
    return Encoder().encode(MetricsLogged, [sequence, {"x": value}, None], STREAM, 1, sequence, AT)


JOURNAL = (
    frame(encode(1, 0.5))
    + frame(encode(2, "\u0141TJ".encode() + MAGIC))
    + frame_group([encode(3, 1.5), encode(4, MAGIC), encode(5, None)])
    + frame(encode(6, 2.5))
    + frame(encode(7, 3.5))
)
TORN_GROUP = (
    frame(encode(1, 0.5)) + frame_group([encode(2, 1.5), encode(3, "long" * 9)])[:-20]
) + JOURNAL


def read_with_track(path, data):
    path.write_bytes(data)
    journal = FileJournal(path, "process")
    journal.tells_damage = False
    events = {
        position: payload
        for batch in journal.read_batches()
        for position, payload in zip(*batch, strict=True)
    }
    damage = [(start, end) for start, end, _ in journal.damage]
    journal.close()
    return events, damage


@pytest.mark.parametrize("data", [JOURNAL, TORN_GROUP, b""], ids=["whole", "torn group", "empty"])
def test_a_reader_made_from_the_page_reads_a_journal_as_track_does(data, tmp_path):
    found = read_journal(data)
    assert found[:2] == read_with_track(tmp_path / "journal", data)
    assert len(found.events) == {JOURNAL: 7, TORN_GROUP: 8, b"": 0}[data]


def test_it_reads_a_journal_cut_at_any_byte_as_track_does(tmp_path):
    for size in range(len(JOURNAL)):
        data = JOURNAL[:size]
        assert read_journal(data)[:2] == read_with_track(tmp_path / "journal", data), size


def test_it_reads_a_journal_with_any_byte_damaged_as_track_does(tmp_path):
    for offset in range(len(JOURNAL)):
        data = bytearray(JOURNAL)
        data[offset] ^= 0x81
        found = read_journal(bytes(data))
        assert len(found.events) == 6, offset
        assert found[:2] == read_with_track(tmp_path / "journal", bytes(data)), offset


TABLE_LINE = re.compile(r"^(\w+) +\(([^)]+)\)", re.MULTILINE)
TYPES = {
    "character varying": "VARCHAR",
    "bigint": "INT8",
    "integer": "INT4",
    "smallint": "INT2",
    "bytea": "BYTEA",
}


def test_the_tables_are_those_of_the_page():
    """Names, columns, their order and their types, as a database has them."""
    listing = re.search(r"```sql\n(.*?)```", PAGE, re.DOTALL)[1]
    on_the_page = {
        name: [tuple(column.split()) for column in columns.split(",")]
        for name, columns in TABLE_LINE.findall(listing)
    }
    journal = sql_journal("postgres", "page")
    assert journal.head() == 0
    with journal._sessions.one() as session:
        rows = session.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
        )
    journal.close()
    found = {}
    for table, column, kind in rows:
        found.setdefault(table, []).append((column, TYPES[kind]))
    assert found == on_the_page
