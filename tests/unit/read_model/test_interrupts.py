"""Ctrl-C while objects catch up with a journal loses nothing and repeats nothing."""

import itertools
import sqlite3
import sys
from contextlib import closing, contextmanager

import pytest

from tests.property.test_folds import dump
from track.persistence import get_protocol
from track.projections.history import as_of
from track.structure import Project, Trial, TrialGroup


@contextmanager
def interrupted(count, module="track/projections/"):
    """Interrupt the fold of events at its call of a function of a module with this number."""
    calls = itertools.count(1)

    def on_call(frame, event, _):
        is_fold = event == "call" and module in frame.f_code.co_filename
        if is_fold and next(calls) == count:
            sys.setprofile(None)
            raise KeyboardInterrupt

    sys.setprofile(on_call)
    try:
        yield
    finally:
        sys.setprofile(None)


def log_by_turns(writer, trials):
    for _ in range(200):
        for trial in trials:
            writer.log_trial_metrics(trial, loss=0.5)


@pytest.fixture
def uri(tmp_path):
    return f"file:{tmp_path / 'store.json'}"


@pytest.fixture
def writer(uri):
    made = get_protocol(uri)
    made.new_project(Project(name="p"))
    made.new_trial_group(TrialGroup(_uid="g", name="g", project_id="p"))
    yield made
    made.close()


@pytest.fixture
def trials(writer):
    """Trials that have logged by turns."""
    made = [Trial(project_id="p", group_id="g", parameters={"n": n}) for n in range(8)]
    for trial in made:
        writer.new_trial(trial)
    log_by_turns(writer, made)
    return made


@pytest.mark.usefixtures("trials")
@pytest.mark.parametrize("count", [5, 40, 80, 100, 120, 160, 200, 240])
def test_no_event_is_applied_twice_after_an_interrupt(uri, count):
    """It may come in the middle of a batch, of which some trials have their events already."""
    reader = get_protocol(uri)
    with pytest.raises(KeyboardInterrupt), interrupted(count), reader.read_state():
        pass
    with reader.read_state() as objects:
        assert dump(objects) == dump(as_of(reader.journal.read_batches()))
    reader.close()


def test_an_interrupt_leaves_the_cache_to_others(uri, writer, trials, monkeypatch):
    """Even while somebody keeps the exception, and with it what was being read."""
    monkeypatch.setenv("TRACK_CACHE_AFTER", "1")
    reader = get_protocol(uri)
    with reader.read_state():
        pass
    reader.close()
    log_by_turns(writer, trials)
    reader = get_protocol(uri)
    fold = interrupted(5, "track/projections/projection.py")
    with pytest.raises(KeyboardInterrupt) as kept, fold, reader.read_state():
        pass
    cache = f"{uri}.journal.cache?mode=rw"
    with closing(sqlite3.connect(cache, 0, isolation_level=None, uri=True)) as other:
        other.execute("BEGIN EXCLUSIVE")
    del kept
    reader.close()
