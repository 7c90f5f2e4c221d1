"""Metrics of any names and of any kind of number: what can be logged is, and the rest is named."""

import argparse
import types
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from pathlib import PurePosixPath
from typing import NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from track import TrackClient
from track.aggregators.aggregator import StatAggregator
from track.errors import EncodingError, NotRecordedWarning
from track.events.codec import MAX_PAYLOAD
from track.events.values import pack_values
from track.loggable import loggable, plain


@pytest.fixture
def client():
    return TrackClient("memory:")


def stored(client):
    """Return the metrics of the only trial of a client's store."""
    (trial,) = client.protocol.fetch_trials()
    return trial.metrics


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@dataclass
class Score:
    train: float
    valid: object


class Losses(NamedTuple):
    train: float
    valid: float


class Tensor:
    """What PyTorch, TensorFlow and JAX have in common."""

    def __init__(self, *values):
        self.values = values
        self.shape = (len(values),) if len(values) != 1 else ()

    def item(self):
        (value,) = self.values
        return value


class Failing(Tensor):
    """A tensor whose content is not there, as on the device `meta`."""

    def item(self):
        raise RuntimeError("Cannot copy out of meta tensor; no data!")


MOMENT = datetime.fromisoformat("2026-01-02T03:04:05.500000")
DAY = datetime.fromisoformat("2026-01-02")


class Node:
    """A node of omegaconf, which holds one value."""

    def __init__(self, value):
        self._content = value

    def _value(self):
        return self._content


Node.__module__ = "omegaconf.nodes"


class Half:
    """A number of a format that Python does not have, as the scalars of ml_dtypes."""

    shape = ()

    def item(self):
        return self

    def __float__(self):
        return 0.5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Tensor(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.array(3), 3),
        (np.array([[2.5]]), 2.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.datetime64("2026-01-02T03:04:05.5", "ns"), MOMENT),
        (np.timedelta64(1500, "ms"), 1.5),
        (pd.Series([4]), 4),
        (pd.Timestamp("2026-01-02"), DAY),
        (pd.Timedelta(seconds=2), 2.0),
        (pd.NaT, None),
        (pd.NA, None),
        (Half(), 0.5),
        (Decimal("0.25"), 0.25),
        (Fraction(1, 4), 0.25),
        (date(2026, 1, 2), date(2026, 1, 2)),
        (timedelta(minutes=1), 60.0),
        (Color.RED, "red"),
        (Level.HIGH, 3),
        (PurePosixPath("a/b"), "a/b"),
        (UUID(int=1), UUID(int=1)),
        (bytearray(b"x"), b"x"),
        (Node(Node(7)), 7),
        ([np.float64(1), (Decimal(2), None)], [1.0, (2.0, None)]),
        (deque([1, 2]), [1, 2]),
        (range(2), [0, 1]),
        ({3, 1, 2}, [1, 2, 3]),
        (10**30, 10**30),
    ],
)
def test_values_are_taken_for_what_they_are(client, value, expected):
    """Whoever made them, and though none of these packages is imported."""
    client.log({"x": value}, step=1)
    found = stored(client)["x"][1]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    "nested",
    [
        {"train": 1.0, "valid": 2},
        OrderedDict(train=1.0, valid=2),
        types.MappingProxyType({"train": 1.0, "valid": 2}),
        argparse.Namespace(train=1.0, valid=2),
        types.SimpleNamespace(train=1.0, valid=2),
        Score(1.0, 2),
        Losses(1.0, 2),
    ],
)
def test_what_holds_named_values_becomes_metrics_of_joined_names(client, nested):
    """Settings and results come in many forms."""
    client.log({"loss": nested, 7: {"a": {"b": 3}}})
    assert stored(client) == {"loss/train": [1.0], "loss/valid": [2], "7/a/b": [3]}


def test_any_name_is_a_name(client):
    """Frameworks log what is a parameter of `log_metrics`."""
    client.log({"step": 5, "aggregator": 1, "values": 2, "self": 3, "loss/train": 4}, step=9)
    values = {"step": 5, "aggregator": 1, "values": 2, "self": 3, "loss/train": 4}
    assert stored(client) == {name: {9: value} for name, value in values.items()}


def test_names_that_join_to_one_are_told_apart(client):
    """Which of the two is meant nobody can know: the first is kept, and that is said."""
    with pytest.raises(EncodingError, match="'a/b': the name occurs twice"):
        client.log({"a": {"b": 1}, "a/b": 2})
    assert stored(client) == {"a/b": [1]}


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (Tensor(1, 2), r"an array of shape \(2,\)"),
        (np.zeros((2, 0)), r"an array of shape \(2, 0\)"),
        (Failing(1), "Cannot copy out of meta tensor"),
        (object(), "a value of type object cannot be logged"),
        (1j, "type complex"),
        ([1, {"deep": object()}], "type object"),
        (len, "type builtin_function_or_method"),
    ],
)
def test_one_odd_value_does_not_take_the_others_with_it(client, odd, why):
    """They are logged, and the error names the one."""
    with pytest.raises(EncodingError, match=f"cannot log 'odd': .*{why}"):
        client.log({"loss": 1.0, "odd": odd, "acc": 0.5}, step=2)
    assert stored(client) == {"loss": {2: 1.0}, "acc": {2: 0.5}}


def test_a_warning_in_place_of_the_error(client, monkeypatch):
    """As the option says, that applies to what cannot be written, too."""
    monkeypatch.setenv("TRACK_LOG_ON_ERROR", "warn")
    with pytest.warns(NotRecordedWarning, match="cannot log 'odd'") as told:
        client.log({"loss": 1.0, "odd": object()})
    assert told[0].filename == __file__
    assert stored(client) == {"loss": [1.0]}


def test_a_value_that_only_the_store_refuses(client):
    """It is too large, say: the others are logged all the same."""
    with pytest.raises(EncodingError, match="cannot log 'huge'"):
        client.log({"loss": 1.0, "huge": "x" * (MAX_PAYLOAD + 1), "acc": 2})
    assert stored(client) == {"loss": [1.0], "acc": [2]}


def test_an_aggregator_that_refuses_one_value(client):
    """Values are judged one by one then, too."""
    with pytest.raises(EncodingError, match="cannot log 'name'"):
        client.log({"loss": 1.0, "name": "a"}, aggregator=StatAggregator.lazy(0))
    assert stored(client)["loss"]["avg"] == 1.0
    assert "name" not in stored(client)


def test_a_value_that_contains_itself(client):
    """It has no end, and is refused before the stack has one."""
    endless = {}
    endless["again"] = endless
    circle = [1]
    circle.append(circle)
    with pytest.raises(EncodingError) as raised:
        client.log({"loss": 1, "endless": endless, "circle": circle})
    assert "endless/again" in str(raised.value)
    assert "'circle'" in str(raised.value)
    assert stored(client) == {"loss": [1]}


def test_nothing_to_log_is_no_event(client):
    """Frameworks call their loggers with empty dictionaries."""
    client.new_trial(parameters={})
    before = len(list(client.protocol.events()))
    client.log({})
    client.log({"a": {}}, step=3)
    assert len(list(client.protocol.events())) == before


def test_steps_are_taken_for_what_they_are(client):
    """A tensor that counts is a number."""
    client.log({"loss": 1}, step=np.int64(3))
    client.log({"loss": 2}, step=Tensor(4))
    assert stored(client) == {"loss": {3: 1, 4: 2}}


def test_values_are_frozen_at_the_call(client):
    """And what is passed in stays as it is: other loggers get the same dictionary."""
    values = {"a": {"b": np.float32(1)}, "list": [1]}
    client.log(values)
    values["list"].append(2)
    assert list(values) == ["a", "list"]
    assert stored(client) == {"a/b": [1.0], "list": [[1]]}


class Settings(dict):
    """A mapping of which some values are missing, as omegaconf has them."""

    def __getitem__(self, name):
        if name == "missing":
            raise KeyError("Missing mandatory value: missing")
        return super().__getitem__(name)


def test_integrations_get_both_halves():
    """What can be logged, nested if they like, and why the others cannot."""
    found = loggable(Settings(lr=0.1, missing=None, model={"act": len, "size": 3}))
    assert found.taken == {"lr": 0.1, "model/size": 3}
    assert list(found.refused) == ["missing", "model/act"]
    assert "Missing mandatory value" in found.refused["missing"]
    named = loggable({"model": {"act": len, "sizes": (1, 2)}}, separator=None, otherwise=repr)
    assert named == ({"model": {"act": repr(len), "sizes": (1, 2)}}, {})


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.decimals()
    | st.fractions()
    | st.datetimes(timezones=st.none() | st.just(timezone.utc))
    | st.timedeltas()
    | st.uuids()
    | st.sampled_from(
        [Color.RED, Level.HIGH, object(), 1j, np.zeros(3), np.float16(2), Losses(1, 2)]
    )
    | st.builds(np.array, st.lists(st.floats(width=32), max_size=2)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
        | st.tuples(inner, inner)
        | st.builds(Score, inner, inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), anything, max_size=4))
def test_whatever_is_loggable_can_be_encoded(values):
    """Each value is in one half or the other, and the first half is taken as it is."""
    found = loggable(values, separator=None)
    assert {*found.taken, *found.refused} == {*values}
    pack_values([found.taken], ("values",))
    assert loggable(found.taken, separator=None).taken.keys() == found.taken.keys()


def test_a_single_value():
    """Of whatever it is."""
    assert plain(np.float64(0.5)) == 0.5
    with pytest.raises(TypeError, match="a value of type object"):
        plain(object())
