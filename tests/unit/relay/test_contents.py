"""Contents go to a server in pieces, and come back, whatever happens on the way."""

import os
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path

import pytest

import track
from tests.contracts.content_contract import data_of, read, sha256
from tests.databases import free_port
from tests.programs import run_at_once
from tests.relays import ServerProcess, served, server_uri, uri_of
from track import TrackClient
from track.errors import (
    EncodingError,
    FileDamaged,
    JournalUnreachable,
    NotRecordedWarning,
    StorageWarning,
)
from track.persistence import get_protocol
from track.relay.limits import Limits
from track.relay.messages import Verb
from track.relay.service import Answering

LARGE = 3_000_000


@pytest.fixture
def serving():
    with served("file:store.json") as server:
        yield server


@pytest.fixture
def client(serving):
    protocol = get_protocol(serving.uri(spool="spool"))
    yield protocol
    protocol.close()


def keep(protocol, *header, piece=b""):
    """Send a piece as it is, and return the header of the answer."""
    return protocol.content.far._connection.request(Verb.KEEP, [*header], piece).header


def waiting():
    """Return the names of the contents in the spool."""
    return sorted(path.name for path in Path("spool").rglob("*.contents/*"))


def test_a_server_that_is_killed_gets_the_rest(tmp_path):
    """What arrived before is not sent again."""
    data = data_of(LARGE)
    server = ServerProcess("file:store.json")
    protocol = get_protocol(server.uri(spool="spool"))
    sending = protocol.content.far.sending(sha256(data), BytesIO(data))
    next(sending)  # asks
    next(sending)  # sent a piece
    server.kill()
    server.start()
    begun = os.path.getsize(f"store.json.files/.arriving/{sha256(data)}")
    assert 0 < begun < LARGE
    (arrived,) = keep(protocol, sha256(data), LARGE, 0)
    assert arrived == begun
    for _ in sending:
        pass
    assert protocol.content.missing([sha256(data)]) == set()
    protocol.close()
    assert server.stop() == 0
    store = get_protocol("file:store.json")
    assert read(store.content, sha256(data)) == data
    store.close()


@pytest.mark.parametrize("harm", [b"harm", b"", b"x" * LARGE, b"x" * (LARGE + 1)])
def test_what_is_left_of_a_content_is_not_trusted(serving, client, harm):
    """A part that was damaged on the server's disk is dropped, and everything sent again."""
    data = data_of(LARGE)
    Path("store.json.files/.arriving").mkdir(parents=True)
    Path(f"store.json.files/.arriving/{sha256(data)}").write_bytes(harm)
    try:
        client.content.far.put(BytesIO(data))
    except FileDamaged:
        client.content.far.put(BytesIO(data))
    assert read(serving.server.backend.content, sha256(data)) == data


def test_only_what_has_the_hash_is_kept(serving, client):
    """Whoever sends other bytes is told so, and leaves nothing behind."""
    digest = sha256(b"content")
    with pytest.raises(FileDamaged, match="did not arrive as it was logged"):
        keep(client, digest, 7, 0, piece=b"CONTENT")
    assert [*serving.server.backend.content.digests()] == []
    assert keep(client, digest, 7, 0, piece=b"con") == [3]
    assert keep(client, digest, 7, 0, piece=b"con") == [3]
    assert keep(client, digest, 7, 5, piece=b"nt") == [3]
    assert keep(client, digest, 7, 3, piece=b"tent") == [None]
    assert read(serving.server.backend.content, digest) == b"content"
    assert not [*Path("store.json.files/.arriving").iterdir()]


@pytest.mark.parametrize(
    "header",
    [
        [],
        ["a" * 64, 1],
        ["a" * 64, 1, 2],
        ["a" * 64, -1, 0],
        ["a" * 64, 1.0, 0],
        ["a" * 64, None, 0],
        ["a" * 64, 0, 0],
        ["../../x", 1, 0],
        [b"a" * 64, 1, 0],
    ],
)
def test_an_odd_piece_is_refused(client, serving, header):
    with pytest.raises(ValueError, match=r"invalid|longer|64 hex"):
        keep(client, *header, piece=b"xy")
    client.commit()
    assert [*serving.server.backend.content.digests()] == []


def test_odd_questions_are_refused(client):
    ask = client.content.far._connection.request
    digest = client.content.far.keep_bytes(b"content")
    for call in (
        ["missing_contents", [digest] * 1025],
        ["missing_contents", digest],
        ["contents", "x"],
        ["content", digest, -1],
        ["content", digest, 8],
        ["content", digest, "0"],
    ):
        with pytest.raises(ValueError, match=r"up to 1024|invalid|64 hex"):
            ask(Verb.CALL, call)
    assert client.content.far.missing([digest]) == set()


def test_a_content_over_the_limit_of_a_server_is_set_aside():
    """It does not keep back what was logged after it, and is not lost."""
    with served("file:store.json", Limits(content=1000)) as server:
        protocol = get_protocol(server.uri(spool="spool"))
        with pytest.raises(EncodingError, match="exceeds the limit of 1000 of this server"):
            protocol.content.far.keep_bytes(data_of(1001))
        large = protocol.content.keep_bytes(data_of(1001))
        small = protocol.content.keep_bytes(data_of(1000))
        with pytest.warns(NotRecordedWarning, match="exceeds the limit of 1000.*set aside"):
            protocol.content.send_all()
        assert protocol.content.missing([large, small]) == {large}
        (aside,) = Path("spool").rglob("*.unsent")
        assert aside.read_bytes() == data_of(1001)
        protocol.close()


def test_clients_that_send_the_same_at_once_do_no_harm(serving):
    data = data_of(LARGE)
    stores = [get_protocol(serving.uri(spool=f"spool{number}")) for number in range(4)]
    for store in stores:
        store.content.keep_bytes(data)
    threads = [threading.Thread(target=store.commit) for store in stores]
    run_at_once(threads)
    assert read(serving.server.backend.content, sha256(data)) == data
    for store in stores:
        store.close()


def test_what_is_there_is_not_sent_again(serving, client):
    """It is asked for, and the copy in the spool goes."""
    data = data_of(LARGE)
    serving.server.backend.content.keep_bytes(data)
    asked = [*client.content.far.sending(sha256(data), BytesIO(data))]
    assert asked == []  # no step but the question
    client.content.keep_bytes(data)
    client.commit()
    assert waiting() == []


def test_logging_does_not_wait_for_a_server_that_is_away(serving):
    """What was logged is sent once there is one, and until then read from this machine."""
    port = free_port()
    Path("x").write_bytes(data_of(LARGE))
    protocol = get_protocol(uri_of(port, spool="spool", timeout=1, start_timeout=0))
    assert protocol.keep_content("x") == (LARGE, sha256(data_of(LARGE)))
    assert read(protocol.content, sha256(data_of(LARGE))) == data_of(LARGE)
    with pytest.raises(JournalUnreachable, match=r"contents of logged files.*kept in .*\.contents"):
        protocol.content.send_all()
    assert waiting() == [sha256(data_of(LARGE))]
    with pytest.raises(JournalUnreachable):
        protocol.close()
    late = ServerProcess("file:late.json", port)
    again = get_protocol(late.uri(spool="spool"))
    again.commit()
    assert waiting() == []
    assert read(again.content, sha256(data_of(LARGE))) == data_of(LARGE)
    again.close()
    assert late.stop() == 0


LOG_AND_DIE = """
import os, sys
from track import TrackClient
client = TrackClient(sys.argv[1])
trial = client.new_trial(parameters={"x": 1})
trial.start()
os.kill(int(sys.argv[2]), 9)
trial.log_file("logged")
print(trial.uid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_client_left_is_sent_by_the_next_one():
    """The server was killed, too, before anything of the file was sent."""
    Path("logged").write_bytes(data_of(LARGE))
    server = ServerProcess("file:store.json")
    uri = server.uri(spool="spool")
    done = subprocess.run(
        [sys.executable, "-c", LOG_AND_DIE, uri, str(server.process.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    uid = done.stdout.strip()
    assert uid, done.stderr
    server.kill()
    assert waiting() == [sha256(data_of(LARGE))]
    server.start()
    protocol = get_protocol(uri)
    protocol.commit()
    assert waiting() == []
    protocol.close()
    with track.open(uri) as reader, reader.open_file(uid, "logged") as content:
        assert content.read() == data_of(LARGE)
    assert server.stop() == 0


def test_a_client_logs_and_reads_files_and_media(serving):
    """Through the same calls as on disk; another client sees the same."""
    from track.media import Image

    Path("x").write_bytes(b"content")
    picture = data_of(200_000)
    client = TrackClient(serving.uri(spool="spool"))
    with client.new_trial(parameters={}) as trial:
        trial.log_file("x")
        trial.log_media({"noise": [medium_of(Image, picture)]}, 1)
    client.close()
    with track.open(serving.uri(spool="other")) as reader:
        with reader.open_file(trial.uid, "x") as content:
            assert content.read() == b"content"
        (medium,) = reader.media(trial.uid)
        assert medium.data is None
        assert reader.content_of(medium) == picture


def medium_of(kind, data):
    made = kind.__new__(kind)
    made.data, made.mime, made.caption, made.facts = data, "image/png", None, {}
    return made


class Older(Answering):
    """A server of a version that knows nothing of contents."""

    def call(self, name, arguments):
        if "content" in name:
            raise AttributeError(f"{name!r} cannot be called: use one of find, objects")
        return super().call(name, arguments)


def test_a_server_of_an_earlier_version_gets_the_events(serving, client):
    """The contents wait until it is a newer one, which is said."""
    serving.server._relay.service = Older(serving.server.backend, 30.0)
    Path("x").write_bytes(b"content")
    client.keep_content("x")
    with pytest.warns(StorageWarning, match="runs an earlier version of Track.*are kept in"):
        client.commit()
    assert waiting() == [sha256(b"content")]
    serving.server._relay.service = Answering(serving.server.backend, 30.0)
    client.commit()
    assert waiting() == []
    assert read(serving.server.backend.content, sha256(b"content")) == b"content"


def test_a_server_whose_store_keeps_no_contents_says_so(client, serving):
    serving.server.backend.content = None
    serving.server._relay.service = Answering(serving.server.backend, 30.0)
    client.content.keep_bytes(b"content")
    with pytest.warns(StorageWarning, match="keeps no contents of files.*kept in"):
        client.commit()
    serving.server._relay.service = Answering(get_protocol("memory:"), 30.0)


def test_a_server_of_a_server_is_none(serving):
    """A URI with another server as its backend is refused, as before."""
    with pytest.raises(track.errors.RPCCallFailure):
        track.relay.server.SocketServer(server_uri(serving.uri(spool="spool")))
