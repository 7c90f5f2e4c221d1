"""Caches: a store opens with what was kept of it, and never with what is wrong."""

import copy
import logging
import os
import pickle
import random
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

import track
from tests.databases import KINDS, port_of, uri_of
from tests.property.test_folds import dump
from tests.proxy import Proxy
from track.journals.memory import MemoryJournal
from track.journals.producer import Producer
from track.persistence import get_protocol
from track.persistence.cockroach import open_journal
from track.persistence.local_repository import LocalRepository
from track.projections.history import as_of
from track.projections.stored import StoredObjects
from track.read_model import cache_series
from track.structure import Project, Status, Trial, TrialGroup
from track.utils.caches import cache_of_user

URIS = ["file:store.json", "lmdb:store.lmdb", *KINDS]
CACHES = {
    "file:store.json": "store.json.journal.cache",
    "lmdb:store.lmdb": "store.lmdb.cache",
}


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Snapshots are written for every new event, in a folder of this test's own."""
    monkeypatch.setenv("TRACK_CACHE_AFTER", "1")


@pytest.fixture(params=URIS)
def uri(request, tmp_path):
    """A store on disk, or a log of a database, whose cache is in the folder of the user."""
    return uri_of(request.param, str(tmp_path)) if request.param in KINDS else request.param


@pytest.fixture
def path(uri, tmp_path):
    """Where the cache of the store is."""
    return tmp_path / CACHES[uri] if uri in CACHES else Path(open_journal(uri)[0].cache_path())


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


def start_over(uri, path):
    """Remove a store, and all that is beside it."""
    for file in path.parent.iterdir():
        file.unlink()
    if uri not in CACHES:
        journal, _ = open_journal(uri)
        for table in ("events", "logs", "locks"):
            journal.ask(f"DELETE FROM {table} WHERE log = %(log)s RETURNING 1")
        journal.close()


def check(uri):
    """Make sure that a store is what a replay makes of it; return whether its cache was used."""
    protocol = get_protocol(uri)
    with protocol.read_state() as objects:
        is_cached = isinstance(objects, StoredObjects)
        assert dump(objects) == dump(as_of(protocol.journal.read_batches()))
    protocol.close()
    return is_cached


def test_a_store_opens_with_its_cache(uri, path):
    """Nothing is replayed that the cache covers, and the outcome is the same."""
    fill(uri)
    assert path.exists()
    assert check(uri)


def test_what_came_after_the_cache_is_replayed(uri, path, monkeypatch):
    """A cache is behind the journal as a rule; the rest is read."""
    trial = fill(uri)
    monkeypatch.setenv("TRACK_CACHE_AFTER", "1000000")
    kept = path.read_bytes()
    protocol = get_protocol(uri)
    protocol.log_trial_metrics(trial, step=100, loss=0.5)
    protocol.close()
    assert path.read_bytes() == kept
    assert check(uri)


def test_a_store_without_a_cache_is_replayed(uri, path):
    """And leaves one for the next time."""
    fill(uri)
    path.unlink()
    assert not check(uri)
    assert path.exists()


def test_a_few_events_are_not_worth_a_cache(uri, path, monkeypatch):
    """Small stores do without."""
    monkeypatch.delenv("TRACK_CACHE_AFTER")
    fill(uri)
    assert not path.exists()


def refused(uri, caplog, why):
    """Make sure that a store is opened without its cache, and that the log says why."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "track"):
        assert not check(uri)
    assert why in caplog.text
    assert all(record.levelno == logging.INFO for record in caplog.records)


def test_what_is_damaged_in_a_cache_is_not_used(uri, path):
    """Any bit may flip, and any part of the end may be missing: the outcome is that of a replay."""
    fill(uri)
    whole, chance = path.read_bytes(), random.Random(0)
    for number in range(30):
        data = bytearray(whole)
        place = chance.randrange(len(data))
        if number % 2:
            del data[place:]
        else:
            data[place] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        check(uri)
        check(uri)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_cache_of_other_folds_is_not_used(caplog, change):
    """Neither of an earlier nor of a later version of what events add up to."""
    with patch.object(cache_series, "FOLDS_VERSION", cache_series.FOLDS_VERSION + change):
        fill("file:store.json")
    refused("file:store.json", caplog, "another version")


def test_a_cache_of_a_later_version_is_left_alone(uri, path, caplog):
    """Somebody with a newer Track uses it; this one does without."""
    fill(uri)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {cache_series.VERSION + 1}")
    kept = path.read_bytes()
    check(uri)
    assert "was not changed" in caplog.text
    assert path.read_bytes() == kept


def test_a_file_that_is_no_cache_is_left_alone(uri, path, caplog):
    """Whatever stands in its place is somebody else's, which is said once."""
    fill(uri)
    path.write_bytes(b"my notes")
    check(uri)
    assert path.read_bytes() == b"my notes"
    assert caplog.text.count("was not changed") == 1


def test_a_cache_of_another_journal_is_not_used(uri, path, caplog):
    """Also when the other one is as long, as after the store was started over."""
    fill(uri, "other")
    kept = path.read_bytes()
    start_over(uri, path)
    fill(uri, "first")
    path.write_bytes(kept)
    refused(uri, caplog, "not the one it was made from")


def test_a_cache_ahead_of_its_journal_is_not_used(caplog, tmp_path):
    """After a loss of power the journal may lack what the cache has already."""
    fill("file:store.json")
    path = tmp_path / "store.json.journal"
    os.truncate(path, path.stat().st_size - 1)
    refused("file:store.json", caplog, "not the one it was made from")
    assert path.stat().st_size > 0


def test_a_cache_that_cannot_be_read_or_written_is_done_without(uri, path, caplog):
    """A cache must not keep anybody from their data."""
    fill(uri)
    path.unlink()
    path.mkdir()
    with caplog.at_level(logging.INFO, "track"):
        check(uri)
    assert "is not used" in caplog.text
    assert path.is_dir()


def test_somebody_who_writes_the_cache_is_not_waited_for(uri, path, caplog):
    """Two at once do no harm: one of them leaves it to the other."""
    fill(uri)
    protocol = get_protocol(uri)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with caplog.at_level(logging.INFO, "track"):
            protocol.new_project(Project(name="q"))
            assert len(protocol.fetch_projects()) == 2
        assert "was not written" in caplog.text
        other.execute("ROLLBACK")
    protocol.new_project(Project(name="r"))
    assert len(protocol.fetch_projects()) == 3
    protocol.close()
    check(uri)


def test_a_cache_that_is_removed_in_use_is_made_again(uri, path):
    """Removing it changes nothing but time."""
    trial = fill(uri)
    protocol = get_protocol(uri)
    assert len(protocol.fetch_trials()) == 1
    path.unlink()
    protocol.log_trial_metrics(trial, step=100, loss=0.5)
    assert len(protocol.fetch_trials()[0].metrics["loss"]) == 101
    assert path.exists()
    protocol.close()
    check(uri)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.loads])
def test_a_trial_that_nobody_looked_at_is_copied_whole(uri, way):
    """What is unpacked when it is looked at is unpacked for a copy, too."""
    fill(uri)
    protocol = get_protocol(uri)
    with protocol.read_state() as objects:
        (trial,) = objects.trials.values()
        twin = way(pickle.dumps(trial) if way is pickle.loads else trial)
        assert (twin, twin.parameters) == (trial, {"lr": 0.1})
        assert twin.metrics["loss"] == {step: step / 7 for step in range(100)}
        with pytest.raises(AttributeError, match="no attribute 'x'"):
            _ = twin.x
    protocol.close()


def test_the_views_of_a_reader_are_what_was_logged(uri):
    """With the time of each value, and of a trial that nobody looked at before."""
    fill(uri)
    with track.open(uri) as reader:
        (trial,) = reader.trials()
        loss = trial.metrics["loss"]
        assert loss == {step: step / 7 for step in range(100)}
        assert [*loss.times] == sorted(loss.times)
        assert abs(loss.times[-1] * 1e-9 - time.time()) < 3600
        assert [*trial.metrics] == ["old", "loss", "free"]
        assert len(reader.attempts(trial)) == 1


def test_two_who_write_it_in_turn_find_the_same(uri):
    """Each goes on with what the other one kept."""
    trial = fill(uri)
    protocols = [get_protocol(uri) for _ in range(2)]
    for step in range(100, 140):
        protocol = protocols[step % 2]
        protocol.log_trial_metrics(trial, step=step, loss=0.5)
        assert len(protocol.fetch_trials()[0].metrics["loss"]) == step + 1
    for protocol in protocols:
        protocol.close()
    check(uri)


def test_many_who_open_and_close_at_once_find_the_same(uri):
    """Whoever reads a cache while others replace it finds one, whole."""
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


def test_a_journal_with_no_place_for_caches_does_without():
    """Memory ends with its process, and so would they."""
    journal = MemoryJournal()
    protocol_store = LocalRepository(journal, Producer(journal))
    journal.append([b"garbage"])
    with protocol_store.read_state() as objects:
        assert objects.events == 1
    assert journal.cache_source() is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_cache_of_a_database_tells_nothing_to_others(kind, tmp_path):
    """Its folder is the user's own, and neither its name nor what is in it knows the password."""
    secret = "s3cret-of-the-database"
    folder = tmp_path / ".cache" / "track"
    folder.mkdir(parents=True, mode=0o755)
    uri = uri_of(kind, str(tmp_path)).replace("@", f":{secret}@", 1)
    fill(uri)
    check(uri)
    (path,) = folder.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    places = {open_journal(one)[0].cache_path() for one in (uri, uri_of(kind, str(tmp_path)))}
    assert places == {str(path)}
    assert secret not in path.name
    assert secret.encode() not in path.read_bytes()
    others = [uri.replace("127.0.0.1", "localhost"), uri_of(kind, "other")]
    assert str(path) not in [open_journal(other)[0].cache_path() for other in others]


def test_a_folder_of_somebody_else_has_no_caches(tmp_path, monkeypatch):
    """Whose it is could put anything there."""
    assert cache_of_user("x").startswith(str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    assert cache_of_user("x") is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_is_read_without_a_place_for_caches(kind, tmp_path, monkeypatch):
    """A folder that cannot be made, or not be written, costs time and nothing else."""
    uri = uri_of(kind, str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("in the way")
    trial = fill(uri)
    check(uri)
    with track.open(uri) as reader:
        assert len(reader.trial(trial.uid).metrics["loss"].sample(10)) <= 20


def test_a_relative_name_of_the_folder_is_ignored(monkeypatch, tmp_path):
    """As the specification of these folders says."""
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_of_user("x").startswith(str(tmp_path / "home" / ".cache" / "track"))


def test_without_a_home_nothing_is_cached(monkeypatch, tmp_path):
    """Least of all in a folder named ~ in the working folder."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # knows nobody
    assert cache_of_user("x") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_most_is_read_before_others_have_to_wait(kind, tmp_path, monkeypatch):
    """What a new client has to catch up with is no part of its first decision."""
    uri = uri_of(kind, str(tmp_path))
    fill(uri)
    os.remove(open_journal(uri)[0].cache_path())
    protocol = get_protocol(uri)
    behind = []
    enter = protocol.journal.exclusive

    @contextmanager
    def noting():
        with enter():
            behind.append(protocol.journal.head() - protocol.repository._now.objects.position)
            yield

    monkeypatch.setattr(protocol.journal, "exclusive", noting)
    protocol.new_project(Project(name="q"))
    assert behind == [0]
    protocol.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_of_trials_takes_a_handful_of_statements(kind, tmp_path):
    """However many there are: they are in the cache, and what is new is read at once."""
    uri = uri_of(kind, str(tmp_path))
    fill(uri)
    protocol = get_protocol(uri)
    for number in range(30):
        protocol.new_trial(Trial(_hash=f"{number:064x}", project_id="p"))
    protocol.close()
    statements = []
    with Proxy(port_of(kind)) as proxy:

        def noted(is_request, data):
            statements.extend([1] * (is_request and data.startswith(b"Q")))
            yield data

        proxy.spoil = noted
        with track.open(uri_of(kind, str(tmp_path), proxy.port)) as reader:
            assert reader.summaries(limit=5).total == 31
            assert 0 < len(statements) <= 5
            assert len(reader.trials()) == 31
            assert len(statements) <= 6


def test_a_small_chunk_that_joins_another_is_found_by_an_index(tmp_path):
    """To look through all of them for each took hours with thousands of trials."""
    fill("file:store.json")
    with closing(sqlite3.connect(tmp_path / CACHES["file:store.json"])) as connection:
        plan = connection.execute("EXPLAIN QUERY PLAN SELECT 1 FROM chunks WHERE axis = 1")
        assert "USING" in plan.fetchone()[3]
