"""What a process says of itself, and what it keeps to itself."""

import os
import subprocess
import sys

from track import TrackClient
from track.events.types import ProcessDescribed
from track.persistence import get_protocol
from track.provenance.process import gather_facts, git_facts


def described(store):
    return [e.event for e in store.events() if isinstance(e.event, ProcessDescribed)]


def run(
    *arguments, cwd, program="import track; c = track.TrackClient('file:s.json')\nwith c: pass"
):
    (cwd / "train.py").write_text(program)
    subprocess.run([sys.executable, "train.py", *arguments], cwd=cwd, check=True)


def git(folder, *arguments):
    identity = ("-c", "user.name=n", "-c", "user.email=a@b")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_a_process_describes_itself_once():
    """However many trials it starts; not at all before it starts one."""
    client = TrackClient("file:s.json")
    client.set_project(name="p")
    assert described(client.protocol) == []
    for number in range(3):
        with client.new_trial(force=True, parameters={"n": number}):
            pass
    (facts,) = described(client.protocol)
    assert facts.pid == os.getpid()
    assert facts.facts["python"].startswith("3.")
    client.close()


def test_the_command_and_the_commit_are_known(tmp_path):
    """Of the program that was started, in the repository that it is in."""
    (tmp_path / "train.py").touch()
    git(tmp_path, "init", "-q")
    run("--lr", "0.1", cwd=tmp_path)
    git(tmp_path, "add", "train.py")
    git(tmp_path, "commit", "-qm", "x")
    run("--lr", "0.2", cwd=tmp_path)
    run(cwd=tmp_path, program="import track\nwith track.TrackClient('file:s.json'): 2")
    store = get_protocol("file:s.json")
    first, second, third = (event.facts for event in described(store))
    store.close()
    assert first["command"][1:] == ["train.py", "--lr", "0.1"]
    assert "commit" not in first
    assert len(second["commit"]) == 40
    assert (second["modified"], third["modified"]) == (False, True)
    assert second["commit"] == third["commit"]


def test_a_forked_child_describes_itself(tmp_path):
    """It is another process, with a number of its own."""
    client = TrackClient("lmdb:s.lmdb")
    with client.new_trial(parameters={"who": "parent"}):
        pass
    child = os.fork()
    if child == 0:
        try:
            with client.new_trial(force=True, parameters={"who": "child"}):
                pass
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert {event.pid for event in described(client.protocol)} == {os.getpid(), child}
    client.close()


def test_nothing_is_said_when_that_is_not_wanted(monkeypatch):
    """An option turns it off."""
    monkeypatch.setenv("TRACK_PROCESS_FACTS", "no")
    client = TrackClient("file:s.json")
    with client:
        pass
    assert described(client.protocol) == []
    client.close()


def test_only_known_variables_are_taken_down(monkeypatch):
    """The environment is where secrets are."""
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    facts = gather_facts()
    assert facts["environment"]["SLURM_JOB_ID"] == "4711"
    assert "hunter2" not in repr(facts)


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    """Whatever is wrong with it is no reason not to train."""
    assert git_facts(str(tmp_path)) == {}
    assert git_facts(str(tmp_path / "nowhere")) == {}
    monkeypatch.setenv("PATH", "")
    assert git_facts(os.path.dirname(__file__)) == {}
