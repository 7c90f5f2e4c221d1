"""Functions that are called less often than they are asked for."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from track.utils.throttle import Throttler, ThrottleRepeatedCalls, TimeThrottler, throttled


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until its one element is changed."""
    now = [100.0]
    monkeypatch.setattr("track.utils.throttle.time.monotonic", lambda: now[0])
    return now


def test_by_time_as_clients_rely_on(clock: list[float]) -> None:
    """A hundred calls, 10 ms apart, go through every 50 ms: 20 times."""
    calls: list[int] = []
    function = throttled(calls.append, every=0.05)
    for number in range(100):
        function(number)
        clock[0] += 0.01
    assert calls == list(range(0, 100, 5))


def test_by_number_as_clients_rely_on() -> None:
    """One of five goes through, starting with the first."""
    calls: list[int] = []
    function = throttled(calls.append, throttle=5)
    for number in range(100):
        function(number)
    assert calls == list(range(0, 100, 5))


def test_time_counts_from_the_last_call_made(clock: list[float]) -> None:
    """A late call delays the ones after it, so they are never closer than asked."""
    function = TimeThrottler(lambda: clock[0], every=10)
    results = []
    for step_s in (0, 9, 8, 4, 5, 1):
        clock[0] += step_s
        results.append(function())
    assert results == [100.0, None, 117.0, None, None, 127.0]


@pytest.mark.parametrize("make", [ThrottleRepeatedCalls, Throttler])
@given(st.integers(1, 10), st.integers(0, 50))
def test_one_call_in_n(
    make: Callable[[Callable[[int], int], int], Callable[[int], int | None]], n: int, calls: int
) -> None:
    """Every n-th call returns the result, the others None."""
    function = make(lambda number: number, n)
    results = [function(number) for number in range(calls)]
    assert results == [None if number % n else number for number in range(calls)]


def test_defaults_are_documented(clock: list[float]) -> None:
    """Ten calls, each call and ten seconds are the defaults."""
    repeated = ThrottleRepeatedCalls(lambda: 1)
    assert [repeated() for _ in range(11)] == [1, *[None] * 9, 1]
    each = Throttler(lambda: 1)
    assert [each() for _ in range(3)] == [1] * 3
    timed = TimeThrottler(lambda: 1)
    assert (timed(), timed()) == (1, None)
    clock[0] += 10
    assert timed() == 1


def test_a_failed_call_is_a_call(clock: list[float]) -> None:
    """An exception goes to the caller, and the next call waits its turn."""

    def fail(reason: str, *, loud: bool) -> None:
        raise RuntimeError(reason, loud)

    function = throttled(fail, every=1)
    with pytest.raises(RuntimeError, match="broken"):
        function("broken", loud=True)
    assert function("broken", loud=True) is None
    clock[0] += 1
    with pytest.raises(RuntimeError):
        function("broken", loud=False)


def test_without_a_limit_nothing_changes() -> None:
    """The function itself comes back."""
    assert throttled(print) is print


def test_limits_are_checked() -> None:
    """Two limits at once, and limits that make no sense, are refused."""
    with pytest.raises(ValueError, match="not both"):
        throttled(print, throttle=2, every=2)
    with pytest.raises(ValueError, match="0"):
        throttled(print, throttle=0)
    with pytest.raises(ValueError, match="-1"):
        throttled(print, every=-1)
