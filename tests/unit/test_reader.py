"""Opening stores to look at them: nothing is made, changed, imported or set aside."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import track
from tests.databases import KINDS, uri_of
from track import TrackClient
from track.errors import (
    BackendError,
    ItemNotFound,
    JournalError,
    JournalWriteError,
    StoreNotFound,
)
from track.exchange import copy_store
from track.persistence import get_protocol, register
from track.persistence.protocol import Protocol
from track.structure import LOST, Status, Trial

TRAIN = """
import sys
from track import TrackClient
client = TrackClient(sys.argv[1])
trial = client.new_trial(name="mine", parameters={"lr": 0.1}).start()
trial.log_metrics(step=0, loss=1.0)
print("running", flush=True)
sys.stdin.read()
"""


def everything_in(folder):
    """Return each file, its content, and when it was changed."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in Path(folder).rglob("*")
        if path.is_file() and not path.name.endswith("-lock")
    }


def look_at_everything(reader):
    """Ask for whatever there is, and return some of it."""
    for trial in reader.trials():
        assert list(reader.history(trial))
        reader.attempts(trial)
        reader.provenance(trial, "status")
        reader.status(trial)
    return [*reader.trials(), *reader.groups(), *reader.projects()], "".join(reader.report())


@pytest.mark.parametrize("uri", ["file:s.json", "s.json", "lmdb:s.lmdb"])
def test_looking_changes_nothing(uri, tmp_path):
    """Every file is as it was, to the nanosecond."""
    client = TrackClient(uri)
    client.set_project(name="p")
    with client.new_trial(parameters={"lr": 0.1}) as trial:
        trial.log_metrics(step=0, loss=1.0)
    client.close()
    before = everything_in(tmp_path)
    with track.open(uri) as reader:
        assert len(look_at_everything(reader)[0]) == 2
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("uri", ["file:no.json", "no.json", "lmdb:no.lmdb", "file:no/where.json"])
def test_a_store_that_is_not_there_is_told(uri, tmp_path):
    """It is not made."""
    with pytest.raises(StoreNotFound, match=r".*no.* does not exist: check the path") as caught:
        track.open(uri)
    assert isinstance(caught.value, ItemNotFound)
    assert os.listdir(tmp_path) == []


def test_the_report_of_an_old_tracker_is_read(tmp_path):
    """It is not imported: the next one who logs there does that."""
    client = TrackClient("file:new.json")
    client.set_project(name="p")
    with client.new_trial(name="mine", parameters={"lr": 0.1}) as trial:
        trial.log_metrics(step=3, loss=1.0)
    client.close()
    Path("old.json").write_text(Path("new.json").read_text())
    before = everything_in(tmp_path)
    with track.open("file:old.json") as reader:
        assert reader.trial("mine").metrics == {"loss": {3: 1.0}}
    assert everything_in(tmp_path) == before


def test_a_journal_without_its_report_is_read(tmp_path):
    """The next one who logs there makes the report again; who looks finds it as it is."""
    client = TrackClient("file:s.json")
    client.new_trial(name="mine", parameters={"lr": 0.1})
    client.close()
    os.unlink("s.json")
    with track.open("file:s.json") as reader:
        assert reader.trial("mine").parameters == {"lr": 0.1}
    assert os.listdir(tmp_path) == ["s.json.journal"]


def test_a_store_of_somebody_else_is_read(tmp_path):
    """It cannot be written to, which is not needed."""
    client = TrackClient("file:s.json")
    client.new_trial(name="mine", parameters={"lr": 0.1})
    client.close()
    os.chmod("s.json.journal", 0o444)
    with track.open("file:s.json") as reader:
        assert reader.trial("mine").parameters == {"lr": 0.1}
        with pytest.raises(JournalWriteError):
            reader.protocol.log_trial_metadata(reader.trial("mine"), a=1)


def test_a_reader_says_what_it_reads(tmp_path):
    """Without the password."""
    TrackClient("file:s.json")
    with track.open("file:s.json") as reader:
        assert repr(reader) == "Reader('file:s.json')"
        reader.protocol.uri = "socket://me:hunter2@host"
        assert "hunter2" not in repr(reader)


def test_the_environment_names_the_store(monkeypatch):
    """As it does for those who log."""
    TrackClient("file:s.json").new_trial(name="mine", parameters={})
    monkeypatch.setenv("TRACK_LOG_BACKEND_NAME", "file:s.json")
    with track.open() as reader:
        assert reader.trial("mine").name == "mine"
    monkeypatch.delenv("TRACK_LOG_BACKEND_NAME")
    with track.open() as reader:  # it is the only one here
        assert reader.trial("mine").name == "mine"
    TrackClient("lmdb:s.lmdb")
    with pytest.raises(BackendError, match="no store was given"):
        track.open()


def test_a_backend_without_a_journal_has_no_history():
    """The error says so."""
    register("bare", Protocol)
    with pytest.raises(BackendError, match="has no journal"):
        track.open("bare:x")


@pytest.mark.parametrize("uri", ["file:s.json", "lmdb:s.lmdb"])
def test_a_trial_whose_process_died_is_continued(uri):
    """Its first attempt is lost; the second one goes on with what it had."""
    with subprocess.Popen(
        [sys.executable, "-c", TRAIN, uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"running\n"
        with track.open(uri) as reader:
            (running,) = reader.attempts("mine")
            assert running.status is Status.Running
            assert running.process.pid == process.pid
        process.send_signal(signal.SIGKILL)
    with track.open(uri) as reader:
        (lost,) = reader.attempts("mine")
        assert lost.status == LOST
        assert lost.finished_at is None
        uid = reader.find_uid("mine")
    client = TrackClient(uri)
    with client.set_trial(uid=uid) as trial:
        trial.log_metrics(step=0, loss=2.0)
        trial.log_metrics(step=1, loss=1.0)
    client.close()
    with track.open(uri) as reader:
        assert [attempt.status for attempt in reader.attempts("mine")] == [LOST, Status.Completed]
        assert reader.trial("mine").metrics == {"loss": {0: 2.0, 1: 1.0}}
        origins = reader.provenance("mine", "metrics.loss.0")
        assert [(o.value, o.attempt.number) for o in origins] == [(1.0, 1), (2.0, 2)]


def test_trials_are_shown_in_notebooks():
    """As a table, in which nothing that was logged is taken for HTML."""
    trial = Trial(
        name="<b>x</b>", parameters={"lr": "<script>"}, metrics={"loss": {0: 1.5, 1: 0.5}}
    )
    html = trial._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script>" not in html
    assert "0.5" in html


def test_the_whole_report_of_a_moment(tmp_path):
    """It is what the report was then."""
    client = TrackClient("file:s.json")
    with client.new_trial(name="mine", parameters={"lr": 0.1}) as trial:
        trial.log_metrics(step=0, loss=1.0)
    client.save()
    then = client.protocol.journal.head()
    report = json.loads(Path("s.json").read_text())
    client.new_trial(force=True, name="later", parameters={"lr": 0.2})
    with track.open("file:s.json") as reader:
        assert json.loads("".join(reader.report(at=then))) == report
    client.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_that_is_not_there_is_told(kind, tmp_path):
    """Nor is it made; one that somebody logged to is found."""
    uri = uri_of(kind, str(tmp_path)[-255:], spool=tmp_path / "spool")
    for _ in range(2):
        with pytest.raises(StoreNotFound, match="does not exist"):
            track.open(uri)
    client = TrackClient(uri)
    client.new_trial(name="mine", parameters={})
    client.close()
    with track.open(uri) as reader:
        assert reader.trial("mine").name == "mine"


def test_an_empty_file_is_no_environment(tmp_path):
    """LMDB would make one of it."""
    Path("s.lmdb").touch()
    with pytest.raises(JournalError, match="is not a Track journal"):
        track.open("lmdb:s.lmdb")
    assert Path("s.lmdb").stat().st_size == 0


def test_the_files_of_a_store_are_copied_with_it(tmp_path):
    """Whoever copies only reads the source."""
    Path("notes.txt").write_text("notes")
    client = TrackClient("file:s.json")
    client.new_trial(parameters={}).log_file("notes.txt")
    client.close()
    with track.open("file:s.json") as reader:
        target = get_protocol("file:t.json")
        assert copy_store(reader.protocol, target).files == 1
        target.close()
