"""What every content store promises."""

import hashlib
import threading
from io import BytesIO

import pytest

from tests.programs import run_at_once
from track.errors import ItemNotFound

SIZES = (0, 1, 10_000, 2**16, 2**16 + 1, 2**20 - 1, 2**20)


def data_of(size, seed=0):
    """Return bytes without any order in them."""
    return hashlib.shake_128(f"{size}/{seed}".encode()).digest(size)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read(store, digest):
    with store.open(digest) as file:
        return file.read()


class ContentContract:
    """Tests of a fixture ``store``, which is empty."""

    erases = True
    """Whether contents can be removed here, and not only by a server."""

    def test_what_was_put_is_read(self, store):
        for data in map(data_of, SIZES):
            assert store.put(BytesIO(data)) == (len(data), sha256(data))
            assert read(store, sha256(data)) == data

    def test_files_and_bytes_are_put_alike(self, store, tmp_path):
        (tmp_path / "x").write_bytes(b"content")
        assert store.keep(str(tmp_path / "x")) == (7, sha256(b"content"))
        assert store.keep_bytes(b"content") == sha256(b"content")
        assert [*store.digests()] == [sha256(b"content")]

    def test_what_is_missing_is_told(self, store):
        there, other = store.keep_bytes(b"there"), sha256(b"other")
        assert store.missing([there, other]) == {other}
        assert store.missing([]) == set()
        with pytest.raises(ItemNotFound, match=other[2:]):
            store.open(other)

    def test_only_a_hash_is_a_name(self, store):
        calls = [store.open, lambda name: store.missing([name]), lambda name: store.remove([name])]
        for name in ("", "../x", "a" * 63, "A" * 64, "a" * 65, "/" * 64):
            for call in calls[: 3 if self.erases else 2]:
                with pytest.raises(ValueError, match="64 hexadecimal"):
                    call(name)

    def test_removed_contents_are_gone(self, store):
        digests = {store.keep_bytes(data_of(size)) for size in SIZES}
        wanted = {sha256(data_of(size)) for size in SIZES[::2]}
        assert store.remove([*wanted, sha256(b"never kept")]) == wanted
        assert {*store.digests()} == digests - wanted
        assert store.missing(digests) == wanted
        for size in SIZES[1::2]:
            assert read(store, sha256(data_of(size))) == data_of(size)
        assert store.keep_bytes(data_of(SIZES[0])) == sha256(data_of(SIZES[0]))
        assert read(store, sha256(data_of(SIZES[0]))) == data_of(SIZES[0])

    def test_threads_may_put_the_same_at_once(self, store):
        def put():
            for seed in range(10):
                store.keep_bytes(data_of(5000, seed))

        threads = [threading.Thread(target=put) for _ in range(4)]
        run_at_once(threads)
        expected = {sha256(data_of(5000, seed)) for seed in range(10)}
        assert sorted(store.digests()) == sorted(expected)
        assert {sha256(read(store, digest)) for digest in expected} == expected
