"""Artifacts: files under a name, with a version for each content, and who made and used them."""

import os
from pathlib import Path

import pytest

import track
from track import TrackClient
from track.errors import FileDamaged, ItemNotFound, TrackError
from track.events.types import ArtifactLogged
from track.moment import Moment
from track.projections.artifacts import digest_of, id_of
from track.projections.trials import stream_of
from track.reader import Reader
from track.stores.redaction import redact


@pytest.fixture
def client():
    client = TrackClient("file:s.json")
    yield client
    client.close()


def new(client, name):
    return client.new_trial(force=True, name=name, parameters={"n": name})


def folder(**files):
    for name, text in files.items():
        path = Path("data", f"{name}.txt")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return "data"


def test_a_content_is_a_version_whoever_logs_it(client):
    """Numbers grow with new contents; the latest version is the one that was logged last."""
    first, second = new(client, "first"), new(client, "second")
    digests = [first.log_artifact(folder(a="1", b="2"))]
    assert second.log_artifact(folder(a="1", b="2"), name="data") == digests[0]
    digests.append(second.log_artifact(folder(a="3")))
    store = Reader(client.protocol)
    zero, one = store.artifacts("data")
    assert [(each.version, each.sha256, each.is_latest) for each in (zero, one)] == [
        ("v0", digests[0], False),
        ("v1", digests[1], True),
    ]
    assert (zero.made_by, one.made_by) == ([first.uid, second.uid], [second.uid])
    assert (zero.length, zero.size) == (2, 2)
    assert [file.name for file in zero.files()] == ["a.txt", "b.txt"]
    for _ in range(5):
        first.log_artifact(folder(a="1"))
    assert [each.is_latest for each in store.artifacts("data")] == [True, False]
    assert len(store.trial("first").metadata["_artifacts"]) == 2


def test_who_used_which_version(client):
    """By a number, the latest one, or a hash; as of any moment."""
    maker, user = new(client, "maker"), new(client, "user")
    digest = maker.log_artifact(folder(a="1"))
    before = Reader(client.protocol).recent(1)[0].position
    for version in ("v0", 0, "latest", digest, digest[:8]):
        used = user.use_artifact("data", version)
        assert (used.version, used.sha256) == ("v0", digest)
    assert client.use_artifact("data").open("a.txt").read() == b"1"
    store = Reader(client.protocol)
    assert store.artifact("data").used_by == [user.uid]
    assert store.artifact("data", at=Moment(position=before)).used_by == []
    assert [one.name for one in store.artifacts(trial="user")] == ["data"]
    assert store.artifacts(trial="user", at=Moment(position=before)) == []
    assert store.artifacts("data", at=Moment(position=before - 1)) == []


def test_files_are_saved_below_a_folder(client, tmp_path):
    """As they were logged; what is there is not overwritten unless that is said."""
    trial = new(client, "t")
    folder(a="1")
    Path("data/inner").mkdir()
    Path("data/inner/b.bin").write_bytes(b"\0\xff")
    trial.log_artifact("data")
    found = Reader(client.protocol).artifact("data")
    written = found.save("out")
    assert {Path(path).relative_to("out").as_posix() for path in written} == {
        "a.txt",
        "inner/b.bin",
    }
    assert Path("out/inner/b.bin").read_bytes() == b"\0\xff"
    assert found.save("out") == written
    Path("out/a.txt").write_text("changed")
    with pytest.raises(TrackError, match=r"out/a\.txt already exists with different content"):
        found.save("out")
    found.save("out", force=True)
    assert Path("out/a.txt").read_text() == "1"


def test_a_file_and_files_of_several_places(client):
    """A file is named by itself; a mapping names each."""
    trial = new(client, "t")
    Path("model.pt").write_bytes(b"m")
    trial.log_artifact("model.pt")
    trial.log_artifact({"weights/model.pt": "model.pt", "again.pt": Path("model.pt")}, "both")
    store = Reader(client.protocol)
    assert [file.name for file in store.artifact("model.pt").files()] == ["model.pt"]
    names = [file.name for file in store.artifact("both").files()]
    assert names == ["again.pt", "weights/model.pt"]


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "/etc", "a:v1", "a\0", "-o", "x" * 129, 7])
def test_a_name_is_part_of_no_path(client, name):
    """Nor an option of a command; nothing is recorded."""
    trial = new(client, "t")
    with pytest.raises(TrackError, match=r"invalid name .* of an artifact"):
        trial.log_artifact(folder(a="1"), name)
    assert Reader(client.protocol).artifacts() == []


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "", "a/.", "a\0b"])
def test_a_file_of_an_artifact_leads_nowhere_else(client, name):
    """Neither where it is logged, nor where somebody else wrote its event."""
    trial = new(client, "t")
    path = os.path.join(folder(a="1"), "a.txt")
    with pytest.raises(TrackError, match=r"invalid name .* of a file of an artifact"):
        trial.log_artifact({name: path}, "odd")
    trial.log_artifact({"a": path}, "even")
    digest = Reader(client.protocol).artifact("even").files()[0].sha256
    files = {name: {"size": 1, "sha256": digest}}
    event = ArtifactLogged(id_of("odd"), digest_of(files), "odd", files)
    client.protocol.producer.record(stream_of(trial.uid), event)
    found = Reader(client.protocol).artifact("odd")
    if name in ("../a", "/a", "", "a\0b"):
        with pytest.raises(TrackError, match="leads outside"):
            found.save("out")
        assert not Path("a").exists()
    else:
        assert all(path.startswith("out") for path in found.save("out"))


def test_nothing_is_written_through_a_link_that_leads_outside(client):
    """One in the folder that is written to."""
    trial = new(client, "t")
    Path("elsewhere").mkdir()
    Path("out").mkdir()
    os.symlink("../elsewhere", "out/inner")
    Path("model.pt").write_bytes(b"m")
    trial.log_artifact({"inner/model.pt": "model.pt"}, "weights")
    with pytest.raises(TrackError, match="leads outside"):
        Reader(client.protocol).artifact("weights").save("out", force=True)
    assert [*Path("elsewhere").iterdir()] == []


def test_a_link_that_leads_outside_is_refused(client):
    """It would publish what nobody meant to; one to a file beside it is followed."""
    trial = new(client, "t")
    folder(a="1")
    Path("secret").write_text("key")
    os.symlink("a.txt", "data/same.txt")
    trial.log_artifact("data")
    assert Reader(client.protocol).artifact("data").length == 2
    os.symlink("../secret", "data/leak.txt")
    with pytest.raises(TrackError, match=r"leak\.txt: it is a link to .*secret"):
        trial.log_artifact("data")
    os.unlink("data/leak.txt")
    os.symlink(".", "data/loop")
    with pytest.raises(TrackError, match="loop: it is a link"):
        trial.log_artifact("data")


def test_what_is_no_file_is_refused(client):
    """A folder without files, a path that is missing, a pipe: each by one error with the path."""
    trial = new(client, "t")
    Path("empty/inner").mkdir(parents=True)
    with pytest.raises(TrackError, match="empty: the folder has no files"):
        trial.log_artifact("empty")
    with pytest.raises(TrackError, match="nowhere: it is not a file"):
        trial.log_artifact("nowhere")
    os.mkfifo("empty/pipe")
    with pytest.raises(TrackError, match="pipe: it is not a file"):
        trial.log_artifact("empty")


def test_a_file_that_changes_while_it_is_read_is_refused(client):
    """Its content would be none that the script ever wrote."""
    trial = new(client, "t")
    path = Path(folder(a="1"), "a.txt")

    class Growing(type(client.protocol.content)):
        def put(self, source):
            kept = super().put(source)
            path.write_text("more")
            return kept

    client.protocol.content.__class__ = Growing
    with pytest.raises(TrackError, match=r"a\.txt: it changed while it was read"):
        trial.log_artifact("data")
    assert Reader(client.protocol).artifacts() == []


def test_a_version_that_is_missing_is_told_with_those_there_are(client):
    """An artifact, too."""
    trial = new(client, "t")
    with pytest.raises(ItemNotFound, match="no artifact 'data'; existing artifacts: none"):
        trial.use_artifact("data")
    digest = trial.log_artifact(folder(a="1"))
    for version in ("v1", "newest", "0" * 8):
        with pytest.raises(ItemNotFound, match=rf"no version .*existing: v0 \({digest[:12]}\)"):
            trial.use_artifact("data", version)
    with pytest.raises(ItemNotFound, match="existing artifacts: data"):
        Reader(client.protocol).artifact("weights")
    assert Reader(client.protocol).artifact("data").used_by == []


def test_a_content_that_was_changed_is_found_damaged(client):
    """It is written nowhere."""
    new(client, "t").log_artifact(folder(a="as it was"))
    found = Reader(client.protocol).artifact("data")
    for path in Path("s.json.files").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"as it was", b"as it is!"))
    with pytest.raises(FileDamaged):
        found.save("out")
    assert not Path("out/a.txt").exists()


def test_versions_keep_their_numbers_if_a_trial_is_erased(client):
    """Its names and contents are gone, but for what others logged, too."""
    secret, other = new(client, "secret"), new(client, "other")
    secret.log_artifact({"jane.txt": os.path.join(folder(a="Jane Doe"), "a.txt")}, "data")
    secret.log_artifact({"jane.txt": os.path.join(folder(a="Jane"), "a.txt")}, "of-jane")
    other.log_artifact({"b.txt": os.path.join(folder(a="public"), "a.txt")}, "data")
    uid = secret.uid
    client.close()
    os.unlink("data/a.txt")
    redact("file:s.json", uid)
    content = b"".join(path.read_bytes() for path in Path().rglob("*") if path.is_file())
    assert b"Jane" not in content
    assert b"jane" not in content
    with track.open("file:s.json") as store:
        (left,) = store.artifacts()
        assert (left.name, left.version, left.made_by) == ("data", "v1", [other.uid])
        assert left.open("b.txt").read() == b"public"


def test_artifacts_on_the_command_line(client, capsys):
    """They are listed, shown with a trial, and saved."""
    from track.cli.app import NOT_FOUND, run

    maker, user = new(client, "maker"), new(client, "user")
    maker.log_artifact(folder(a="1", b="2"), "set")
    user.use_artifact("set")
    maker.log_artifact(folder(a="3"), "set")
    client.close()
    assert run(["artifacts"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ["v0" in lines[-2], "v1 (latest)" in lines[-1]] == [True, True]
    assert maker.uid[:12] in lines[-1]
    assert user.uid[:12] in lines[-2]
    assert run(["show", "user"]) == 0
    assert "used  set:v0  2 files, 2 B" in capsys.readouterr().out
    assert run(["get", "set", "-o", "all"]) == 0
    assert Path("all/a.txt").read_text() == "3"
    assert run(["get", "set:v0", "a.txt", "-o", "-"]) == 0
    assert run(["get", "set:v0", "b.txt"]) == 0
    assert Path("b.txt").read_text() == "2"
    capsys.readouterr()
    assert run(["get", "set:v7"]) == NOT_FOUND
    assert "existing: v0" in capsys.readouterr().err
    assert run(["artifacts", "sets"]) == NOT_FOUND
