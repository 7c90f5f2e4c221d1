"""Bad input is one line on stderr that says what to do, and the documented exit code."""

import os
from pathlib import Path
from zlib import crc32

import pytest

from tests.unit.cli.conftest import fill
from track import open as open_store
from track.cli.app import FAILURE, NOT_FOUND, USAGE
from track.errors import BackendError

MISSING = [
    *(["ls"], ["ls", "projects"], ["show", "x"], ["plot", "x"], ["report"], ["log"], ["tail"]),
    *(["diff", "x", "y"], ["blame", "x", "status"], ["export"], ["archive", "x"], ["verify"]),
    *(["restore", "x"], ["redact", "x"], ["replay"], ["repair"], ["compact"]),
    *(["rm", "x"], ["files", "x"], ["get", "x", "y"], ["backup", "file:copy.json"]),
]


def assert_one_line(result):
    assert result.out == ""
    assert result.err.startswith("track: ")
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err


@pytest.mark.parametrize("verb", MISSING, ids=lambda verb: verb[0])
@pytest.mark.parametrize("uri", ["file:missing.json", "lmdb:missing.lmdb", "missing/store.json"])
def test_a_missing_store_is_named(track, verb, uri):
    """And is not made."""
    result = track(*verb, "-s", uri)
    assert_one_line(result)
    assert result.code == NOT_FOUND
    assert "missing" in result.err
    assert os.listdir() == []


@pytest.mark.parametrize(
    "verb",
    [
        *(["show", "basline"], ["plot", "basline"], ["log", "basline"], ["diff", "basline", "x"]),
        *(["blame", "basline", "status"], ["archive", "basline"], ["restore", "basline"]),
        ["redact", "basline"],
    ],
    ids=lambda verb: verb[0],
)
def test_a_similar_trial_is_suggested(track, store, verb):
    """A letter was forgotten."""
    result = track(*verb)
    assert_one_line(result)
    assert result.code == NOT_FOUND
    assert "did you mean baseline?" in result.err


def test_too_short_a_prefix_is_told(track, store):
    """Two trials may well share it tomorrow."""
    with open_store(store) as reader:
        uid = reader.trial("baseline").uid
    assert "give at least 4 characters of a uid" in track("show", uid[:3]).err


@pytest.mark.parametrize("kept", ["store.json", "store.json.journal", "link"])
@pytest.mark.parametrize("verb", [["export", "-o"], ["report", "--html"]], ids=lambda verb: verb[0])
def test_no_result_is_written_over_the_store(track, store, verb, kept):
    """It would be lost; a link to it is followed."""
    os.symlink("store.json.journal", "link")
    before = Path(kept).read_bytes()
    result = track(*verb, kept)
    assert_one_line(result)
    assert (result.code, "is part of the store" in result.err) == (USAGE, True)
    assert Path(kept).read_bytes() == before
    assert track(*verb, "other").code == 0


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        (["ls", "-w", "bogus=1"], "unknown field 'bogus'"),
        (["ls", "-w", "="], "invalid condition"),
        (["ls", "-w", "name~("], "invalid regular expression"),
        (["ls", "--sort", "bogus"], "cannot be sorted"),
        (["show", "baseline", "--at", "soon"], "invalid time"),
        (["report", "--at", "yesterday"], "invalid time"),
        (["log", "--since", "x"], "invalid time"),
        (["diff", "baseline"], "nothing to compare"),
        (["blame", "baseline", "metrics.none"], "was never set"),
        (["plot", "baseline", "-m", "none"], "use one of"),
        (["ls", "-s", "bogus:x"], "unknown backend"),
        (["ls", "-s", "file:store.json?bogus=1"], "bogus"),
        (["verify", "-s", "memory:"], "not a store on disk"),
    ],
)
def test_what_cannot_be_meant_is_told(track, store, verb, words):
    """With what can."""
    result = track(*verb)
    assert_one_line(result)
    assert result.code == USAGE
    assert words in result.err


@pytest.mark.parametrize("verb", [["ls", "--bogus"], ["bogus"], ["show"], ["ls", "-n", "x"]])
def test_wrong_usage_is_told(track, verb):
    """As for any command: 2."""
    result = track(*verb)
    assert result.code == USAGE
    assert "Usage:" in result.err


def test_without_a_store_it_is_asked_for(track):
    """There is none here, and none is named."""
    result = track("ls")
    assert_one_line(result)
    assert result.code == USAGE
    assert "no store was given, and " in result.err
    assert "use track … --store file:report.json" in result.err


def test_of_several_stores_none_is_taken(track, store):
    """It could be the wrong one: they are listed, with how to name one."""
    fill("lmdb:other.lmdb")
    result = track("ls")
    assert_one_line(result)
    assert result.code == USAGE
    assert "file:store.json, lmdb:other.lmdb" in result.err
    assert "track … --store file:store.json or track.open('file:store.json')" in result.err
    assert track("ls", "-s", "lmdb:other.lmdb").code == 0
    assert "file:store.json, lmdb:other.lmdb" in track("doctor").out
    with pytest.raises(BackendError, match=r"folder has file:store\.json, lmdb:other\.lmdb:"):
        open_store()


def test_the_only_store_is_named_where_one_may_be_made(track, store):
    """What is made is not meant by chance."""
    result = track("serve")
    assert result.code == USAGE
    assert "this folder has file:store.json: use" in result.err


def test_the_environment_names_the_store(track, store, monkeypatch):
    """A flag counts more."""
    fill("lmdb:other.lmdb")
    monkeypatch.setenv("TRACK_LOG_BACKEND_NAME", "file:missing.json")
    assert track("ls").code == NOT_FOUND
    assert track("ls", "-s", store).code == 0


@pytest.mark.parametrize(
    "uri", ["socket://localhost:9?timeout=1", "postgres://localhost:9/x?timeout=1"]
)
@pytest.mark.parametrize("verb", ["ls", "report", "log"])
def test_an_unreachable_server_is_told(track, verb, uri):
    """After the time that it was given."""
    result = track(verb, "-s", uri)
    assert_one_line(result)
    assert result.code == FAILURE


def test_a_folder_is_no_store(track):
    """Nor is a file of somebody else."""
    Path("folder.lmdb").mkdir()
    Path("text.json").write_text("no JSON")
    for uri in ("lmdb:folder.lmdb", "file:text.json"):
        result = track("ls", "-s", uri)
        assert_one_line(result)
        assert result.code == FAILURE


def test_a_newer_format_is_told(track, store):
    """What to do is to upgrade."""
    path = Path("store.json.journal")
    data = bytearray(path.read_bytes())
    data[3] = 99
    data[12:16] = crc32(data[:12]).to_bytes(4, "little")
    path.write_bytes(data)
    result = track("ls")
    assert_one_line(result)
    assert "upgrade" in result.err


@pytest.mark.parametrize(
    ("source", "words"),
    [("missing.json", "does not exist"), ("bad.json", "bad.json"), ("empty", "")],
)
def test_what_cannot_be_imported_is_told(track, source, words):
    """No store is left behind half made."""
    Path("bad.json").write_text('{"not": "a report"}')
    Path("empty").mkdir()
    result = track("import", source, "-s", "file:new.json")
    assert_one_line(result)
    assert result.code in (FAILURE, NOT_FOUND)
    assert words in result.err
    assert not Path("new.json.journal").exists()


def test_a_similar_verb_is_suggested(track):
    """A letter was swapped."""
    result = track("shwo")
    assert result.code == USAGE
    assert "Did you mean show?" in result.err
