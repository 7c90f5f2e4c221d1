"""`track show --code` and `track checkout`: which code a trial ran."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from track.cli.app import FAILURE, NOT_FOUND

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
from track import TrackClient
client = TrackClient("file:../s.json")
with client.new_trial(name="t", parameters={}):
    pass
"""


def git(folder, *arguments):
    identity = ("-c", "user.name=n", "-c", "user.email=a@b")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Return a function that runs a trial of a script in a repository with changes."""
    monkeypatch.setenv("TRACK_LOG_BACKEND_NAME", f"file:{tmp_path}/s.json")
    folder = tmp_path / "repository"
    (folder / "deep").mkdir(parents=True)
    (folder / "model.py").write_text("one\ntwo\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "x")

    def run(model="one\n2\n", code="yes"):
        (folder / "model.py").write_text(model)
        (folder / "deep" / "train.py").write_text(SCRIPT)
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TRACK_PROCESS_CODE": code}
        command = [sys.executable, "deep/train.py", "--lr=0.1"]
        subprocess.run(command, cwd=folder, env=environment, check=True)
        return folder

    return run


def test_the_code_is_shown(ran, track):
    """Commit, command, changes, script and packages."""
    ran()
    out = track("show", "--code", "t").out
    for part in ("and changes\n", "deep/train.py --lr=0.1\n", "-two\n+2\n", "msgpack ", SCRIPT):
        assert part in out
    shown = json.loads(track("show", "--code", "t", "--json").out)
    assert shown["untracked"] == ["deep/train.py"]
    assert shown["text"] == SCRIPT


def test_without_a_record_it_is_said_how_to_get_one(ran, track):
    """The commit and the command are there all the same, so the commit can be checked out."""
    folder = ran(code="no")
    shown = track("show", "--code", "t")
    assert "no script, changes or packages were recorded: set TRACK_PROCESS_CODE" in shown.err
    assert "--lr=0.1" in shown.out
    assert track("checkout", "t", "-o", "out").code == 0
    assert Path("out/model.py").read_text() == "one\ntwo\n"
    os.rename(folder, "elsewhere")
    result = track("checkout", "t", "-o", "other")
    assert (result.code, os.path.exists("other")) == (NOT_FOUND, False)
    assert "TRACK_PROCESS_CODE" in result.err


def test_a_worktree_has_the_changes_and_the_script(ran, track):
    """The repository is found where the trial ran, or here; nothing is overwritten."""
    folder = ran()
    result = track("checkout", "t", "-o", "out")
    assert (result.code, result.out, result.err) == (0, "out\n", "")
    assert Path("out/model.py").read_text() == "one\n2\n"
    assert Path("out/deep/train.py").read_text() == SCRIPT
    assert track("checkout", "t", "-o", "out").code == FAILURE
    ran(model="one\nthree\n")
    os.rename(folder, "moved")
    os.chdir("moved/deep")
    (name,) = track("checkout", "t").out.split()
    assert Path(name, "model.py").read_text() == "one\nthree\n"
    Path("../model.py").write_text("mine\n")
    assert track("checkout", "t", "-o", "../new").code == 0
    assert Path("../model.py").read_text() == "mine\n"


def test_without_the_repository_files_are_written(ran, track):
    """Script, changes and packages."""
    os.rename(ran(), "elsewhere")
    result = track("checkout", "t", "-o", "out")
    assert "no git repository has commit" in result.err
    assert sorted(os.listdir("out")) == ["changes.diff", "packages.txt", "train.py"]
    assert "+2\n" in Path("out/changes.diff").read_text()
    assert "msgpack==" in Path("out/packages.txt").read_text()


def test_changes_that_hide_a_secret_do_not_apply(ran, track):
    """They are beside the folder, so what is missing can be filled in."""
    folder = ran(model='token = "0123456789abcdef"\n')
    git(folder, "add", "model.py")
    git(folder, "commit", "-qm", "a secret")
    ran(model="token = None\n")
    result = track("checkout", "t", "-o", "out")
    assert (result.code, "do not apply" in result.err) == (0, True)
    assert Path("out/model.py").read_text() == 'token = "0123456789abcdef"\n'
    assert '-token = "***"' in Path("out.diff").read_text()
