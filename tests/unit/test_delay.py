"""Calls that are made later, once."""

from concurrent.futures import CancelledError
from typing import Any

import pytest

from track.utils.delay import DelayedCall, delay_call, is_delayed_call


def collect(*args: Any, **kwargs: Any) -> list[Any]:
    """Return the arguments, as a new list each time."""
    return [args, kwargs]


def fail(**_: Any) -> None:
    """Raise what the test looks for."""
    raise LookupError("not there")


def test_arguments_come_together() -> None:
    """The latest of each argument wins, and the dictionary given stays as it was."""
    given = {"a": 1, "b": 1, "c": 1}
    call = DelayedCall(collect, given)
    call.add_arguments(b=2, c=2)
    assert call("x", c=3) == [("x",), {"a": 1, "b": 2, "c": 3}]
    assert given == {"a": 1, "b": 1, "c": 1}


def test_the_call_is_made_once() -> None:
    """Later calls return the very same result."""
    call = delay_call(collect, a=1)
    result = call()
    assert call(b=2) is result
    with pytest.raises(RuntimeError, match="b: it was already made"):
        call.add_arguments(b=2)


def test_a_failure_is_remembered() -> None:
    """A failed call raises the same exception again instead of being repeated."""
    call = delay_call(fail)
    future = call.get_future()
    with pytest.raises(LookupError) as first:
        call()
    with pytest.raises(LookupError) as second:
        call()
    assert second.value is first.value is future.exception(timeout=0)
    assert call.get_future().exception(timeout=0) is first.value


def test_an_interrupted_call_can_be_made_again() -> None:
    """An interrupt says nothing about the call, so it is not its result."""
    interrupts = [KeyboardInterrupt()]

    def interrupted() -> str:
        if interrupts:
            raise interrupts.pop()
        return "done"

    call = delay_call(interrupted)
    with pytest.raises(KeyboardInterrupt):
        call()
    assert call() == "done"


def test_futures_get_the_result() -> None:
    """Futures from before and after the call have its result, a cancelled one is left alone."""
    call = delay_call(collect)
    early, cancelled = call.get_future(), call.get_future()
    assert not early.done()
    assert cancelled.cancel()
    result = call()
    assert early.result(timeout=0) is result
    assert call.get_future().result(timeout=0) is result
    with pytest.raises(CancelledError):
        cancelled.result(timeout=0)


def test_is_delayed_call() -> None:
    """Only a delayed call is one."""
    assert is_delayed_call(delay_call(collect))
    assert not is_delayed_call(collect)
    assert repr(delay_call(collect, a=1)) == "DelayedCall(collect, {'a': 1})"
