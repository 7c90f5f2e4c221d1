"""Files of every format version are read as ever, and the present one is written as ever.

``python tools/make_golden.py`` writes the files of the present versions anew.
"""

import json
import shutil
from pathlib import Path

import pytest

from tests.property.test_folds import dump
from tests.reference import read_event, read_journal
from tests.strategies import same
from tools.make_golden import (
    ODD_VALUES,
    WRITES,
    folded,
    packed,
    payloads,
    readable,
    written,
)
from track.journals import lmdb as journal_lmdb
from track.journals.file import FileJournal
from track.journals.lmdb import LMDBJournal
from track.events.record import VERSION
from track.events.types import CATALOGUE, MetadataLogged, Unknown
from track.projections import rows
from track.relay.rows_codec import unpack_whole

FOLDER = Path(__file__).resolve().parent


@pytest.fixture(params=sorted(FOLDER.glob("*.journal")), ids=lambda path: path.stem)
def golden(request, tmp_path):
    """A journal of some version, opened as a copy, and the file that tells what it says."""
    copy = shutil.copy(request.param, tmp_path)
    journal = FileJournal(copy, "process")
    yield journal, request.param.with_suffix(".events.json")
    journal.close()


def test_every_version_is_read_as_ever(golden):
    """What a stored journal says has not changed since it was written."""
    journal, expected = golden
    assert list(readable(journal)) == json.loads(expected.read_text(encoding="utf-8"))
    assert journal.damage == []
    assert journal.head() == Path(journal.path).stat().st_size


def test_a_reader_made_from_the_page_reads_the_stored_journal():
    """Another reader, which shares nothing with Track, compares what it reads with the JSON."""
    found = read_journal((FOLDER / "v1.journal").read_bytes())
    expected = json.loads((FOLDER / "v1.events.json").read_text(encoding="utf-8"))
    events = [
        {"position": position, **read_event(payload)} for position, payload in found.events.items()
    ]
    assert events == [
        {name: item for name, item in said.items() if name != "event"} for said in expected
    ]
    assert (found.damage, found.newer) == ([], None)


def test_the_present_version_is_written_as_ever():
    """The same events make the same bytes; if not, it is a new format version."""
    assert written() == (FOLDER / f"v{VERSION}.journal").read_bytes()


def test_the_present_version_is_read_to_the_last_bit(tmp_path):
    """The events of the stored journal are those that were written, types and signs included."""
    journal = FileJournal(shutil.copy(FOLDER / f"v{VERSION}.journal", tmp_path), "process")
    found = [(recorded.stream, recorded.event) for recorded in journal.read()]
    journal.close()
    expected = [event for events in WRITES for event in events]
    assert [(stream, type(event)) for stream, event in found] == [
        (stream, type(event)) for stream, event in expected
    ]
    for (_, event), (_, original) in zip(found, expected, strict=True):
        assert same(tuple(event), tuple(original))


def test_the_stored_journal_has_everything_in_it():
    """Every type of event, values of every kind, a group, and a masked record are pinned."""
    events = [event for group in WRITES for _, event in group]
    assert {type(event) for event in events} == {*CATALOGUE, Unknown}
    assert any(isinstance(event, MetadataLogged) and event.values is ODD_VALUES for event in events)
    assert any(len(group) > 1 for group in WRITES)
    data = (FOLDER / f"v{VERSION}.journal").read_bytes()
    masks, offset = set(), 0
    while offset < len(data):
        masks.add(data[offset + 7])
        offset += int.from_bytes(data[offset + 4 : offset + 7], "little") + 20
    assert masks > {0}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.lmdb")), ids=lambda path: path.stem)
def test_every_environment_is_read_as_ever(path, tmp_path):
    """An LMDB journal of any version says what it said; positions count its events."""
    journal = LMDBJournal(shutil.copy(path, tmp_path), "process")
    found = [{**said, "position": 0} for said in readable(journal)]
    expected = json.loads((FOLDER / "v1.events.json").read_text(encoding="utf-8"))
    assert found == [{**said, "position": 0} for said in expected]
    assert [said["position"] for said in readable(journal)] == [*range(1, len(expected) + 1)]
    assert journal.last_sequence(int(found[-1]["producer"], 16)) == found[-1]["sequence"]
    assert journal.damage == []
    journal.append([b"next"])
    assert journal.head() == len(expected) + 1
    journal.close()


def test_the_present_environment_holds_what_is_written_now(tmp_path):
    """Keys and values are those of the stored environment; if not, it is a new format version."""
    stored = LMDBJournal(shutil.copy(FOLDER / f"v{journal_lmdb.VERSION}.lmdb", tmp_path), "process")
    fresh = LMDBJournal(tmp_path / "fresh", "process")
    for batch in payloads():
        fresh.append(batch)
    kept, made = (
        journal._environment.read(lambda transaction: list(transaction.cursor()))
        for journal in (stored, fresh)
    )
    assert kept == made
    stored.close()
    fresh.close()


def test_the_present_rows_are_written_as_ever():
    """The same objects make the same bytes; if not, it is a new version of rows or folds."""
    assert packed() == (FOLDER / f"v{rows.VERSION}.rows").read_bytes()


def test_the_present_rows_are_read_as_ever():
    """They hold what the events make."""
    kept = (FOLDER / f"v{rows.VERSION}.rows").read_bytes()
    assert dump(unpack_whole(kept).objects) == dump(folded())
