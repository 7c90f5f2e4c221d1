"""Damaged LMDB environments, and files that are none."""

import os

import lmdb
import pytest

from track.errors import (
    JournalError,
    NewerFormat,
)
from track.events.scan import Damage
from track.journals.lmdb import LMDBJournal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.lmdb"


def payloads_of(journal, after=0):
    return [payload for _, batch in journal.read_batches(after) for payload in batch]


def flip(path, needle):
    """Change a byte of a value, in all the copies of it that are in the file."""
    data = path.read_bytes()
    assert needle in data
    path.write_bytes(data.replace(needle, needle[:-1] + b"?"))


def test_a_damaged_event_is_skipped_and_reported_once(path, told):
    """Every other event is read, at the position it had."""
    journal = LMDBJournal(path, "process")
    for letter in (b"aaaa", b"bbbb", b"cccc"):
        journal.append([letter])
    journal.close()
    flip(path, b"bbbb")
    journal = LMDBJournal(path, "process")
    for _ in range(2):
        assert list(journal.read_batches()) == [([1, 3], [b"aaaa", b"cccc"])]
    assert journal.damage == [Damage(2, 2, "corrupt")]
    assert "skipped positions 2 to 2" in told[0]
    assert len(told) == 1
    journal.append([b"dddd"])
    assert journal.head() == 4
    journal.close()


def test_a_file_that_was_cut_short_is_refused(path):
    """Reading a page that is not there would kill the process, so it is an error before that."""
    journal = LMDBJournal(path, "process")
    journal.append([bytes(50_000)])
    journal.close()
    os.truncate(path, 20_000)
    with pytest.raises(JournalError, match=r"bytes are missing at its end.*backup"):
        LMDBJournal(path, "process")


@pytest.mark.parametrize("content", [b"[]\n" * 5000, b"\0" * 20_000])
def test_a_file_that_is_no_environment_is_refused(path, content):
    """It is left as it is, and nothing is left beside it."""
    path.write_bytes(content)
    with pytest.raises(JournalError, match="as an LMDB journal"):
        LMDBJournal(path, "process")
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_environment_of_another_program_is_refused(path):
    """What is not ours is not written to."""
    environment = lmdb.open(str(path), subdir=False)
    with environment.begin(write=True) as transaction:
        transaction.put(b"their key", b"their value")
    environment.close()
    with pytest.raises(JournalError, match="not a Track journal"):
        LMDBJournal(path, "process")
    environment = lmdb.open(str(path), subdir=False)
    assert environment.stat()["entries"] == 1
    environment.close()


def test_a_later_format_is_refused(path):
    """A journal of a version to come says that Track must be upgraded."""
    LMDBJournal(path, "process").close()
    environment = lmdb.open(str(path), subdir=False)
    with environment.begin(write=True) as transaction:
        transaction.put(b"format", b"2")
    environment.close()
    with pytest.raises(NewerFormat, match=r"format version 2.*upgrade"):
        LMDBJournal(path, "process")
