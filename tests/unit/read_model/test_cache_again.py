"""Steps that are logged again, as after a training resumed, are replaced in the cache."""

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

import track
from tests.property.test_folds import dump
from track.persistence import get_protocol
from track.projections.history import as_of
from track.read_model.cache_series import CHUNK
from track.structure import Trial

LONG = 3 * CHUNK + 100


@pytest.fixture
def uri(tmp_path, monkeypatch):
    """A store of one trial with a long metric of floats, and one of integers."""
    monkeypatch.setenv("TRACK_CACHE_AFTER", "1")
    uri = f"file:{tmp_path / 'store.json'}"
    log(uri, range(LONG), 0)
    return uri


def log(uri, steps, more):
    """Log to the trial, as a process of its own does."""
    protocol = get_protocol(uri)
    found = protocol.fetch_trials()
    trial = found[0] if found else protocol.new_trial(Trial(name="t"))
    for step in steps:
        values = {"loss": step / 7 + more, "epoch": step // 1000 + more}
        protocol.log_trial_metrics(trial, step=step, **values)
    protocol.close()


def chunks_in(uri):
    with closing(sqlite3.connect(uri.removeprefix("file:") + ".journal.cache")) as connection:
        chunks = connection.execute("SELECT series, part, axis FROM chunks").fetchall()
        axes = {axis for (axis,) in connection.execute("SELECT id FROM axes")}
    assert {axis for _, _, axis in chunks} == axes, "an axis without chunks is left"
    return {(series, part): axis for series, part, axis in chunks}


def check(uri):
    """Compare the objects of the cache with a replay."""
    protocol = get_protocol(uri)
    with protocol.read_state() as objects:
        replayed = as_of(protocol.journal.read_batches())
        assert dump(objects) == dump(replayed)
        for uid, trial in replayed.trials.items():
            for name, series in trial.metrics.items():
                assert objects.trials[uid].metrics[name].is_rewritten == series.is_rewritten
    protocol.close()


@pytest.mark.parametrize("start", [LONG - 50, 2 * CHUNK + 5, CHUNK, 0])
def test_a_resumed_run_replaces_only_what_it_logs_again(uri, start):
    """Chunks before the first such step stay as they are, and none is left over."""
    before = chunks_in(uri)
    log(uri, range(start, LONG + 20), 1)
    check(uri)
    after = chunks_in(uri)
    kept = {key for key, axis in after.items() if before.get(key) == axis}
    assert len(kept) == start // CHUNK * 2
    with track.open(uri) as store:
        metrics = store.trial("t").metrics
        assert metrics["loss"][start] == start / 7 + 1
        assert type(metrics["epoch"][LONG]) is int
        assert len(metrics["loss"].values) == LONG + 20


def test_any_steps_may_be_logged_again(uri):
    """The cache equals a replay after each of many visits."""
    chance = Random(1)
    for visit in range(1, 12):
        start = chance.randrange(LONG)
        log(uri, range(start, start + chance.randrange(1, 6000), chance.randrange(1, 3)), visit)
        check(uri)
        chunks_in(uri)


def test_a_view_stays_what_it_was_when_its_steps_are_logged_again(uri):
    """It reads the journal where the cache has the later values."""
    with track.open(uri) as store:
        view, other = (store.trial("t").metrics["loss"] for _ in range(2))
        before = [step / 7 for step in range(LONG)]
        log(uri, range(100), 1)
        check(uri)
        assert [*view.values] == before
        assert other[5] == 5 / 7
        assert store.trial("t").metrics["loss"][5] == 5 / 7 + 1


def test_the_past_has_the_values_of_its_time(uri):
    """Before, between and after two runs that logged the same steps again."""
    journal, moments = Path(uri.removeprefix("file:") + ".journal"), []
    for visit in (1, 2, 3):
        moments.append(journal.stat().st_size)
        log(uri, range(50), visit)
    with track.open(uri) as store:
        for visit, moment in enumerate(moments):
            assert store.trial("t", at=moment).metrics["loss"][7] == 1 + visit
        with pytest.raises(ValueError, match="earlier states"):
            store.trial("t").metrics["loss"].until(position=moments[0])
