"""Every content store keeps the contract."""

import pytest

from tests.contracts.content_contract import ContentContract, data_of, read, sha256
from tests.databases import KINDS, sql_journal
from tests.databases import uri_of as database_uri
from tests.relays import served
from track.contents.folder import FolderContents
from track.contents.memory import MemoryContents
from track.contents.places import contents_at
from track.contents.table import TableContents
from track.persistence import get_protocol

ERASED_BY_ITS_SERVER = "a client erases nothing: the store of a server is redacted where it is"


class TestFolder(ContentContract):
    @pytest.fixture
    def store(self, tmp_path):
        return FolderContents(str(tmp_path / "contents"))


class TestMemory(ContentContract):
    @pytest.fixture
    def store(self):
        return MemoryContents()


@pytest.mark.parametrize("kind", KINDS)
class TestTable(ContentContract):
    @pytest.fixture
    def store(self, kind, tmp_path):
        journal = sql_journal(kind, str(tmp_path))
        yield TableContents(journal)
        journal.close()

    def test_logs_keep_theirs_apart(self, kind, store, tmp_path):
        other = sql_journal(kind, f"{tmp_path}/other")
        digest = store.keep_bytes(b"content")
        assert TableContents(other).missing([digest]) == {digest}
        other.close()


@pytest.mark.parametrize("scheme", ["file", "memory", "local"])
class TestPlace(ContentContract):
    @pytest.fixture
    def store(self, scheme, tmp_path):
        return contents_at(f"{scheme}://{tmp_path}/shared", "store", MemoryContents())


@pytest.mark.parametrize("place", ["", "file:///{}/shared", "memory://{}"])
class TestSpooledForADatabase(ContentContract):
    @pytest.fixture
    def store(self, place, tmp_path):
        options = {"contents": place.format(tmp_path)} if place else {}
        uri = database_uri("postgres", str(tmp_path), spool=tmp_path / "spool", **options)
        protocol = get_protocol(uri)
        yield protocol.content
        protocol.close()


class _ThroughAServer(ContentContract):
    erases = False

    def test_removed_contents_are_gone(self, store):
        pytest.skip(ERASED_BY_ITS_SERVER)


@pytest.mark.parametrize("backend", ["file", "lmdb", "memory", "postgres"])
class TestRelay(_ThroughAServer):
    @pytest.fixture
    def store(self, backend, tmp_path):
        uris = {
            "memory": "memory:",
            "postgres": database_uri("postgres", str(tmp_path), spool=tmp_path / "of the server"),
        }
        with served(uris.get(backend, f"{backend}:{tmp_path / 'store'}")) as server:
            protocol = get_protocol(server.uri(spool=tmp_path / "spool"))
            yield protocol.content.far
            protocol.close()


class TestSpooledForARelay(_ThroughAServer):
    @pytest.fixture
    def store(self, tmp_path):
        with served(f"file:{tmp_path / 'store'}") as server:
            protocol = get_protocol(server.uri(spool=tmp_path / "spool"))
            yield protocol.content
            protocol.close()


@pytest.mark.parametrize("size", [0, 2**20, 5_000_000])
def test_what_a_client_kept_is_at_the_server_once_it_committed(size, tmp_path):
    data = data_of(size)
    with served(f"file:{tmp_path / 'store'}") as server:
        protocol = get_protocol(server.uri(spool=tmp_path / "spool"))
        protocol.content.keep_bytes(data)
        assert read(protocol.content, sha256(data)) == data
        protocol.commit()
        assert read(server.server.backend.content, sha256(data)) == data
        assert read(protocol.content, sha256(data)) == data
        protocol.close()
    assert [path for path in (tmp_path / "spool").rglob("*") if not path.is_dir()] == []
