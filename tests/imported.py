"""Import what other trackers wrote into a store of a test."""

from pathlib import Path

from track.exchange import import_runs, read_runs
from track.persistence import get_protocol

GOLDEN = Path(__file__).parent / "golden" / "imports"
"""What other trackers wrote."""


def imported(path, store=None, **options):
    """Return what an import said, and the trials of the store by name."""
    store = get_protocol("memory:") if store is None else store
    done = import_runs(store, read_runs(str(path), **options))
    return done, {trial.name: trial for trial in store.fetch_trials()}


def added(done):
    """Return all that an import says it added."""
    return done.projects, done.groups, done.trials, done.continued, done.events, done.files


NOTHING = (0, 0, 0, 0, 0, 0)
