"""Import runs of other trackers into a store of a test."""

from pathlib import Path

from track.exchange import import_runs, read_runs
from track.persistence import get_protocol

GOLDEN = Path(__file__).parent / "golden" / "imports"
"""The folder with runs of other trackers."""


def imported(path, store=None, **options):
    """Return the result of an import, and the trials of the store by name."""
    store = get_protocol("memory:") if store is None else store
    done = import_runs(store, read_runs(str(path), **options))
    return done, {trial.name: trial for trial in store.fetch_trials()}


def added(done):
    """Return the numbers of everything that an import reports as added."""
    return done.projects, done.groups, done.trials, done.continued, done.events, done.files


NOTHING = (0, 0, 0, 0, 0, 0)
