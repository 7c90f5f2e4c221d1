"""Check that a cache of a writer that was killed or out of space equals a replay or is unused."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.property.test_folds import dump
from track.containers.points import Unusable
from track.journals.stretches import Stretches
from track.persistence import get_protocol
from track.projections.history import as_of
from track.projections.objects import Objects
from track.projections.projection import fold
from track.read_model.cache import Cache
from track.structure import Project, Trial

ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import sys
from track.persistence import get_protocol
from track.structure import Trial

protocol = get_protocol("file:store.json")
trial = Trial(_hash=sys.argv[1], project_id="p")
protocol.new_trial(trial)
print("ready", flush=True)
for step in range(10**6):
    protocol.log_trial_metrics(trial, step=step, loss=step / 7, acc=0.5)
    with protocol.read_state():
        pass
"""


def check():
    protocol = get_protocol("file:store.json")
    with protocol.read_state() as objects:
        assert dump(objects) == dump(as_of(protocol.journal.read_batches()))
    protocol.close()


def made():
    protocol = get_protocol("file:store.json")
    protocol.new_project(Project(name="p"))
    return protocol


@pytest.mark.parametrize("seed", range(4))
def test_two_writers_killed_at_any_moment_leave_what_a_replay_gives(seed):
    """They catch up at once, and each continues with what the other one wrote."""
    made().close()
    chance = random.Random(seed)
    command = [sys.executable, "-c", WRITER]
    environment = {"PYTHONPATH": str(ROOT), "TRACK_CACHE_AFTER": "1"}
    writers = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, env=environment) for name in "ab"
    ]
    for writer in writers:
        assert writer.stdout.readline() == b"ready\n"
        writer.stdout.close()
    for writer in writers:
        time.sleep(chance.random() / 4)
        writer.kill()
        writer.wait()
    check()
    check()


def test_a_cache_that_has_no_room_leaves_the_objects_as_they_are(tmp_path):
    """Whatever could not be written is written at the next opportunity."""
    protocol = made()
    trial = Trial(_hash="a", project_id="p")
    protocol.new_trial(trial)
    for step in range(20_000):
        protocol.log_trial_metrics(trial, step=step, loss=step / 7)
    objects, stretches, journal = Objects(), Stretches(), protocol.journal
    for batch in journal.read_batches():
        stretches.add(*batch)
        fold(objects, [batch])
    cache = Cache(str(tmp_path / "cache"), lambda uid, name: None)
    with cache._used(create=True) as connection:
        connection.execute("PRAGMA max_page_count = 20")
    with pytest.raises(Unusable, match="full"):
        cache.save(objects, stretches, journal.fingerprint)
    assert dump(objects) == dump(as_of(journal.read_batches()))
    with cache._used() as connection:
        connection.execute("PRAGMA max_page_count = 100000")
    cache.save(objects, stretches, journal.fingerprint)
    assert dump(objects) == dump(as_of(journal.read_batches()))
    cache.release()
    again = Cache(cache.path, lambda uid, name: None).load(journal.fingerprint, recover=None)
    assert dump(again) == dump(objects)
    protocol.close()


def test_where_nobody_may_write_the_cache_is_in_the_folder_of_the_user(tmp_path, monkeypatch):
    """If that is not writable either, there is no cache, and no error."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    folder = tmp_path / "store"
    folder.mkdir()
    monkeypatch.chdir(folder)
    protocol = made()
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(folder))
    place = Path(protocol.journal.cache_path())
    assert place.parent == tmp_path / "caches" / "track"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert protocol.journal.cache_path() is None
    protocol.close()
