"""The timing context."""

import copy
import pickle
from typing import Any

import pytest

from track.aggregators.aggregator import (
    RingAggregator,
    StatAggregator,
    TimeSeriesAggregator,
    ValueAggregator,
)
from track.chrono import ChronoContext
from track.utils.stat import StatStream


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until its one element is changed."""
    now = [100.0]
    monkeypatch.setattr("track.chrono.time.perf_counter", lambda: now[0])
    return now


def spend(clock: list[float], chrono: ChronoContext, *seconds: float) -> None:
    for each in seconds:
        with chrono:
            clock[0] += each


def test_passages_are_counted(clock: list[float]) -> None:
    """By default every passage goes into the statistics."""
    chrono = ChronoContext(name="batch")
    spend(clock, chrono, 1.0, 3.0)
    assert (chrono.avg, chrono.min, chrono.max, chrono.sd) == (2.0, 1.0, 3.0, 1.0)
    assert (chrono.count, chrono.val, chrono.name) == (2, 3.0, "batch")
    assert chrono.to_json(short=True)["avg"] == 2.0
    assert chrono.to_json()["dtype"] == "statstream"
    assert "batch" in repr(chrono)


@pytest.mark.parametrize(
    "acc",
    [
        StatStream(0),
        StatAggregator(0),
        ValueAggregator(),
        TimeSeriesAggregator(),
        RingAggregator(2),
    ],
)
def test_any_accumulator_will_do(clock: list[float], acc: Any) -> None:
    """Streams and aggregators are filled alike."""
    chrono = ChronoContext(acc)
    spend(clock, chrono, 1.0, 2.0)
    assert chrono.acc is acc
    assert chrono.val == acc.val == 2.0


def test_an_exception_does_not_lose_the_time(clock: list[float]) -> None:
    """The time is recorded and the exception goes on."""
    chrono = ChronoContext()

    def fail() -> None:
        with chrono:
            clock[0] += 5
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert (chrono.count, chrono.val) == (1, 5.0)


def test_callbacks(clock: list[float]) -> None:
    """The end callback is timed, the start callback is not, the last gets the seconds."""
    seen: list[Any] = []

    def note(what: str, takes_s: float) -> None:
        seen.append(what)
        clock[0] += takes_s

    chrono = ChronoContext(
        callback=seen.append,
        start_callback=lambda: note("start", 7),
        end_callback=lambda: note("end", 2),
    )
    spend(clock, chrono, 1.0)
    assert seen == ["start", "end", 3.0]
    assert chrono.val == 3.0


def test_it_nests_in_itself(clock: list[float]) -> None:
    """Recursion records the inner and the outer passage."""
    chrono = ChronoContext(TimeSeriesAggregator())
    with chrono as same:
        assert same is chrono
        clock[0] += 1
        spend(clock, chrono, 2.0)
    assert chrono.to_json() == [2.0, 3.0]


def test_a_failing_callback_leaves_the_next_passage_alone(clock: list[float]) -> None:
    """After a callback failed the chrono measures as before."""
    chrono = ChronoContext(end_callback=[1].pop)
    spend(clock, chrono, 1.0)
    with pytest.raises(IndexError):
        spend(clock, chrono, 2.0)
    chrono.end_callback = None
    spend(clock, chrono, 4.0)
    assert (chrono.val, chrono.count) == (4.0, 2)


def test_copies_are_independent(clock: list[float]) -> None:
    """Copies and pickles keep what was recorded and go their own way."""
    chrono = ChronoContext()
    spend(clock, chrono, 1.0)
    for other in (copy.deepcopy(chrono), pickle.loads(pickle.dumps(chrono))):
        spend(clock, other, 3.0)
        assert other.avg == 2.0
    assert chrono.avg == 1.0
