"""Small contents share files, and what harms one of them harms no other."""

import os
import random
import signal
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.contracts.content_contract import data_of, read, sha256
from tests.programs import run_at_once
from track.contents.folder import LARGEST_PACKED, FolderContents
from track.errors import FileDamaged, ItemNotFound
from track.events.record import OVERHEAD

DIGEST_BYTES = 32


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "contents"


@pytest.fixture
def store(folder):
    return FolderContents(str(folder))


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_many_small_contents_are_few_files(store, folder):
    """Whoever opens the folder later finds each of them."""
    digests = [store.keep_bytes(data_of(10_000, seed)) for seed in range(300)]
    assert [path.name for path in files_in(folder)] == ["000001.pack"]
    later = FolderContents(str(folder))
    assert sorted(later.digests()) == sorted(digests)
    assert read(later, digests[7]) == data_of(10_000, 7)
    assert files_in(folder)[0].stat().st_size == 300 * (10_000 + OVERHEAD + DIGEST_BYTES)


def test_a_full_pack_is_followed_by_another(store, folder):
    """Each has about 64 MiB; what is in one already is in no other."""
    large = [random.Random(seed).randbytes(LARGEST_PACKED) for seed in range(66)]
    digests = [store.keep_bytes(data) for data in [*large, large[0]]]
    assert [path.name for path in files_in(folder)] == ["000001.pack", "000002.pack"]
    assert sum(path.stat().st_size for path in files_in(folder)) < 67 * 2**20
    assert read(store, digests[0]) == large[0]
    assert read(store, digests[65]) == large[65]


def test_a_large_content_is_a_file(store, folder):
    digest = store.keep_bytes(data_of(LARGEST_PACKED + 1))
    assert files_in(folder) == [folder / digest[:2] / digest[2:]]


def test_what_earlier_versions_kept_as_files_is_found(store, folder):
    """And is not kept a second time."""
    digest = sha256(b"content")
    (folder / digest[:2]).mkdir(parents=True)
    (folder / digest[:2] / digest[2:]).write_bytes(b"content")
    assert read(store, digest) == b"content"
    assert store.keep_bytes(b"content") == digest
    assert [*store.digests()] == [digest]
    assert len(files_in(folder)) == 1
    assert store.remove([digest]) == {digest}
    assert files_in(folder) == []


@pytest.mark.parametrize("left", [1, 15, 16, 40, 60, 500])
def test_what_a_killed_writer_left_is_removed_by_the_next_one(store, folder, left):
    """The torn record names a content that is not there."""
    kept, torn = store.keep_bytes(data_of(100, 1)), store.keep_bytes(data_of(1000, 2))
    (pack,) = files_in(folder)
    os.truncate(pack, 100 + OVERHEAD + DIGEST_BYTES + left)
    later = FolderContents(str(folder))
    assert later.missing([kept, torn]) == {torn}
    following = later.keep_bytes(data_of(300, 3))
    assert pack.stat().st_size == 400 + 2 * (OVERHEAD + DIGEST_BYTES)
    assert {*FolderContents(str(folder)).digests()} == {kept, following}
    assert later.keep_bytes(data_of(1000, 2)) == torn
    assert read(later, torn) == data_of(1000, 2)


@pytest.mark.parametrize("place", ["header", "digest", "content", "end"])
def test_damage_costs_only_itself(store, folder, place):
    """Contents before and behind it are found, and further ones can be kept."""
    digests = [store.keep_bytes(data_of(1000, seed)) for seed in range(3)]
    (pack,) = files_in(folder)
    data = bytearray(pack.read_bytes())
    size = 1000 + OVERHEAD + DIGEST_BYTES
    data[size + {"header": 5, "digest": 20, "content": 500, "end": size - 1}[place]] ^= 1
    pack.write_bytes(data)
    later = FolderContents(str(folder))
    if place == "end":  # the content itself is intact
        assert read(later, digests[1]) == data_of(1000, 1)
    else:
        with pytest.raises(FileDamaged if place == "content" else ItemNotFound):
            later.open(digests[1])
    for seed in (0, 2):
        assert read(later, digests[seed]) == data_of(1000, seed)
    further = later.keep_bytes(data_of(1000, 3))
    assert read(FolderContents(str(folder)), further) == data_of(1000, 3)


def test_a_crafted_content_is_a_file(store, folder):
    """No record can hold it, whatever the mask."""
    crafted = b"".join(bytes(byte ^ mask for byte in b"\xc1TJ") for mask in range(256))
    digest = store.keep_bytes(crafted)
    assert read(store, digest) == crafted
    assert files_in(folder) == [folder / digest[:2] / digest[2:]]


def test_removing_leaves_nothing_of_a_content(store, folder):
    """Other objects for the folder notice that a pack was written anew."""
    other = FolderContents(str(folder))
    digests = [store.keep_bytes(data_of(1000, seed)) for seed in range(3)]
    assert read(other, digests[2]) == data_of(1000, 2)
    assert store.remove(digests[1:2]) == {digests[1]}
    assert data_of(1000, 1)[100:200] not in files_in(folder)[0].read_bytes()
    assert other.missing(digests) == {digests[1]}
    assert read(other, digests[2]) == data_of(1000, 2)
    assert other.keep_bytes(data_of(1000, 1)) == digests[1]
    assert read(store, digests[1]) == data_of(1000, 1)


def keep_some(folder, first):
    store = FolderContents(folder)
    for seed in range(first, first + 40):
        store.keep_bytes(data_of(5000, seed))


def test_processes_may_keep_at_once(folder):
    """What several of them keep is there once."""
    context = get_context("fork")
    processes = [
        context.Process(target=keep_some, args=(str(folder), first)) for first in (0, 20, 40, 60)
    ]
    run_at_once(processes)
    assert [process.exitcode for process in processes] == [0] * 4
    store = FolderContents(str(folder))
    expected = {sha256(data_of(5000, seed)) for seed in range(100)}
    assert {*store.digests()} == expected
    assert {sha256(read(store, digest)) for digest in expected} == expected
    assert files_in(folder)[0].stat().st_size == 100 * (5000 + OVERHEAD + DIGEST_BYTES)


KEEP_UNTIL_KILLED = """
import hashlib, itertools, os, sys
from track.contents.folder import FolderContents
store = FolderContents(sys.argv[1])
for number in itertools.count():
    data = hashlib.shake_128(f"{sys.argv[2]}/{number}".encode()).digest(200_000)
    print(store.keep_bytes(data), flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_what_was_kept_survives_a_kill(folder, seed):
    """Two writers are killed at a random moment; the next one goes on."""
    chance = random.Random(seed)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", KEEP_UNTIL_KILLED, str(folder), name],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    digests = []
    for writer in writers:
        digests += [writer.stdout.readline().strip() for _ in range(chance.randint(1, 30))]
        writer.send_signal(signal.SIGKILL)
    for writer in writers:
        digests += [line.strip() for line in writer.communicate()[0].splitlines(keepends=True)]
    store = FolderContents(str(folder))
    for digest in filter(lambda text: len(text) == 64, digests):
        with store.open(digest) as content:
            assert len(content.read()) == 200_000
    assert read(store, store.keep_bytes(b"next")) == b"next"
    assert {path.suffix for path in Path(folder).iterdir()} == {".pack"}
