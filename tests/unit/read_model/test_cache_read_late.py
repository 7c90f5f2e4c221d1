"""What is read of a cache after it was opened: whatever becomes of it, answers are a replay's."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import track
from tests.property.test_folds import dump
from track.errors import StoreNotFound
from track.persistence import get_protocol
from track.projections.history import as_of
from track.projections.rows import UnreadTrial
from track.projections.stored import StoredObjects
from track.structure import Project, Status, Trial

URIS = {"file:store.json": "store.json.journal", "lmdb:store.lmdb": "store.lmdb"}


@pytest.fixture(params=URIS)
def uri(request, monkeypatch):
    """A store of twenty trials, all of which are in its cache."""
    monkeypatch.setenv("TRACK_CACHE_AFTER", "1")
    protocol = get_protocol(request.param)
    protocol.new_project(Project(name="p"))
    for number in range(20):
        log(protocol, made(protocol, f"t{number}"))
    protocol.close()
    return request.param


def made(protocol, name):
    trial = Trial(name=name, project_id="p", parameters={"lr": 0.1})
    protocol.new_trial(trial)
    return trial


def log(protocol, trial):
    for step in range(5):
        protocol.log_trial_metrics(trial, step=step, loss=step / 7)
    protocol.set_trial_status(trial, Status.Completed)


def cache_of(uri):
    return Path(f"{URIS[uri]}.cache")


def change(uri, statement):
    with closing(sqlite3.connect(cache_of(uri), isolation_level=None)) as connection:
        connection.execute(statement)


def check(protocol):
    with protocol.read_state() as objects:
        assert dump(objects) == dump(as_of(protocol.journal.read_batches()))


DAMAGE = [
    "UPDATE subjects SET body = body || x'00' WHERE id = 7",
    "UPDATE subjects SET head = substr(head, 2) WHERE id = 12",
    "UPDATE subjects SET metrics = NULL",
    "UPDATE subjects SET crcs = 5 WHERE id > 3",
    "DELETE FROM subjects WHERE id = 9",
    "DROP TABLE subjects",
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_row_that_turns_out_to_be_damaged_is_replayed(uri, damage):
    """Also when it is met in the middle of looking at the others."""
    change(uri, damage)
    with track.open(uri) as reader:
        assert reader.summaries().total == 20
        assert {one.name for one in reader.trials()} == {f"t{number}" for number in range(20)}
        check(reader.protocol)
    with track.open(uri) as reader:  # it was made again
        check(reader.protocol)


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_logged_about_a_trial_whose_row_is_damaged_counts(uri, damage):
    protocol = get_protocol(uri)
    with protocol.read_state() as objects:
        assert type(objects) is StoredObjects
    change(uri, damage)
    again = Trial(name="t6", project_id="p", parameters={"lr": 0.1})
    log(protocol, again)
    with protocol.read_state() as objects:
        assert objects.trials[again.uid].metadata["_update_count"] == 12
    check(protocol)
    protocol.close()


def test_a_damaged_directory_is_not_used(uri):
    change(uri, "UPDATE directory SET data = data || x'00'")
    protocol = get_protocol(uri)
    check(protocol)
    protocol.close()


def test_a_trial_is_not_made_twice_because_its_row_is_missing(uri):
    """Rows are found without an index that may be damaged."""
    change(uri, "DELETE FROM subjects WHERE id = 9")
    protocol = get_protocol(uri)
    assert protocol.new_trial(Trial(name="t7", project_id="p", parameters={"lr": 0.1})) is None
    protocol.close()


def test_somebody_else_may_write_it_before_it_is_read(uri):
    """Who opened it earlier begins anew with what there is then."""
    first, second = get_protocol(uri), get_protocol(uri)
    for protocol in (first, second):
        with protocol.read_state() as objects:
            assert type(objects) is StoredObjects
    log(second, made(second, "new"))
    check(second)
    trial = made(first, "newer")
    with first.read_state() as objects:
        assert type(objects) is StoredObjects
        assert objects.trials[trial.uid].name == "newer"
    for protocol in (first, second):
        check(protocol)
        protocol.close()


def test_nobody_changes_it_while_somebody_looks(uri):
    """They do without, and find later that nothing is missing."""
    looking, logging = get_protocol(uri), get_protocol(uri)
    before = cache_of(uri).read_bytes()
    with looking.read_state() as objects:
        log(logging, made(logging, "new"))
        check(logging)
        assert cache_of(uri).read_bytes() == before
        assert len(objects.trials) == 20
    check(looking)
    looking.close()
    check(logging)
    logging.close()


def test_it_may_be_removed_before_it_is_read(uri):
    protocol = get_protocol(uri)
    with protocol.read_state() as objects:
        assert type(objects) is StoredObjects
    cache_of(uri).unlink()
    check(protocol)
    protocol.close()


def test_a_view_does_not_read_the_points_of_a_cache_that_took_the_place_of_its_own(uri):
    """Whoever makes a cache anew numbers its series in another way."""
    with track.open(uri) as reader:
        (trial,) = reader.trials({"name": "t3"})
        loss = trial.metrics["loss"]
        cache_of(uri).unlink()
        other = get_protocol(uri)
        log(other, made(other, "new"))
        check(other)
        other.close()
        assert loss == {step: step / 7 for step in range(5)}


@pytest.mark.parametrize("first", ["the cache", "the journal"])
def test_a_store_that_is_copied_while_it_is_written_is_what_its_journal_says(uri, first, tmp_path):
    """The cache of the copy may be older or newer than its journal, or cut."""
    journal, copy = Path(URIS[uri]), tmp_path / "copy"
    copy.mkdir()
    files = [cache_of(uri), journal, *Path().glob("store.json")]
    if first == "the journal":
        files.reverse()
    protocol = get_protocol(uri)
    for file in files:
        shutil.copy(file, copy)
        log(protocol, made(protocol, f"beside {file}"))
        check(protocol)
    protocol.close()
    os.chdir(copy)
    for cut in (0, 1, cache_of(uri).stat().st_size // 2):
        os.truncate(cache_of(uri), cache_of(uri).stat().st_size - cut)
        copied = get_protocol(uri)
        check(copied)
        copied.close()


def test_a_cache_whose_journal_is_gone_is_nothing(uri):
    """A new store in its place is a new one, and who only looks finds none."""
    Path(URIS[uri]).unlink()
    Path("store.json").unlink(missing_ok=True)
    with pytest.raises(StoreNotFound):
        track.open(uri)
    protocol = get_protocol(uri)
    assert protocol.fetch_trials() == []
    log_one = made(protocol, "first") if protocol.new_project(Project(name="p")) else None
    assert [trial.name for trial in protocol.fetch_trials()] == [log_one.name]
    check(protocol)
    protocol.close()


WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE checkpoint SET crc = 5")
    connection.execute("COMMIT")
except sqlite3.OperationalError as error:
    print(error)
"""


def test_others_in_the_process_do_not_lift_the_lock_of_whoever_looks(uri):
    """POSIX takes all locks on a file from a process that closes it once."""
    looking = get_protocol(uri)
    with looking.read_state():
        for _ in range(2):
            other = get_protocol(uri)
            check(other)
            other.close()
        command = [sys.executable, "-c", WRITE, str(cache_of(uri))]
        assert subprocess.check_output(command, text=True) == "database is locked\n"
    looking.close()


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_writer_lets_go_of_trials_that_ended(uri, is_removed):
    """It keeps their rows instead, and they change as if nothing had happened."""
    protocol = get_protocol(uri)
    ended, running = made(protocol, "ended"), made(protocol, "running")
    protocol.log_trial_metrics(running, step=1, loss=0.5)
    protocol.log_trial_start(ended)
    log(protocol, ended)
    protocol.log_trial_finish(ended)
    for step in range(5, 7):
        protocol.commit("report.json")  # which reads all trials, but not for good
        with protocol.read_state() as objects:
            assert type(objects.trials[ended.uid]) is UnreadTrial
            assert type(objects.trials[running.uid]) is Trial
        if is_removed:
            cache_of(uri).unlink(missing_ok=True)
        check(protocol)
        protocol.log_trial_metrics(ended, step=step, loss=step / 7)
    (found,) = protocol.fetch_trials({"uid": ended.uid})
    assert found.metrics == {"loss": {step: step / 7 for step in range(7)}}
    protocol.close()
