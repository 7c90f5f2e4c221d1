"""Moments: positions and times, as people write them."""

import time
from datetime import datetime, timedelta, timezone
from math import inf, nan

import pytest

import track
from track import TrackClient
from track.errors import QueryError
from track.moment import NOW, Moment, to_moment


@pytest.mark.parametrize(
    ("when", "moment"),
    [
        (None, NOW),
        (NOW, NOW),
        (Moment(position=3), Moment(position=3)),
        (0, Moment(position=0)),
        (17, Moment(position=17)),
        ("17", Moment(position=17)),
        (" 17 ", Moment(position=17)),
        ("1970-01-01T00:00:02+00:00", Moment(at_ns=2 * 10**9)),
        ("1970-01-01T00:00:02.5Z", Moment(at_ns=2_500_000_000)),
        ("1970-01-01 00:00:02,000000003+00:00", Moment(at_ns=2_000_000_003)),
        ("1970-01-01T00:00:02.0000000049Z", Moment(at_ns=2_000_000_004)),
        ("1970-01-01 01:00:00+01:00", Moment(at_ns=0)),
        (2.5, Moment(at_ns=2_500_000_000)),
        ("2.5", Moment(at_ns=2_500_000_000)),
        (datetime(1970, 1, 2, tzinfo=timezone.utc), Moment(at_ns=86400 * 10**9)),
        (datetime(1970, 1, 1, microsecond=1, tzinfo=timezone.utc), Moment(at_ns=1000)),
    ],
)
def test_a_moment_is_a_position_or_a_time(when, moment):
    """Whichever way it is given."""
    assert to_moment(when) == moment


def test_a_time_without_a_zone_is_local():
    """It is what the clock on the wall shows."""
    naive = datetime(2026, 1, 31, 12)  # noqa: DTZ001 - that is what is tested
    assert to_moment(naive) == to_moment(naive.astimezone(timezone.utc))
    assert to_moment("2026-01-31T12:00") == to_moment(naive)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("5ms ago", timedelta(milliseconds=5)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("1.5h", timedelta(hours=1.5)),
        ("3 d ago", timedelta(days=3)),
        ("1w", timedelta(weeks=1)),
    ],
)
def test_so_long_ago_is_a_time(text, ago):
    """Counted from the call."""
    before = time.time_ns()
    found = to_moment(text).at_ns + int(ago.total_seconds() * 10**9)
    assert before <= found <= time.time_ns()


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "-3", "3y", "2026-13-01", "1e5"),
        f"{'9' * 400}s",
        *(inf, nan, b"1", [], {}),
    ],
)
def test_what_is_no_moment_is_told(text):
    """With examples of what is one."""
    with pytest.raises(QueryError, match="give a position"):
        to_moment(text)


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
