"""Stores are verified, backed up and compacted with the contents of logged files."""

from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from tests.databases import uri_of
from track import TrackClient
from track.cli.app import run
from track.errors import DamageWarning
from track.media import Text
from track.persistence import get_protocol
from track.stores.maintenance import backup, compact, verify


@pytest.fixture(params=["file:store.json", "lmdb:store.lmdb"])
def uri(request):
    return request.param


def log_notes(uri):
    """Log a trial, with a file."""
    client = TrackClient(uri)
    Path("notes.txt").write_text("some notes")
    with client.new_trial(parameters={"lr": 0.1}) as trial:
        trial.log_file("notes.txt")
    client.close()


def test_contents_that_no_event_names_are_removed(uri):
    """And whatever else a killed process left; contents of logged files and of media stay."""
    log_notes(uri)
    client = TrackClient(uri)
    with client.new_trial(name="with media", parameters={}) as trial:
        trial.log_media({"noise": [Text("m" * 100_000)]})
        trial.log_file("notes.txt")
        Path("model.pt").write_bytes(b"weights")
        trial.log_artifact("model.pt")
    content = client.protocol.content
    kept = {*content.digests()}
    orphans = {content.keep_bytes(b"orphan"), content.keep_bytes(b"x" * (2**20 + 1))}
    client.close()
    folder = Path(content.root)
    (folder / ".incoming.0123456789abcdef.tmp").write_bytes(b"unfinished")
    (folder / ".arriving").mkdir()
    (folder / ".arriving" / ("a" * 64)).write_bytes(b"unfinished")
    before, after = compact(uri)
    assert before - after >= 2**20
    assert content.missing(kept | orphans) == orphans
    assert [path.name for path in folder.iterdir()] == ["000001.pack"]
    assert verify(uri).contents == (len(kept), [], [])


def test_contents_are_verified(uri):
    """Those that are damaged make a store unsound; those that are not there are counted."""
    log_notes(uri)
    assert verify(uri).contents == (1, [], [])
    (pack,) = Path().glob("*.files/*.pack")
    pack.write_bytes(pack.read_bytes().replace(b"some notes", b"SOME NOTES"))
    found = verify(uri)
    digest = sha256(b"some notes").hexdigest()
    assert (found.contents, found.findings, found.is_sound) == ((0, [], [digest]), [], False)
    with pytest.warns(DamageWarning, match=f"1 contents.*damaged: {digest}"):
        backup(uri, "copy")
    pack.unlink()
    found = verify(uri)
    assert (found.contents, found.is_sound) == ((0, [digest], []), True)


@pytest.mark.parametrize("place", [{}, {"contents": "shared"}], ids=["table", "place"])
def test_contents_of_a_database_that_no_event_names_are_removed(place, tmp_path, capsys):
    """From the table, or from the place that the URI names; the others stay."""
    options = {name: f"{tmp_path}/{path}" for name, path in place.items()}
    uri = uri_of("postgres", str(tmp_path), spool=tmp_path / "spool", **options)
    log_notes(uri)
    protocol = get_protocol(uri)
    orphan = protocol.content.keep_bytes(b"orphan")
    protocol.commit()
    assert {*protocol.content.far.digests()} == {orphan, sha256(b"some notes").hexdigest()}
    protocol.close()
    assert run(["compact", "-s", uri]) == 0
    assert capsys.readouterr().out == "removed contents that no event names: 1\n"
    with closing(get_protocol(uri)) as protocol:
        assert {*protocol.content.far.digests()} == {sha256(b"some notes").hexdigest()}
