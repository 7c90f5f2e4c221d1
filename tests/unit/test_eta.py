"""Estimated time to arrival."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from track.aggregators.aggregator import StatAggregator
from track.chrono import ChronoContext
from track.utils.eta import EstimatedTime
from track.utils.stat import StatStream


def timer(average_s: float) -> StatStream:
    stream = StatStream(0)
    stream.update(average_s)
    return stream


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until its one element is changed."""
    now = [100.0]
    monkeypatch.setattr("track.utils.eta.time.monotonic", lambda: now[0])
    return now


def test_documented_example() -> None:
    """Nested loops are given, and asked about, as tuples."""
    eta = EstimatedTime(timer(60), (10, 1000))
    assert eta.total == 10_000
    assert eta.estimate_time((1, 2)) == eta.estimated_time((1, 2)) == 10_000 - 1003


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_remaining_steps_go_down_one_by_one(totals: list[int]) -> None:
    """In the order of the loops each step takes one off, down to none after the last."""
    eta = EstimatedTime(timer(1), totals)
    steps = itertools.product(*map(range, totals))
    remaining = [eta.estimated_time(step, unit=1) for step in steps]
    assert remaining == list(reversed(range(eta.total)))


@given(st.integers(0, 50), st.integers(0, 100))
def test_plain_steps(total: int, step: int) -> None:
    """A single loop is counted from 0 and never has a negative number of steps to go."""
    eta = EstimatedTime(timer(2), total)
    assert eta.estimated_time(step, unit=1) == 2 * max(total - step - 1, 0)


def test_flat_step_of_nested_loops() -> None:
    """A plain number counts the innermost steps of nested loops."""
    eta = EstimatedTime(timer(1), [2, 3])
    assert eta.estimated_time(3, unit=1) == eta.estimated_time((1, 0), unit=1) == 2


def test_count() -> None:
    """Counting multiplies the levels after the offset is added to each."""
    assert EstimatedTime.count((2, 3)) == 6
    assert EstimatedTime.count([2, 3], offset=1) == 12
    assert EstimatedTime.count(4, offset=1) == 5


def test_totals_can_change() -> None:
    """The totals are those set last."""
    eta = EstimatedTime(timer(1), 5)
    eta.set_totals((2, 2))
    assert eta.total == 4
    with pytest.raises(ValueError, match="-2"):
        eta.set_totals((3, -2))
    assert eta.total == 4


def test_levels_must_match() -> None:
    """A step with other levels than the total is refused."""
    with pytest.raises(ValueError, match="outermost first"):
        EstimatedTime(timer(1), (2, 2)).estimated_time((1,))


def test_any_timer_will_do() -> None:
    """Streams, aggregators and chronos all know their average."""
    aggregator = StatAggregator(0)
    aggregator.append(30)
    timers: list[Any] = [timer(30), aggregator, ChronoContext(aggregator)]
    assert [EstimatedTime(one, 3).estimated_time(0) for one in timers] == [1.0] * 3


def test_without_an_average_the_own_clock_decides(clock: list[float]) -> None:
    """While the timer still drops observations the steps done here give the average."""
    eta = EstimatedTime(StatStream(10), 20, start=10)
    assert eta.estimated_time(9) == 0.0
    clock[0] += 6
    assert eta.elapsed() == 0.1
    assert eta.elapsed(1) == 6.0
    assert eta.estimated_time(11, unit=1) == 3.0 * 8


def test_show_eta_prints_one_line(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """The line is printed and returned, or only returned."""
    eta = EstimatedTime(timer(30), 10, name="train")
    clock[0] += 90
    text = eta.show_eta(1, "loss: 0.5")
    assert text == "train loss: 0.5 [2/10] elapsed 1.50 min, remaining 4.00 min"
    assert capsys.readouterr().out == text + "\n"
    assert eta.show_eta(1, show=False).startswith("train [2/10]")
    assert capsys.readouterr().out == ""
