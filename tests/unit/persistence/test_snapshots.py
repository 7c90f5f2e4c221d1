"""Snapshots: a store opens with what was kept of it, and never with what is wrong."""

import logging
import os
import random
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pytest

from tests.property.test_folds import dump
from track.errors import LockTimeout
from track.journals.memory import MemoryJournal
from track.journals.producer import Producer
from track.persistence import get_protocol, repository
from track.persistence.repository import LocalRepository
from track.projections import snapshot
from track.projections.history import as_of
from track.projections.objects import Objects
from track.structure import Project, Status, Trial, TrialGroup
from track.utils.files import replacing

URIS = ["file:store.json", "lmdb:store.lmdb"]
SNAPSHOTS = {
    "file:store.json": "store.json.journal.snapshot",
    "lmdb:store.lmdb": "store.lmdb.snapshot",
}


@pytest.fixture(autouse=True)
def often(monkeypatch, tmp_path):
    """Snapshots are written for every new event, in a folder of this test's own."""
    monkeypatch.setattr(repository, "FEWEST_NEW_EVENTS", 1)
    monkeypatch.setattr(repository, "ONE_NEW_IN", 10**9)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=URIS)
def uri(request):
    return request.param


@pytest.fixture
def path(uri, tmp_path):
    """Where the snapshot of the store is."""
    return tmp_path / SNAPSHOTS[uri]


@pytest.fixture
def replays(monkeypatch):
    """What each bringing up to date began with: the position, 0 for a replay of everything."""
    began = []

    def noting(objects, journal):
        began.append(objects.position)
        catch_up(objects, journal)

    catch_up = repository.catch_up
    monkeypatch.setattr(repository, "catch_up", noting)
    return began


def fill(uri, name="p"):
    """Make a store with something of everything in it, and close it."""
    protocol = get_protocol(uri)
    protocol.new_project(Project(name=name, metadata={"odd": {None: (1, 2**70)}}))
    protocol.new_trial_group(TrialGroup(_uid="g", name="g", project_id=name))
    trial = Trial(project_id=name, group_id="g", parameters={"lr": 0.1}, metrics={"old": {2: 1.0}})
    protocol.new_trial(trial)
    protocol.log_trial_start(trial)
    for step in range(100):
        protocol.log_trial_metrics(trial, step=step, loss=step / 7)
        protocol.log_trial_metrics(trial, free=step / 3)
    with_chrono(protocol, trial)
    protocol.set_trial_status(trial, Status.Running)
    protocol.close()
    return trial


def with_chrono(protocol, trial):
    for _ in range(3):
        protocol.log_trial_chrono_start(trial, "epoch")
        protocol.log_trial_chrono_finish(trial, "epoch")
    protocol.log_trial_chrono_start(trial, "never finished")


def check(uri):
    """Make sure that a store is what a replay of everything makes of it."""
    protocol = get_protocol(uri)
    with protocol.read_state() as objects:
        assert dump(objects) == dump(as_of(protocol.journal.read_batches()))
    protocol.close()


def test_a_store_opens_with_its_snapshot(uri, path, replays):
    """Nothing is replayed that the snapshot covers, and the outcome is the same."""
    fill(uri)
    assert path.exists()
    del replays[:]
    check(uri)
    assert min(replays) > 0


def test_what_came_after_the_snapshot_is_replayed(uri, path, replays, monkeypatch):
    """A snapshot is behind the journal as a rule; the rest is read."""
    trial = fill(uri)
    monkeypatch.setattr(repository, "FEWEST_NEW_EVENTS", 10**6)
    kept = path.read_bytes()
    protocol = get_protocol(uri)
    protocol.log_trial_metrics(trial, step=100, loss=0.5)
    protocol.close()
    assert path.read_bytes() == kept
    del replays[:]
    check(uri)
    assert min(replays) > 0


def test_a_store_without_a_snapshot_is_replayed(uri, path, replays):
    """And leaves one for the next time."""
    fill(uri)
    path.unlink()
    del replays[:]
    check(uri)
    assert replays[0] == 0
    assert path.exists()


def test_a_few_events_are_not_worth_a_snapshot(uri, path, monkeypatch):
    """Small stores do without."""
    monkeypatch.setattr(repository, "FEWEST_NEW_EVENTS", 4096)
    fill(uri)
    assert not path.exists()


def refused(uri, replays, caplog, why):
    """Make sure that a store is opened without its snapshot, and that the log says why."""
    del replays[:]
    caplog.clear()
    with caplog.at_level(logging.INFO, "track"):
        check(uri)
    assert replays[0] == 0
    assert why in caplog.text
    assert all(record.levelno == logging.INFO for record in caplog.records)


@pytest.mark.parametrize("seed", range(10))
def test_a_damaged_snapshot_is_not_used(uri, path, replays, caplog, seed):
    """Any bit may flip, and any part of the end may be missing."""
    fill(uri)
    data = bytearray(path.read_bytes())
    chance = random.Random(seed)
    place = chance.randrange(len(data))
    if seed % 2:
        del data[place:]
    else:
        data[place] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    refused(uri, replays, caplog, "is not used: it")
    del replays[:]
    check(uri)
    assert min(replays) > 0  # it was written anew


@pytest.mark.parametrize("name", ["VERSION", "FOLDS_VERSION"])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_snapshot_of_another_version_is_not_used(replays, caplog, name, change):
    """Neither of an earlier nor of a later one, of the format or of the folds."""
    with patch.object(snapshot, name, getattr(snapshot, name) + change):
        fill("file:store.json")
    refused("file:store.json", replays, caplog, "another version")


def test_a_snapshot_of_another_journal_is_not_used(uri, path, replays, caplog):
    """Also when the other one is as long, as after the store was started over."""
    fill(uri, "other")
    kept = path.read_bytes()
    for file in path.parent.iterdir():
        file.unlink()
    fill(uri, "first")
    path.write_bytes(kept)
    refused(uri, replays, caplog, "not the one it was made from")


def test_a_snapshot_ahead_of_its_journal_is_not_used(replays, caplog, tmp_path):
    """After a loss of power the journal may lack what the snapshot has already."""
    fill("file:store.json")
    path = tmp_path / "store.json.journal"
    os.truncate(path, path.stat().st_size - 1)
    refused("file:store.json", replays, caplog, "not the one it was made from")
    assert path.stat().st_size > 0


def test_a_snapshot_that_cannot_be_read_or_written_is_done_without(uri, path, replays, caplog):
    """A cache must not keep anybody from their data."""
    fill(uri)
    path.unlink()
    path.mkdir()
    refused(uri, replays, caplog, "is not used")
    assert "no snapshot of the journal was written" in caplog.text
    assert list(path.parent.glob(".*")) == []


def test_what_cannot_be_packed_is_refused(uri, path, caplog):
    """A store with something odd in it has no snapshot, and works."""
    protocol = get_protocol(uri)
    protocol.new_project(Project(name="p"))
    with protocol.read_state() as objects:
        objects.projects["p"].metadata["odd"] = object()
    path.unlink()
    protocol.new_project(Project(name="q"))
    with caplog.at_level(logging.INFO, "track"):
        assert len(protocol.fetch_projects()) == 2
    assert "no snapshot of the journal was written: a value cannot be packed" in caplog.text
    assert not path.exists()


def test_somebody_who_writes_the_snapshot_is_not_waited_for(uri, path, caplog):
    """Two at once do no harm: one of them leaves it to the other."""
    fill(uri)
    kept = path.read_bytes()
    protocol = get_protocol(uri)
    with replacing(str(path), 0, durably=False) as file:
        file.write(kept)
        with caplog.at_level(logging.INFO, "track"):
            protocol.new_project(Project(name="q"))
            assert len(protocol.fetch_projects()) == 2
    assert "another process has been writing" in caplog.text
    protocol.close()
    check(uri)


def test_many_who_open_and_close_at_once_find_the_same(uri):
    """Whoever reads a snapshot while others replace it finds one, whole."""
    trial = fill(uri)

    def visit(number):
        protocol = get_protocol(uri)
        for step in range(5):
            protocol.log_trial_metadata(trial, **{f"{number}.{step}": 1})
        found = protocol.fetch_trials()[0]
        protocol.close()
        return all(f"{number}.{step}" in found.metadata for step in range(5))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(visit, range(24)))
    check(uri)


def test_a_journal_with_no_place_for_snapshots_does_without():
    """Memory ends with its process, and so would they."""
    journal = MemoryJournal()
    protocol_store = LocalRepository(journal, Producer(journal))
    journal.append([b"garbage"])
    with protocol_store.read_state() as objects:
        assert objects.events == 1
    journal.save_snapshot([b"anything"])
    assert journal.load_snapshot() is None


def test_a_snapshot_is_packed_without_copies_of_columns():
    """Its parts are views of what a replay made, as large stores have little memory to spare."""
    objects = Objects()
    series = snapshot.StepSeries((step, step / 2) for step in range(1000))
    objects.add_trial(Trial(_hash="a", metrics={"loss": series}))
    *_, steps, values = snapshot.pack(objects, lambda position: b"mark")
    assert (len(steps), len(values)) == (8000, 8000)
    assert isinstance(steps, memoryview)
    with pytest.raises(BufferError):
        series[1000] = 1.0


def test_replacing_a_file_that_another_process_replaces_times_out(tmp_path):
    """Waiting for nobody is an answer, too."""
    path = str(tmp_path / "file")
    with replacing(path, 0), pytest.raises(LockTimeout), replacing(path, 0):
        pass
