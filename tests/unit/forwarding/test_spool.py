"""The spool: files of one process, sent in order, taken over when it is gone."""

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.programs import run_python
from track.errors import JournalClosed, JournalWriteError
from track.events.record import payload_of
from track.forwarding import spool as spools
from track.forwarding.spool import Spool

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def spool(folder):
    opened = Spool(str(folder))
    yield opened
    opened.close()


@pytest.fixture
def small_files(folder):
    """A spool whose files are full after a few payloads."""
    opened = Spool(str(folder), file_bytes=200)
    yield opened
    opened.close()


def oldest(spool, *size):
    """Return the payloads of the oldest batch."""
    return [*map(payload_of, spool.oldest(*size))]


def drained(spool, size=2**20):
    """Send everything, and return it."""
    sent = []
    while batch := oldest(spool, size):
        sent += batch
        spool.forget()
    return sent


def names(folder):
    return sorted(path.name.partition("-")[2] for path in folder.iterdir())


def kinds(folder):
    return sorted(path.suffix for path in folder.iterdir())


def left_by_another_process(folder, *payloads):
    """Have a process append payloads, and end without closing."""
    program = f"""
import os
from track.forwarding.spool import Spool
spool = Spool({str(folder)!r})
for payload in {payloads!r}:
    spool.append([payload])
os._exit(0)
"""
    run_python(program)


def test_nothing_is_made_before_something_is_logged(folder, spool):
    """A client that only reads leaves no traces."""
    assert oldest(spool) == []
    spool.sync()
    spool.sync_if_interval()
    assert spool.is_empty
    assert not folder.exists()


def test_what_was_appended_is_sent_in_order(spool):
    """Batch by batch; what was not forgotten comes again."""
    for number in range(10):
        spool.append([b"%d" % number, b"more"])
    first = oldest(spool, 1)
    assert oldest(spool, 1) == first
    assert drained(spool) == [part for number in range(10) for part in (b"%d" % number, b"more")]
    assert spool.is_empty
    spool.append([b"later"])
    assert not spool.is_empty
    assert drained(spool) == [b"later"]


def test_what_was_appended_as_one_is_sent_as_one(spool):
    """However small the batches are."""
    spool.append([b"a" * 300, b"b" * 300, b"c" * 300])
    assert [len(payload) for payload in oldest(spool, 64)] == [300, 300, 300]


def test_files_that_are_full_and_sent_are_deleted(folder, small_files):
    """A spool keeps the files with unacknowledged events, and at most one other file."""
    spool = small_files
    for number in range(100):
        spool.append([b"%03d" % number * 10])
        oldest(spool)  # which begins a new file now and then
    before = len(list(folder.glob("*.journal")))
    assert before > 10
    for _ in range(before - 2):
        assert oldest(spool, 64)
        while len(list(folder.glob("*.journal"))) == before:
            spool.forget()
            oldest(spool, 64)
        before -= 1
    assert len(drained(spool)) > 0
    assert len(list(folder.glob("*.journal"))) <= 1


def test_a_reader_that_stays_behind_does_not_keep_what_it_sent(folder, small_files):
    """Continuous logging never lets the spool become empty, but it stays small."""
    spool = small_files
    for number in range(300):
        spool.append([b"%03d" % number * 10])
        spool.append([b"%03d" % number * 10])
        for _ in range(2):
            if number > 10 and oldest(spool, 1):
                spool.forget()
        assert len(list(folder.glob("*.journal"))) < 12


def test_closing_removes_what_is_sent(folder, spool):
    """Nothing is left when nothing is owed."""
    spool.append([b"a"])
    drained(spool)
    spool.close()
    assert list(folder.iterdir()) == []


def test_closing_leaves_what_is_not_sent(folder, spool):
    """To whoever comes next, with what was appended last."""
    spool.append([b"a"])
    assert drained(spool) == [b"a"]
    spool.append([b"b"])
    spool.close()
    spool.close()
    assert kinds(folder) == [".journal", ".lock"]
    (left,) = Spool.left_behind(str(folder))
    assert drained(left) == [b"a", b"b"]  # whether the first arrived is not written down
    left.close()
    assert list(folder.iterdir()) == []


def test_nothing_is_appended_after_the_end(spool):
    """Closed is closed."""
    spool.append([b"a"])
    spool.close()
    with pytest.raises(JournalClosed, match="open a new one"):
        spool.append([b"b"])


def test_a_spool_whose_process_lives_is_nobodys_to_take(folder, spool):
    """Neither here nor elsewhere."""
    spool.append([b"a"])
    assert list(Spool.left_behind(str(folder))) == []
    program = (
        "from track.forwarding.spool import Spool\n"
        f"assert not list(Spool.left_behind({str(folder)!r}))"
    )
    run_python(program)


def test_what_a_dead_process_left_is_taken_once(folder):
    """While one sends it, nobody else is given it; what it does not send is left again."""
    left_by_another_process(folder, b"a", b"b")
    left_by_another_process(folder, b"c")
    taken = list(Spool.left_behind(str(folder)))
    assert sorted(payload for spool in taken for payload in oldest(spool)) == [b"a", b"b", b"c"]
    assert list(Spool.left_behind(str(folder))) == []
    for spool in taken:
        spool.close()
    assert sum(len(drained(spool)) for spool in Spool.left_behind(str(folder))) == 3


def test_files_are_sent_in_the_order_of_their_numbers(folder, small_files):
    """Ten comes after nine."""
    spool = small_files
    expected = [b"%03d" % number * 10 for number in range(100)]
    for payload in expected:
        spool.append([payload])
        spool._finish_current()
    assert len(list(folder.glob("*-10.journal"))) == 1
    spool.close()
    (left,) = Spool.left_behind(str(folder))
    assert drained(left) == expected
    left.close()


@pytest.mark.parametrize("damage", ["in the middle", "at the end", "cut short"])
def test_a_damaged_file_is_told_about_and_kept(folder, told, damage):
    """What is intact of it is sent; the rest may matter to somebody."""
    left_by_another_process(folder, b"first", b"second", b"third")
    (path,) = folder.glob("*.journal")
    data = bytearray(path.read_bytes())
    data[30 if damage == "in the middle" else -1] ^= 1
    path.write_bytes(data[:-3] if damage == "cut short" else data)
    (left,) = Spool.left_behind(str(folder))
    intact = [b"first", b"third"] if damage == "in the middle" else [b"first", b"second"]
    assert drained(left) == intact
    left.close()
    assert kinds(folder) == [".damaged"]
    assert f"kept as {path}.damaged" in told[-1]
    assert list(Spool.left_behind(str(folder))) == []


def test_a_lock_without_files_is_cleaned_up(folder):
    """Its process was killed before it wrote anything, or after it removed everything."""
    folder.mkdir()
    (folder / "host-1-abc.lock").touch()
    for left in Spool.left_behind(str(folder)):
        left.close()
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    """With what to do about it; nothing was appended."""
    (tmp_path / "file").touch()
    spool = Spool(str(tmp_path / "file" / "spool"))
    with pytest.raises(JournalWriteError, match="'spool' of the URI") as caught:
        spool.append([b"a"])
    assert str(tmp_path / "file" / "spool") in str(caught.value)
    assert spool.is_empty


def test_a_spool_that_is_collected_can_be_taken(folder):
    """Its lock goes with it."""
    spool = Spool(str(folder))
    spool.append([b"a"])
    del spool
    (left,) = Spool.left_behind(str(folder))
    assert drained(left) == [b"a"]
    left.close()


def test_spools_of_other_machines_are_left_alone_on_a_network_file_system(folder, mounted_as):
    """Their locks may not be visible here. On a local disk there are no other machines."""
    left_by_another_process(folder, b"a")
    for path in folder.iterdir():
        path.rename(folder / f"elsewhere-{path.name}")
    mounted_as("nfs4")
    assert list(Spool.left_behind(str(folder))) == []
    mounted_as("ext4")
    (left,) = Spool.left_behind(str(folder))
    assert drained(left) == [b"a"]
    left.close()


def test_threads_append_while_one_sends(small_files):
    """Everything is sent once, and the events of each thread in order."""
    spool = small_files
    count, workers = 300, 4
    done = threading.Event()
    sent = []

    def log(worker):
        for number in range(count):
            spool.append([b"%d %03d" % (worker, number)])

    def send():
        while not done.is_set() or not spool.is_empty:
            if batch := oldest(spool, 256):
                sent.extend(batch)
                spool.forget()

    sender = threading.Thread(target=send)
    threads = [threading.Thread(target=log, args=(worker,)) for worker in range(workers)]
    for thread in [sender, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    sender.join()
    for worker in range(workers):
        mine = [payload for payload in sent if payload.startswith(b"%d " % worker)]
        assert mine == [b"%d %03d" % (worker, number) for number in range(count)]


def test_marks_tell_what_a_thread_appended_and_what_is_sent(small_files):
    """Events appended before ``end`` was read are sent once ``acknowledged`` reaches it."""
    spool = small_files
    for number in range(50):
        spool.append([b"%03d" % number * 10])
        until = spool.end
        assert spool.acknowledged < until
        while spool.acknowledged < until:
            assert oldest(spool, 1)
            spool.forget()
        assert oldest(spool) == []


FORK = """
import os
from pathlib import Path
from track.events.record import payload_of
from track.forwarding.spool import Spool

def oldest(spool):
    return [*map(payload_of, spool.oldest())]

spool = Spool({folder!r})
spool.append([b"of the parent"])
pid = os.fork()
if pid == 0:
    assert spool.is_empty
    {child}
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
{parent}
"""


@pytest.mark.parametrize("child", ["pass", "spool.close()", "spool.append([b'of the child'])"])
def test_a_forked_child_leaves_the_spool_to_its_parent(folder, child):
    """It has one of its own, and neither its end nor its closing frees that of the parent."""
    parent = """
held = list(Spool.left_behind({folder!r}))
assert [oldest(spool) for spool in held] in ([], [[b"of the child"]]), held
spool.append([b"more"])
assert oldest(spool) == [b"of the parent", b"more"]
for spool in held:
    spool.close()
os._exit(0)
"""
    program = FORK.format(folder=str(folder), child=child, parent=parent.format(folder=str(folder)))
    run_python(program)
    found = sorted(payload for left in Spool.left_behind(str(folder)) for payload in oldest(left))
    of_the_child = [b"of the child"] if "append" in child else []
    assert found == [b"more", *of_the_child, b"of the parent"]


def test_a_parent_that_is_gone_holds_nothing_through_its_child(folder):
    """A child that lives on does not keep the spool of a dead parent from being taken."""
    program = FORK.format(
        folder=str(folder),
        child="input()",
        parent="",
    ).replace("assert os.waitstatus", "os._exit(0) #")
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT)
    process.wait()
    found = []
    while not found:  # the child is forked, but may not have got to letting go
        found = [oldest(left) for left in Spool.left_behind(str(folder))]
    assert found == [[b"of the parent"]]
    process.stdin.close()


def test_the_folder_is_private(folder, spool):
    """What is logged is nobody else's business."""
    spool.append([b"a"])
    assert folder.stat().st_mode & 0o077 == 0


def test_durability_is_that_of_the_files(folder, monkeypatch):
    """With ``always``, every append is synced before it returns."""
    synced = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    spool = Spool(str(folder), "always")
    spool.append([b"a"])
    assert len(synced) == 1
    spool.sync()
    assert len(synced) == 2
    spool.close()


def test_a_lock_that_was_removed_meanwhile_is_not_taken(folder):
    """Who waited for a lock that its holder removed must not believe to have it."""
    folder.mkdir()
    path = folder / "x.lock"
    path.touch()
    fd = os.open(path, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert spools._claim(str(path)) is None
    os.unlink(path)
    os.close(fd)
    assert not path.exists()
