"""Journals of every format version are read as ever, and the present one is written as ever.

``python tools/make_golden.py`` writes the files of the present version anew.
"""

import json
import shutil
from pathlib import Path

import pytest

from tests.strategies import same
from tools.make_golden import ODD_VALUES, WRITES, readable, written
from track.events.journal_file import FileJournal
from track.events.record import VERSION
from track.events.types import CATALOGUE, MetadataLogged, Unknown

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
