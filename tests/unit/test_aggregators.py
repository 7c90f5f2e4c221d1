"""Aggregators and their descriptions in events."""

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from track.aggregators.aggregator import (
    Aggregator,
    RingAggregator,
    StatAggregator,
    TimeSeriesAggregator,
    ValueAggregator,
    build,
    describe,
)

FACTORIES = [
    ValueAggregator.lazy(),
    TimeSeriesAggregator.lazy(),
    RingAggregator.lazy(3),
    StatAggregator.lazy(skip=2),
]


def fill(aggregator: Any, values: Any) -> Any:
    for value in values:
        aggregator.append(value)
    return aggregator


def test_value_keeps_the_last() -> None:
    """A value is replaced by the next one."""
    assert ValueAggregator().val is None
    assert ValueAggregator(3).to_json() == 3
    aggregator = fill(ValueAggregator(), [1, "two"])
    assert aggregator.val == aggregator.to_json(short=True) == "two"
    assert repr(aggregator) == "ValueAggregator('two')"


def test_time_series_keeps_all() -> None:
    """A series has every value, and hands out a list of its own."""
    aggregator = fill(TimeSeriesAggregator(), [1, 2])
    aggregator.to_json().append("not mine")
    assert aggregator.to_json() == [1, 2]
    assert aggregator.val == 2
    assert TimeSeriesAggregator().val is None
    assert repr(aggregator) == "TimeSeriesAggregator(2 values, last 2)"


def test_ring_keeps_the_last_ones() -> None:
    """A ring of 20 keeps the last 20 of 100."""
    aggregator = fill(RingAggregator(20), range(100))
    assert aggregator.to_json() == list(range(80, 100))
    assert aggregator.val == 99
    assert RingAggregator(1).val is None


def test_stat_has_the_documented_numbers() -> None:
    """Statistics over 0 to 99 are those that clients rely on."""
    aggregator = fill(StatAggregator(skip_obs=10), range(100))
    assert (aggregator.avg, aggregator.min, aggregator.max) == (54.5, 9, 99)
    assert aggregator.sum == aggregator.total == 4905
    assert aggregator.sd == 25.97915831328387
    assert (aggregator.val, aggregator.count) == (99, 90)
    assert aggregator.to_json(short=True) == aggregator.stat.to_dict()
    assert aggregator.to_json()["dtype"] == "statstream"


@given(st.lists(st.floats()))
def test_stat_comes_back_from_json(values: list[float]) -> None:
    """The full JSON form restores the aggregator."""
    aggregator = fill(StatAggregator(2), values)
    assert StatAggregator.from_json(aggregator.to_json()) == aggregator


@given(st.sampled_from(FACTORIES), st.lists(st.floats()), st.lists(st.floats()))
def test_replay_and_copies_equal_the_original(
    factory: Callable[[], Aggregator], values: list[float], later: list[float]
) -> None:
    """Rebuilt from its description, copied or pickled, an aggregator goes on as the original."""
    original = fill(factory(), values)
    others = [
        fill(build(*describe(factory)), values),
        copy.deepcopy(original),
        pickle.loads(pickle.dumps(original)),
    ]
    assert others == [original] * 3
    fill(original, later)
    assert [fill(other, later) for other in others] == [original] * 3


def test_equality() -> None:
    """Equal is what has the same class and content, a NaN being itself."""
    assert ValueAggregator([math.nan, {"a": float("nan")}]) == ValueAggregator(
        [float("nan"), {"a": math.nan}]
    )
    assert ValueAggregator({"a": 1}) != ValueAggregator({"a": 2})
    assert ValueAggregator([1]) != ValueAggregator([1, 2])
    assert ValueAggregator([]) != TimeSeriesAggregator()
    assert StatAggregator(1) != StatAggregator(2)


def test_lazy_makes_fresh_ones() -> None:
    """What lazy returns can be called, and pickled, again and again."""
    for factory in (*FACTORIES, Aggregator.lazy(RingAggregator, n=2)):
        first = fill(factory(), [1.0])
        assert factory() != first
        assert pickle.loads(pickle.dumps(factory))() == factory()


@pytest.mark.parametrize(
    ("factory", "description"),
    [
        (ValueAggregator.lazy(), ("value", {})),
        (ValueAggregator, ("value", {})),
        (TimeSeriesAggregator.lazy(), ("time_series", {})),
        (TimeSeriesAggregator(), ("time_series", {})),
        (RingAggregator.lazy(5, "float64"), ("ring", {"n": 5, "dtype": "d"})),
        (RingAggregator.lazy(n=5, dtype="i"), ("ring", {"n": 5, "dtype": "i"})),
        (lambda: RingAggregator(5), ("ring", {"n": 5, "dtype": "f"})),
        (StatAggregator, ("stat", {"skip_obs": 10})),
        (StatAggregator.lazy(), ("stat", {"skip_obs": 10})),
        (StatAggregator.lazy(3), ("stat", {"skip_obs": 3})),
        (StatAggregator(4), ("stat", {"skip_obs": 4})),
        (Aggregator.lazy(StatAggregator, skip_obs=1), ("stat", {"skip_obs": 1})),
    ],
)
def test_describe(factory: Any, description: tuple[str, dict[str, Any]]) -> None:
    """Whatever users pass is described by name and parameters."""
    assert describe(factory) == description


class OwnAggregator(ValueAggregator):
    """An aggregator that only this file knows."""


@pytest.mark.parametrize("factory", [3, "stat", list, OwnAggregator, OwnAggregator(), None])
def test_describe_refuses_what_events_cannot_name(factory: Any) -> None:
    """The message says what was given and what is accepted."""
    with pytest.raises(TypeError, match=r"StatAggregator\.lazy") as caught:
        describe(factory)
    assert repr(factory) in str(caught.value)


def test_build_refuses_unknown_names() -> None:
    """The message names the unknown aggregator and the known ones."""
    with pytest.raises(ValueError, match=r"'median'.*time_series"):
        build("median", {})
