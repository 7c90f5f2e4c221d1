"""Which code a process runs: its script, what differs from the commit, and the packages."""

import logging
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import track
from track import TrackClient
from track.errors import ItemNotFound
from track.provenance.code import MOST, changes_in, gather_code, packages

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
from track import TrackClient
password = "hunter2hunter2"
client = TrackClient("file:s.json")
for number in range(2):
    with client.new_trial(force=True, name=f"t{number}", parameters={"n": number}) as trial:
        MORE
"""


def git(folder, *arguments):
    identity = ("-c", "user.name=n", "-c", "user.email=a@b")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    """A repository with a commit."""
    folder = tmp_path / "repository"
    (folder / "deep").mkdir(parents=True)
    for name in ("kept.py", "gone.py", "deep/größe.py"):
        (folder / name).write_text("one\ntwo\nthree\n")
    (folder / "picture.bin").write_bytes(bytes(range(256)))
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "x")
    return folder


def run(folder, more="pass", **environment):
    (folder / "train.py").write_text(SCRIPT.replace("MORE", more))
    subprocess.run(
        [sys.executable, "train.py", "--token", "abc"],
        cwd=folder,
        check=True,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "SOME_SETTING": "of_the_environment"}
        | environment,
    )


def test_what_differs_from_the_commit_is_recorded(repository):
    """Whatever git is set up to show; binary files and new ones are named."""
    for key, value in (
        ("diff.noprefix", "true"),
        ("diff.external", "false"),
        ("color.ui", "always"),
    ):
        git(repository, "config", key, value)
    (repository / "kept.py").write_text("one\n2\nthree\n")
    (repository / "gone.py").unlink()
    (repository / "deep" / "größe.py").write_bytes(b"one\r\n\xff\n")
    (repository / "picture.bin").write_bytes(b"\0")
    (repository / "new file.txt").touch()
    git(repository, "add", "gone.py")
    found = changes_in(str(repository / "deep"))
    assert found["root"] == os.path.realpath(repository)
    assert found["left_out"] == ["picture.bin"]
    assert found["untracked"] == ["new file.txt"]
    names = [line for line in found["diff"].splitlines() if line.startswith("diff --git")]
    assert names == [
        f"diff --git a/{name} b/{name}" for name in ("deep/größe.py", "gone.py", "kept.py")
    ]
    git(repository, "checkout", "-q", "-f", "HEAD")
    git(repository, "config", "--unset", "diff.noprefix")
    patch = found["diff"].encode("utf-8", "surrogateescape")
    subprocess.run(["git", "apply", "-"], cwd=repository, input=patch, check=True)
    assert (repository / "kept.py").read_text() == "one\n2\nthree\n"
    assert (repository / "deep" / "größe.py").read_bytes() == b"one\r\n\xff\n"


def test_long_changes_are_named(repository):
    """Those that fit are recorded nevertheless."""
    (repository / "gone.py").write_text("x" * MOST)
    (repository / "kept.py").write_text("short\n")
    found = changes_in(str(repository))
    assert found["left_out"] == ["gone.py"]
    assert "+short" in found["diff"]
    (repository / "deep" / "größe.py").write_text("y" * 9 * MOST)
    found = changes_in(str(repository))
    assert set(found["left_out"]) >= {"deep/größe.py"}
    assert "yyy" not in found["diff"]


def test_without_a_repository_nothing_is_said_of_changes(tmp_path, monkeypatch, caplog):
    """Nor without git, nor without a commit. The log says so for those who look."""
    caplog.set_level(logging.DEBUG, "track.provenance.code")
    assert changes_in(str(tmp_path)) == {}
    git(tmp_path, "init", "-q")
    assert changes_in(str(tmp_path)) == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert changes_in(str(tmp_path)) == {}
    found = gather_code()
    assert "diff" not in found
    assert "no git repository" in caplog.text


def test_packages_have_their_versions():
    """As the standard library knows them, which is slower."""
    found = packages()
    assert found["msgpack"] == version("msgpack")
    assert found["pytest"] == version("pytest")
    assert [*found] == sorted(found, key=str.lower)


@pytest.mark.parametrize("how", ["option", "call"])
def test_a_process_records_its_code_once(repository, how):
    """Without secrets and without the environment; each of its trials has it."""
    (repository / "kept.py").write_text('api_key = "0123456789abcdef"\n')
    if how == "option":
        run(repository, TRACK_PROCESS_CODE="yes")
    else:
        run(repository, "trial.log_code()")
    with track.open(f"file:{repository}/s.json") as store:
        codes = [store.code(name) for name in ("t0", "t1")]
        metadata = store.trial("t0").metadata
    assert codes[0] == codes[1]
    code = codes[0]
    assert code.command[1:] == ["train.py", "--token", "***"]
    assert (code.script, code.attempt) == ("train.py", 1)
    assert 'password = "***"\n' in code.text
    assert "+api_key" in code.diff
    assert "train.py" in code.untracked
    assert code.packages["msgpack"] == version("msgpack")
    assert ("code" in metadata) == (how == "call")
    journal = (repository / "s.json.journal").read_bytes()
    for secret in (b"hunter2", b"0123456789abcdef", b"of_the_environment"):
        assert secret not in journal
    assert journal.count(b"msgpack") == 1


def test_nothing_is_recorded_unless_asked(repository):
    """But for the commit and the command."""
    run(repository)
    with track.open(f"file:{repository}/s.json") as store:
        code = store.code("t0")
        assert (len(code.commit), code.packages, code.text, code.diff) == (40, {}, "", "")
        with pytest.raises(ItemNotFound, match="attempt 2"):
            store.code("t0", 2)


def test_a_trial_that_nobody_ran_has_no_code():
    """The error says so."""
    client = TrackClient("file:s.json")
    client.new_trial(name="t", parameters={})
    client.close()
    with track.open("file:s.json") as store, pytest.raises(ItemNotFound, match="no attempt"):
        store.code("t")
