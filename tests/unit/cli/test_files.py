"""`track files` and `track get`: logged files are listed, and got back without doing any harm."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from track import TrackClient
from track.cli.app import DAMAGE, FAILURE, NOT_FOUND, USAGE
from track.persistence import get_protocol
from track.structure import Project, Trial


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A store with a trial that logged files, in a working folder where these no longer are."""
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    client = TrackClient("file:s.json")
    with client.new_trial(name="t", parameters={}) as trial:
        for name in ("a/plot.png", "b/plot.png", "data/deep/x", str(tmp_path / "out" / "whole")):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(name.encode() + b"\x00\xff")
            if "data" not in name:
                trial.log_file(name)
        trial.log_directory("data")
        for path in [*Path("a").iterdir(), *Path("b").iterdir(), Path("data/deep/x")]:
            path.unlink()
    client.close()


def content(path):
    return Path(path).read_bytes()


def test_files_are_listed(track, files, tmp_path):
    """With size, kind and enough of the hash to name it; as JSON, all of it."""
    result = track("files", "t")
    assert (result.code, result.err) == (0, "")
    head, *lines = result.out.splitlines()
    assert head.split() == ["name", "bytes", "kind", "sha256"]
    digest = hashlib.sha256(b"a/plot.png\x00\xff").hexdigest()
    assert lines[0].split() == ["a/plot.png", "12", "file", digest[:12]]
    names = ["a/plot.png", "b/plot.png", str(tmp_path / "out" / "whole"), "data/deep/x"]
    assert [line.split()[0] for line in lines] == names
    first = json.loads(track("files", "t", "--json").out.splitlines()[0])
    assert first == {"name": "a/plot.png", "size": 12, "sha256": digest, "kind": "file"}


def test_files_are_got_under_their_names(track, files):
    """Each where it belongs below the working folder."""
    for name in ("a/plot.png", "b/plot.png"):
        result = track("get", "t", name)
        assert (result.code, result.out, result.err) == (0, f"{name}\n", "")
        assert content(name) == name.encode() + b"\x00\xff"


def test_a_file_is_got_elsewhere(track, files):
    """At a path, in a folder, or on stdout."""
    assert track("get", "t", "a/plot.png", "-o", "new/p.png").code == 0
    assert content("new/p.png") == b"a/plot.png\x00\xff"
    assert track("get", "t", "a/plot.png", "-o", "new").out == "new/plot.png\n"
    assert content("new/plot.png") == b"a/plot.png\x00\xff"


def test_a_file_is_got_on_stdout(files):
    """Byte by byte."""
    command = [sys.executable, "-m", "track", "get", "t", "b/plot.png", "-o", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"b/plot.png\x00\xff", b"")


def test_a_folder_is_got(track, files):
    """Below the working folder, or another one."""
    assert track("get", "t", "data").out == "data/deep/x\n"
    assert track("get", "t", "data/", "-o", "there").out == "there/deep/x\n"
    assert content("data/deep/x") == content("there/deep/x") == b"data/deep/x\x00\xff"
    result = track("get", "t", "data", "-o", "-")
    assert (result.code, result.out) == (USAGE, "")


def test_a_file_that_was_logged_by_its_whole_path_is_got_here(track, files, tmp_path):
    """Not where it was."""
    assert track("get", "t", "whole").out == "whole\n"
    assert content("whole") == str(tmp_path / "out" / "whole").encode() + b"\x00\xff"


def test_nothing_is_overwritten_unless_it_is_forced(track, files):
    """Neither the file, nor what a link at its place leads to, and of a folder nothing at all."""
    Path("a/plot.png").write_text("mine")
    Path("data/deep/x").symlink_to("missing")
    for name in ("a/plot.png", "data"):
        result = track("get", "t", name)
        assert (result.code, result.out) == (FAILURE, "")
        assert "already exists: choose another path with -o, or use --force" in result.err
    assert content("a/plot.png") == b"mine"
    assert track("get", "t", "a/plot.png", "--force").code == 0
    assert content("a/plot.png") == b"a/plot.png\x00\xff"


def test_what_is_not_there_is_not_found(track, files):
    """The exit codes are those of all verbs; nothing is written."""
    before = sorted(Path().rglob("*"))
    assert track("get", "t", "c/plot.png").code == NOT_FOUND
    assert track("get", "t", "plot.png").code == NOT_FOUND
    assert track("get", "u", "a/plot.png").code == NOT_FOUND
    assert track("files", "u").code == NOT_FOUND
    for kept in Path("s.json.files").glob("*.pack"):
        kept.write_bytes(kept.read_bytes().replace(b"a/plot.png", b"other.file"))
    assert track("get", "t", "a/plot.png").code == DAMAGE
    assert sorted(Path().rglob("*")) == before


def log_odd(folder, name, files):
    """Record what no version of Track would: names that lead elsewhere. Return the hash."""
    (folder / "run").mkdir()
    os.chdir(folder / "run")
    store = get_protocol("file:s.json")
    store.new_project(Project(name="p"))
    trial = store.new_trial(Trial(_hash="odd", project_id="p"))
    Path("x").write_text("evil")
    Path("link").symlink_to(folder)
    size, digest = store.keep_content("x")
    facts = {"name": name, "size": size, "sha256": digest}
    kind = "directory" if files else "file"
    store.log_trial_metadata(
        trial, None, **{f"{kind}:odd": {**facts, "files": dict.fromkeys(files, facts)}}
    )
    store.close()
    return digest


@pytest.mark.parametrize(
    ("name", "files", "output"),
    [
        ("../evil", [], None),
        ("a/../../evil", [], None),
        ("..", [], None),
        ("/", [], None),
        ("/..", [], "."),
        ("link/evil", [], None),
        ("ev\0il", [], None),
        ("d", ["../../evil"], None),
        ("d", ["../evil"], "new"),
        ("d", ["/tmp/evil"], None),
        ("d", ["/tmp/evil"], "."),
        ("../d", ["evil"], None),
        ("d", ["evil", "link/evil"], "."),
    ],
)
def test_no_name_leads_out_of_the_folder(track, tmp_path, name, files, output):
    """Names in a journal are data: another program may have written anything there."""
    digest = log_odd(tmp_path, name, files)
    before = sorted(tmp_path.rglob("*"))
    result = track("get", "odd_0", name if files else digest, *(["-o", output] if output else []))
    assert (result.code, result.out) == (FAILURE, "")
    assert "leads outside" in result.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_trial_is_shown_with_its_files_but_not_with_their_facts(track, tmp_path):
    """Some of many, with the command that lists all."""
    folder = tmp_path / "plots"
    folder.mkdir()
    for number in range(25):
        (folder / f"{number:02}.txt").write_text("x")
    client = TrackClient("file:s.json")
    with client.new_trial(name="t") as trial:
        trial.log_directory("plots")
        trial.log_metadata(note="kept")
    client.close()
    shown = track("show", "t").out
    assert "sha256" not in shown
    assert "note" in shown
    assert shown.count(" 1 B\n") == 20
    assert "and 5 more, listed by track files" in shown
