"""A database keeps contents at a place that its URI or the configuration names."""

import os
import sys
from pathlib import Path

import fsspec
import pytest

import track
from tests.contracts.content_contract import data_of, read, sha256
from tests.databases import uri_of
from tests.relays import served
from track import TrackClient
from track.contents.memory import MemoryContents
from track.contents.places import RemoteContents, contents_at
from track.errors import BackendError, FileDamaged, NotRecordedWarning
from track.exchange import copy_store
from track.persistence import get_protocol
from track.stores.redaction import redact

LARGE = 3_000_000


@pytest.fixture(params=["memory", "local", "file"])
def place(request, tmp_path):
    return f"{request.param}://{tmp_path}/shared"


def database(tmp_path, **options):
    return uri_of("postgres", str(tmp_path), spool=tmp_path / "spool", **options)


def log(uri, *names):
    with TrackClient(uri).new_trial(parameters={}) as trial:
        for name in names:
            trial.log_file(name)
    trial.protocol.close()
    return trial.uid


def test_contents_of_any_size_are_kept_at_a_place(tmp_path, place):
    """The events say nothing of it: whoever names the place finds them."""
    Path("large").write_bytes(data_of(LARGE))
    Path("small").write_bytes(b"content")
    uri = database(tmp_path, contents=place)
    uid = log(uri, "large", "small")
    with track.open(uri) as reader:
        for name, data in (("large", data_of(LARGE)), ("small", b"content")):
            with reader.open_file(uid, name) as content:
                assert content.read() == data
    if not place.startswith("memory"):
        digest = sha256(data_of(LARGE))
        (kept,) = Path("shared").glob(f"*/{digest[:2]}/{digest[2:]}")
        assert kept.read_bytes() == data_of(LARGE)
        assert not [*Path("shared").rglob("*.tmp")]


def test_a_place_may_be_configured(tmp_path, monkeypatch):
    """In the environment, for instance, or in track.config."""
    monkeypatch.setenv("TRACK_LOG_CONTENTS", str(tmp_path / "shared"))
    Path("large").write_bytes(data_of(LARGE))
    uid = log(database(tmp_path), "large")
    digest = sha256(data_of(LARGE))
    assert [*Path("shared").glob(f"*/{digest[:2]}/{digest[2:]}")]
    with track.open(database(tmp_path)) as reader, reader.open_file(uid, "large") as content:
        assert content.read() == data_of(LARGE)


def test_contents_from_before_a_place_was_named_are_found(tmp_path, place):
    """In the table, where they stay; redaction erases them in both."""
    Path("first").write_bytes(b"first")
    Path("second").write_bytes(b"second")
    uid = log(database(tmp_path), "first")
    uri = database(tmp_path, contents=place)
    protocol = get_protocol(uri)
    trial = protocol.fetch_trials()[0]
    _, second = protocol.keep_content("second")
    facts = {"name": "second", "size": 6, "sha256": second}
    protocol.log_trial_metadata(trial, None, **{"file:second": facts})
    protocol.commit()
    assert {*protocol.content.digests()} == {sha256(b"first"), second}
    for data in (b"first", b"second"):
        assert read(protocol.content, sha256(data)) == data
    protocol.close()
    assert redact(uri, uid).files == sorted([sha256(b"first"), second])
    protocol = get_protocol(uri)
    assert [*protocol.content.digests()] == []
    protocol.close()


def test_without_a_place_large_contents_are_not_kept(tmp_path):
    """The warning says what would help."""
    Path("large").write_bytes(data_of(2**20 + 1))
    client = TrackClient(database(tmp_path))
    trial = client.new_trial(parameters={})
    with pytest.warns(NotRecordedWarning, match="the option contents"):
        trial.log_file("large")
    client.close()


def test_a_server_keeps_contents_at_the_place_of_its_database(tmp_path, place):
    """Its clients name no place."""
    data = data_of(LARGE)
    with served(database(tmp_path, contents=place)) as server:
        protocol = get_protocol(server.uri(spool=tmp_path / "spool of the client"))
        protocol.content.keep_bytes(data)
        protocol.commit()
        assert read(protocol.content.far, sha256(data)) == data
        protocol.close()
    with track.open(database(tmp_path, contents=place)) as reader:
        assert read(reader.protocol.content, sha256(data)) == data


def test_a_store_is_copied_with_its_contents(tmp_path, place):
    """From a disk to a place, and back."""
    Path("large").write_bytes(data_of(LARGE))
    log("file:first.json", "large")
    stores = [
        get_protocol(uri)
        for uri in ("file:first.json", database(tmp_path, contents=place), "lmdb:third.lmdb")
    ]
    assert copy_store(stores[0], stores[1]).files == 1
    assert copy_store(stores[1], stores[2]).files == 1
    assert read(stores[2].content, sha256(data_of(LARGE))) == data_of(LARGE)
    for store in stores:
        store.close()


def test_a_damaged_object_is_told(place):
    """Nobody gets other bytes than were logged."""
    store = contents_at(place, "store", MemoryContents())
    digest = store.keep_bytes(b"content")
    scheme, _, folder = place.partition("://")
    fsspec.filesystem(scheme).pipe_file(f"{folder}/store/{digest[:2]}/{digest[2:]}", b"CONTENT")
    with pytest.raises(FileDamaged, match=f"{digest}.*no longer what was logged"):
        store.open(digest)


def test_an_upload_that_fails_leaves_nothing_behind(place):
    """A source that cannot be read to its end is no content."""

    passes = 1 if place.startswith("file") else 2  # others read it first for its hash

    class Failing:
        """A file of two pieces that breaks in the middle of the last time that it is read."""

        def __init__(self):
            self.reads = 0

        def tell(self):
            return 0

        def seek(self, *_):
            return 0

        def read(self, size=-1):
            self.reads += 1
            if self.reads == 3 * passes - 1:
                raise OSError("the disk is broken")
            return b"x" * 2**20 if self.reads % 3 else b""

    store = contents_at(place, "store", MemoryContents())
    with pytest.raises(OSError, match="broken"):
        for _ in store.sending("a" * 64, Failing()):
            pass
    assert [*store.digests()] == []


@pytest.mark.parametrize("place", ["shared", "./shared", "file://shared"])
def test_a_folder_is_named_by_its_whole_path(place):
    with pytest.raises(BackendError, match=r"give file:///folder"):
        contents_at(place, "store", MemoryContents())


def test_what_is_no_place_is_named(tmp_path):
    """When the store is opened, not when a content is to be kept."""
    with pytest.raises(BackendError, match=r"nonsense://x.* cannot hold contents"):
        get_protocol(database(tmp_path, contents="nonsense://x"))


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(BackendError, match=r"needs a package.*track-journal\[files\]"):
        get_protocol(database(tmp_path, contents="s3://bucket"))


def test_a_forked_child_uses_the_place_anew(place):
    store = contents_at(place.replace("memory", "local"), "store", MemoryContents())
    store.keep_bytes(b"of the parent")
    pid = os.fork()
    if not pid:
        code = 1
        try:
            store.keep_bytes(b"of the child")
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert {*store.digests()} == {sha256(b"of the parent"), sha256(b"of the child")}


def test_a_store_of_objects_says_where_it_is(tmp_path):
    assert str(RemoteContents(f"memory://{tmp_path}")) == f"memory://{tmp_path}"


def test_stores_that_share_a_place_erase_only_their_own(tmp_path, place):
    """The same file, logged to both, stays where it was not erased."""
    Path("x").write_bytes(b"content")
    uris = [
        uri_of("postgres", f"{tmp_path}{name}", spool=tmp_path / "spool", contents=place)
        for name in "ab"
    ]
    uids = [log(uri, "x") for uri in uris]
    assert redact(uris[0], uids[0]).files == [sha256(b"content")]
    with track.open(uris[1]) as reader, reader.open_file(uids[1], "x") as content:
        assert content.read() == b"content"
