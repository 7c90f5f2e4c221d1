"""Ctrl-C while objects catch up with a journal loses nothing and repeats nothing."""

import itertools
import sys
from contextlib import contextmanager

import pytest

from tests.property.test_folds import dump
from track.persistence import get_protocol
from track.projections.history import as_of
from track.structure import Project, Trial, TrialGroup


@contextmanager
def interrupted(count):
    """Interrupt the fold of events at its call of a function that has this number."""
    calls = itertools.count(1)

    def on_call(frame, event, _):
        is_fold = event == "call" and "track/projections/" in frame.f_code.co_filename
        if is_fold and next(calls) == count:
            sys.setprofile(None)
            raise KeyboardInterrupt

    sys.setprofile(on_call)
    try:
        yield
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("count", [5, 40, 80, 100, 120, 160, 200, 240])
def test_no_event_is_applied_twice_after_an_interrupt(tmp_path, count):
    """It may come in the middle of a batch, of which some trials have their events already."""
    uri = f"file:{tmp_path / 'store.json'}"
    writer = get_protocol(uri)
    writer.new_project(Project(name="p"))
    writer.new_trial_group(TrialGroup(_uid="g", name="g", project_id="p"))
    trials = [Trial(project_id="p", group_id="g", parameters={"n": n}) for n in range(8)]
    for trial in trials:
        writer.new_trial(trial)
    for _ in range(200):
        for trial in trials:
            writer.log_trial_metrics(trial, loss=0.5)

    reader = get_protocol(uri)
    with pytest.raises(KeyboardInterrupt), interrupted(count), reader.read_state():
        pass
    with reader.read_state() as objects:
        assert dump(objects) == dump(as_of(reader.journal.read_batches()))
    reader.close()
    writer.close()
