"""What was logged with log_file, log_directory and log_code can be got back."""

import hashlib
from pathlib import Path

import pytest

import track
from tests.databases import KINDS, uri_of
from tests.relays import served
from track import TrackClient
from track.errors import FileDamaged, ItemNotFound, NotRecordedWarning, TrackError
from track.persistence import get_protocol
from track.stores.redaction import redact
from track.structure import Project, Trial

ON_DISK = ["file:s.json", "lmdb:s.lmdb"]


@pytest.fixture(params=[*ON_DISK, "socket", *KINDS])
def uri(request, tmp_path):
    """The URI of an empty store of each backend that other processes can open."""
    if request.param in KINDS:
        yield uri_of(request.param, str(tmp_path), spool=tmp_path / "spool")
    elif request.param == "socket":
        with served("file:s.json") as server:
            yield server.uri(spool=tmp_path / "spool")
    else:
        yield request.param


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")


def write(path, text):
    """Write a file, and the folders above it."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def log(uri, fill):
    """Log a trial, and return its uid."""
    client = TrackClient(uri)
    with client.new_trial(parameters={}) as trial:
        fill(trial)
    client.close()
    return trial.uid


def text_of(store, uid, name, **kwargs):
    with store.open_file(uid, name, **kwargs) as file:
        return file.read().decode()


def test_files_of_equal_base_names_are_two_files(uri, tmp_path):
    """By their paths in the working folder, or by their whole paths."""
    inside = ["a/plot.png", "b/plot.png"]
    outside = [str(tmp_path / "c" / "plot.png"), str(tmp_path / "d" / "plot.png")]

    def fill(trial):
        for name in (*inside, *outside):
            write(name, name)
            trial.log_file(name)

    uid = log(uri, fill)
    with track.open(uri) as store:
        assert [file.name for file in store.files(uid)] == [*inside, *outside]
        assert repr(store.files(uid)).splitlines()[1].split()[:3] == ["a/plot.png", "10", "file"]
        for file in store.files(uid):
            assert text_of(store, uid, file) == text_of(store, uid, file.name) == file.name
            assert (file.size, file.kind) == (len(file.name), "file")
            assert file.sha256 == hashlib.sha256(file.name.encode()).hexdigest()


def test_a_file_has_one_name_however_it_is_reached(tmp_path):
    """From the working folder, through another one, or from the root."""

    def fill(trial):
        for count, path in enumerate(["a/x", "./a/../a/x", str(tmp_path / "run" / "a" / "x")]):
            write("a/x", str(count))
            trial.log_file(path)

    uid = log("file:s.json", fill)
    with track.open("file:s.json") as store:
        assert [file.name for file in store.files(uid)] == ["a/x"]
        assert text_of(store, uid, "a/x") == "2"
        first = next(e for e in store.history(uid) if "file:a/x" in getattr(e.event, "values", ()))
        assert text_of(store, uid, "a/x", at=first.position) == "0"


def test_folders_of_equal_base_names_are_two_folders():
    """And so are the files in them."""

    def fill(trial):
        for folder in ("a/data", "b/data"):
            write(f"{folder}/deep/x", folder)
            trial.log_directory(folder)

    uid = log("file:s.json", fill)
    with track.open("file:s.json") as store:
        names = [file.name for file in store.files(uid)]
        assert names == ["a/data/deep/x", "b/data/deep/x"]
        assert text_of(store, uid, "b/data/deep/x") == "b/data"
        with pytest.raises(ItemNotFound, match=r"'a/data' is a folder.*a/data/deep/x"):
            store.open_file(uid, "a/data")


def test_files_logged_by_earlier_versions_are_read_under_their_names(tmp_path):
    """Those are the last parts of their paths."""
    store = get_protocol("file:s.json")
    store.new_project(Project(name="p"))
    trial = store.new_trial(Trial(_hash="old", project_id="p"))
    facts = []
    for text in ("one", "two", "code"):
        write("x", text)
        size, digest = store.keep_content("x")
        facts.append({"name": "plot.png", "size": size, "sha256": digest})
    folder = {"name": "data", "size": 3, "sha256": "0" * 64, "files": {"deep/x": facts[1]}}
    store.log_trial_metadata(trial, None, **{"file:plot.png": facts[0], "directory:data": folder})
    store.log_trial_metadata(trial, None, code={**facts[2], "name": "train.py"})
    store.close()
    with track.open("file:s.json") as reader:
        found = {file.name: text_of(reader, "old_0", file) for file in reader.files("old_0")}
    assert found == {"plot.png": "one", "data/deep/x": "two", "train.py": "code"}


def test_a_file_is_named_as_far_as_that_is_clear():
    """By the end of its name, or by how its hash begins; otherwise all that is meant is named."""

    def fill(trial):
        for name in ("a/plot.png", "b/plot.png", "c/model.pt"):
            write(name, name)
            trial.log_file(name)

    uid = log("file:s.json", fill)
    with track.open("file:s.json") as store:
        assert text_of(store, uid, "model.pt") == "c/model.pt"
        (digest,) = {file.sha256 for file in store.files(uid) if file.name == "b/plot.png"}
        assert text_of(store, uid, digest[:12]) == "b/plot.png"
        with pytest.raises(ItemNotFound, match=r"a/plot\.png.*b/plot\.png"):
            store.open_file(uid, "plot.png")
        with pytest.raises(ItemNotFound, match=r"did you mean a/plot\.png"):
            store.open_file(uid, "a/plots.png")


def test_metadata_that_looks_like_a_file_is_none():
    """Metadata may be called anything, and hold anything."""

    def fill(trial):
        trial.log_metadata(code="print()", **{"file:x": {"sha256": "../../x"}, "file:y": 3})
        trial.log_metadata(None, **{"directory:z": {"files": {"u": 1, "v": {"sha256": "ab"}}}})

    uid = log("file:s.json", fill)
    with track.open("file:s.json") as store:
        assert store.files(uid) == []
        with pytest.raises(ItemNotFound, match="has no files"):
            store.open_file(uid, "x")


@pytest.mark.parametrize("digest", ["ab/victim", "../victim", "aa" + "/" * 3 + "victim", "a" * 63])
def test_redacting_removes_no_file_but_logged_ones(digest, tmp_path):
    """A hash in metadata is data, which may look like a path."""
    victim = tmp_path / "run" / "victim"
    victim.write_text("mine")
    (tmp_path / "run" / "s.json.files" / "ab").mkdir(parents=True)
    crafted = digest.replace("///victim", str(victim))
    uid = log("file:s.json", lambda trial: trial.log_metadata(note={"sha256": crafted}))
    assert redact("file:s.json", uid).files == []
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("uri", ON_DISK)
def test_a_content_that_is_missing_or_altered_is_told(uri):
    """Nobody gets other bytes than were logged."""
    write("x", "as logged")
    uid = log(uri, lambda trial: trial.log_file("x"))
    (kept,) = (path for path in Path().glob("s.*.files/*") if path.is_file())
    with track.open(uri) as store:
        kept.write_bytes(kept.read_bytes().replace(b"as logged", b"AS LOGGED"))
        with pytest.raises(FileDamaged, match="no longer what was logged"):
            store.open_file(uid, "x")
        kept.unlink()
        with pytest.raises(ItemNotFound, match=r"is missing: copy .*s\.\w+\.files with the store"):
            store.open_file(uid, "x")


def test_a_store_without_a_place_for_contents_says_so():
    """What was logged is known, only its content is not."""
    write("x", "content")
    client = TrackClient("memory:")
    client.protocol.content = None  # as other packages' backends may be
    with (
        client.new_trial(parameters={}) as trial,
        pytest.warns(NotRecordedWarning, match="contents of logged files are not kept"),
    ):
        trial.log_file("x")
    reader = track.reader.Reader(client.protocol)
    assert [file.size for file in reader.files(trial.trial)] == [7]
    with pytest.raises(TrackError, match="content of x was not kept: this backend only keeps"):
        reader.open_file(trial.trial, "x")
    client.close()


def test_memory_keeps_small_contents():
    """As a database does without a place for larger ones."""
    write("x", "content")
    write("large", "x" * (2**20 + 1))
    client = TrackClient("memory:")
    with client.new_trial(parameters={}) as trial:
        trial.log_file("x")
        with pytest.warns(NotRecordedWarning, match="large has 1048577 bytes, but memory keeps"):
            trial.log_file("large")
    reader = track.reader.Reader(client.protocol)
    assert text_of(reader, trial.trial, "x") == "content"
    assert [file.size for file in reader.files(trial.trial)] == [7, 2**20 + 1]
    with pytest.raises(ItemNotFound, match="is not in this store"):
        reader.open_file(trial.trial, "large")
    client.close()
