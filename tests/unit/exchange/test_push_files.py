"""Logged files and artifacts are pushed to MLflow, each once, whatever happens on the way."""

import hashlib
import shutil

import pytest

from tests.unit.exchange.conftest import log_steps, push_to_mlflow
from track.errors import PushFailed

EMPTY = hashlib.sha256(b"").hexdigest()


def files_at(server):
    """Return the contents at the server by their path below the folder of the run."""
    return {path.split("/artifacts/", 1)[1]: data for path, data in server.artifacts.items()}


def log_files(trial, folder):
    (folder / "inner").mkdir()
    (folder / "inner" / "a.txt").write_bytes(b"a")
    (folder / "empty").write_bytes(b"")
    trial.log_file(folder / "empty")
    trial.log_directory(folder / "inner")
    trial.log_artifact(folder / "inner", "weights")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder of a script."""
    made = tmp_path / "work"
    made.mkdir()
    monkeypatch.chdir(made)
    return made


def test_files_and_artifacts_are_pushed(client, server, folder):
    """A file that is logged again replaces the former one; versions of artifacts stay."""
    with client.new_trial(parameters={}) as trial:
        log_files(trial, folder)
        push_to_mlflow(client.protocol, server)
        (folder / "inner" / "a.txt").write_bytes(b"another")
        trial.log_file(folder / "inner" / "a.txt")
        trial.log_artifact(folder / "inner", "weights")
    done = push_to_mlflow(client.protocol, server)
    assert (done.rows, done.problems) == (2, [])
    found = files_at(server)
    versions = {name: data for name, data in found.items() if name.startswith("artifacts/")}
    assert {*found} - {*versions} == {"files/empty", "files/inner/a.txt"}
    assert (found["files/empty"], found["files/inner/a.txt"]) == (b"", b"another")
    assert sorted(versions.values()) == [b"a", b"another"]
    assert all(name.startswith("artifacts/weights-") for name in versions)


def test_each_file_is_sent_once(client, server, folder):
    """Also by a push that remembers nothing."""
    with client.new_trial(parameters={}) as trial:
        log_files(trial, folder)
        log_steps(trial, range(3))
    push_to_mlflow(client.protocol, server)
    push_to_mlflow(client.protocol, server, wanted_as="remembers nothing")
    paths = [path for method, path in server.requests if method == "PUT"]
    assert len(paths) == len({*paths}) == 3


@pytest.mark.parametrize("how", ["before", "after"])
def test_a_file_whose_answer_is_lost_is_sent_again(client, server, folder, how):
    with client.new_trial(parameters={}) as trial:
        log_files(trial, folder)
        log_steps(trial, range(3))
    lost = iter([how, how])
    server.spoil = lambda number, path: next(lost, None) if "/files/" in path else None
    assert push_to_mlflow(client.protocol, server).problems == []
    assert len(files_at(server)) == 3
    assert [step for _, _, step, _ in server.points()] == [0, 1, 2]


def test_a_push_that_stops_at_a_file_goes_on_there(client, server, folder):
    """What came before it is not sent again."""
    with client.new_trial(parameters={}) as trial:
        log_steps(trial, range(600))
        log_files(trial, folder)
    server.spoil = lambda number, path: (503, {}, "") if "/files/" in path else None
    with pytest.raises(PushFailed):
        push_to_mlflow(client.protocol, server, patience_s=0.0)
    assert files_at(server) == {}
    server.spoil = lambda number, path: None
    push_to_mlflow(client.protocol, server)
    assert len(files_at(server)) == 3
    assert [step for _, _, step, _ in server.points()] == [*range(600)]


def test_a_file_whose_content_is_gone_is_told(client, server, folder):
    with client.new_trial(parameters={}) as trial:
        log_files(trial, folder)
    for path in folder.parent.rglob("runs.json*files*"):
        shutil.rmtree(path)
    done = push_to_mlflow(client.protocol, server)
    assert any("files/empty is left out" in problem for problem in done.problems)


def test_names_of_files_stay_inside(client, server, tmp_path, monkeypatch):
    """A file outside of the working folder is called by its whole path."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "outside.txt").write_bytes(b"x")
    monkeypatch.chdir(work)
    with client.new_trial(parameters={}) as trial:
        trial.log_file("../outside.txt")
        trial.log_metadata({"file:../../x": {"name": "../../x", "size": 0, "sha256": EMPTY}})
        (work / "empty").write_bytes(b"")
        trial.log_file("empty")
    push_to_mlflow(client.protocol, server)
    names = {*files_at(server)}
    assert "files/__/__/x" in names
    assert any(name.endswith("/outside.txt") for name in names)
    assert all(name.startswith("files/") and "/../" not in name for name in names)
