"""The times that events and attempts have are moments."""

import time

import pytest

import track
from track import TrackClient
from track.moments import Moment, to_moment


@pytest.mark.parametrize("kind", [int, str])
def test_a_number_that_can_only_be_a_time_is_one(kind):
    """As a position it would silently mean the end of the journal."""
    now = time.time_ns()
    assert to_moment(kind(now)) == Moment(at_ns=now)
    assert to_moment(kind(10**17 - 1)) == Moment(position=10**17 - 1)


def test_the_end_of_an_attempt_is_a_moment():
    """Whoever asks how things stood then is not shown how they are now."""
    with TrackClient("file:report.json") as client:
        client.log_metrics(step=0, loss=0.5)
    client.start()
    client.log_metrics(step=1, loss=0.25)
    client.finish()
    client.close()
    with track.open("file:report.json") as store:
        [trial] = store.trials()
        first, _ = store.attempts(trial)
        assert trial.metrics["loss"] == {0: 0.5, 1: 0.25}
        assert store.trial(trial, at=first.finished_at).metrics["loss"] == {0: 0.5}
