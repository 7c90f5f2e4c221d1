"""The file journal among others: sections, files that move, what it says of damage."""

import logging
import os
import signal
import struct
import subprocess
import sys
import threading
import zlib

import pytest

from track.errors import JournalAbandoned, LockTimeout, NewerFormat
from track.events.record import frame, frame_group
from track.events.scan import Damage
from track.journals.file import FileJournal

pytestmark = pytest.mark.filterwarnings("ignore::track.errors.DamageWarning")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.journal"


def payloads_of(journal, after=0):
    return [payload for _, batch in journal.read_batches(after) for payload in batch]


def enter(journal):
    with journal.exclusive():
        pass


# Sections and other processes

HOLD = """
import fcntl, os, sys
file = open(sys.argv[1], "ab")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(path):
    """Another process that is inside the exclusive section."""
    path.touch()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_section_that_stays_taken_times_out(path, holder):
    """Waiting ends with an error that says who, what and what to do; appending never waits."""
    journal = FileJournal(path, "process", lock_timeout_s=0.05)
    with pytest.raises(LockTimeout, match=r"another process .* kill it") as caught:
        enter(journal)
    assert isinstance(caught.value, TimeoutError)
    assert journal.path in str(caught.value)
    journal.append([b"meanwhile"])
    assert payloads_of(journal) == [b"meanwhile"]
    journal.close()


def test_a_killed_holder_leaves_the_section_at_once(path, holder):
    """The kernel frees the lock of a process that dies, whatever it was doing."""
    journal = FileJournal(path, "process", lock_timeout_s=30)
    os.kill(holder.pid, signal.SIGKILL)
    with journal.exclusive():
        journal.append([b"mine"])
    with journal.exclusive():
        journal.append([b"again"])
    assert payloads_of(journal) == [b"mine", b"again"]
    journal.close()


def test_another_thread_inside_times_out_too(path):
    """A section held by a thread of this process is an error that says so."""
    journal = FileJournal(path, "process", lock_timeout_s=0.05)
    raised = []

    def try_to_enter():
        try:
            enter(journal)
        except LockTimeout as error:
            raised.append(str(error))

    with journal.exclusive():
        thread = threading.Thread(target=try_to_enter)
        thread.start()
        thread.join(30)
    assert "another thread of this process" in raised[0]
    enter(journal)
    journal.close()


@pytest.mark.parametrize("fate", ["renamed", "deleted", "replaced"])
def test_a_journal_that_was_set_aside_decides_nothing_more(path, fate):
    """Decisions belong to the file that the path names; the other one is still readable."""
    journal = FileJournal(path, "process")
    journal.append([b"old"])
    if fate == "deleted":
        path.unlink()
    else:
        path.rename(path.with_suffix(".aside"))
    if fate == "replaced":
        FileJournal(path, "process").close()
    assert not journal.is_current()
    for _ in range(2):
        with pytest.raises(JournalAbandoned, match="new client") as caught:
            enter(journal)
        assert journal.path in str(caught.value)
    assert payloads_of(journal) == [b"old"]
    journal.close()
    fresh = FileJournal(path, "process")
    with fresh.exclusive():
        fresh.append([b"new"])
    assert payloads_of(fresh) == [b"new"]
    fresh.close()


# What readers say


def test_a_record_of_a_later_format_asks_for_an_upgrade(path):
    """A newer Track wrote here: what it wrote is not skipped, and what was before it is read."""
    fields = b"\xc1TJ\x02" + struct.pack("<II", 3, 0)
    header = fields + struct.pack("<I", zlib.crc32(fields))
    newer = header + b"new" + struct.pack("<I", zlib.crc32(header + b"new", 0x2144DF1C))
    path.write_bytes(frame(b"old") + newer + frame(b"older"))
    journal = FileJournal(path, "process")
    found = []
    with pytest.raises(NewerFormat, match=r"byte 23 .*version 2.*upgrade"):
        found.extend(payload for _, batch in journal.read_batches() for payload in batch)
    with pytest.raises(NewerFormat, match=r"byte 23 "):
        list(journal.read(after=23))
    journal.close()


def test_damage_is_told_once_with_its_place(path, told, caplog):
    """Each damaged range is one warning with file and offsets, however often it is read."""
    broken = bytearray(frame(b"broken"))
    broken[20] ^= 1
    torn = frame(b"torn" * 9)[:30]
    path.write_bytes(frame(b"a") + broken + frame(b"b") + torn + frame(b"c"))
    journal = FileJournal(path, "process")
    with caplog.at_level(logging.WARNING, "track"):
        for _ in range(3):
            assert payloads_of(journal) == [b"a", b"b", b"c"]
        assert payloads_of(journal, 21) == [b"b", b"c"]
    assert journal.damage == [Damage(21, 47, "corrupt"), Damage(68, 98, "torn")]
    (first,), (second,) = told, caplog.messages
    assert journal.path in first
    assert "bytes 21 to 47" in first
    assert "damaged" in first
    assert "bytes 68 to 98" in second
    assert "never acknowledged" in second
    journal.close()


def test_an_unsettled_tail_is_not_told(path, caplog):
    """A write that is under way is not damage."""
    path.write_bytes(frame(b"a") + frame(b"under way")[:-1])
    journal = FileJournal(path, "process")
    assert payloads_of(journal) == [b"a"]
    assert journal.damage == []
    assert caplog.messages == []
    with path.open("ab") as file:
        file.write(frame(b"under way")[-1:])
    assert payloads_of(journal) == [b"a", b"under way"]
    journal.close()


@pytest.mark.parametrize("window", [64, 100, 4096])
def test_records_and_groups_larger_than_the_window_are_read(path, window):
    """However little is read at a time, everything is found at its position."""
    batches = [[b"a"], [b"x" * 5000], [b"b", b"y" * 300, b"c" * 70], [b"d"] * 30, [b"e"]]
    data = b"".join(frame_group(batch) for batch in batches)
    path.write_bytes(data)
    journal = FileJournal(path, "process")
    journal.window = window
    expected = [payload for batch in batches for payload in batch]
    assert payloads_of(journal) == expected
    assert journal.head() == len(data)
    positions = [recorded.position for recorded in journal.read()]
    for count, position in enumerate(positions, 1):
        assert payloads_of(journal, position) == expected[count:]
    journal.close()


def test_damage_larger_than_the_window_is_passed(path):
    """Garbage of many windows is skipped and reported whole, and what follows it is read."""
    path.write_bytes(frame(b"a") + b"\xc1T" * 500 + frame(b"b"))
    journal = FileJournal(path, "process")
    journal.window = 64
    assert payloads_of(journal) == [b"a", b"b"]
    assert journal.damage[0].start == 21
    assert journal.damage[-1].end == 1021
    assert sum(piece.end - piece.start for piece in journal.damage) == 1000
    journal.close()
