"""Values go into a payload and come back the same; what cannot is refused by name."""

import uuid
from collections import OrderedDict, defaultdict
from datetime import date, datetime, timedelta, timezone, tzinfo
from enum import Enum, IntEnum
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import msgpack
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.encoded import encode, round_trip
from tests.strategies import keys, loggable, same, unloggable
from track.errors import EncodingError
from track.events.codec import Encoder, decode
from track.events.types import MetadataLogged
from track.events.values import EXT_TUPLE, MAX_DEPTH, MAX_TUPLE_DEPTH, pack_values, unpack
from track.journals.memory import MemoryJournal
from track.journals.producer import Producer


def refusal(value, key="key"):
    with pytest.raises(EncodingError) as caught:
        encode(value, key)
    return str(caught.value)


# What comes back as it was


@given(loggable)
@example(-0.0)
@example({(1, (2, "x")): [(), {}, []], 1: True, "1": 1.0})
@example("\ud800 and \U0001f389")
@example({"\udc80": ["\udfff", b"\xff", ("\ud800",)]})
def test_every_loggable_value_comes_back_the_same(value):
    """Decoding undoes encoding, to the bits of a NaN and the type of a container."""
    assert same(round_trip(value), value)


@given(loggable)
def test_the_careful_way_writes_what_the_fast_one_does(value):
    """A value that both ways of packing can take is written alike by both."""
    fields = [{"key": value}, None]
    body = encode(value)[35:]
    assert body == pack_values(fields, MetadataLogged._fields)


@pytest.mark.parametrize(
    "integer", [s * 2**n + d for n in (63, 64, 70, 512) for s in (1, -1) for d in (-1, 0, 1)]
)
def test_integers_have_no_limit(integer):
    """Integers around and far beyond 64 bits come back exactly."""
    assert same(round_trip(integer), integer)


@pytest.mark.parametrize("depth", [1, MAX_TUPLE_DEPTH])
def test_tuples_may_nest_to_the_documented_depth(depth):
    """Tuples in tuples come back as tuples as deep as the format allows."""
    value = 1
    for _ in range(depth):
        value = (value,)
    assert same(round_trip(value), value)


def test_lists_may_nest_deeply():
    """A hundred lists in each other are no problem."""
    value = round_trip(nested(MAX_DEPTH, "bottom"))
    for _ in range(MAX_DEPTH):
        [value] = value
    assert value == "bottom"


# What becomes plain


class Color(Enum):
    RED = "red"
    PAIR = (1, 2)
    HUGE = 2**70
    ID = uuid.UUID(int=7)
    ODD = "\ud800"


class Level(IntEnum):
    LOW = 1
    HUGE = 2**70


class Point(NamedTuple):
    x: int
    y: Any


Text = type("Text", (str,), {})
Octets = type("Octets", (bytes,), {})
Items = type("Items", (list,), {})
Mapping = type("Mapping", (dict,), {})
Real = type("Real", (float,), {})
Whole = type("Whole", (int,), {})


class Scalar:
    """A tensor of no dimensions, as torch has them."""

    shape = ()

    def __init__(self, number):
        self.number = number

    def __repr__(self):
        return f"Scalar({self.number!r})"

    def item(self):
        if isinstance(self.number, Exception):
            raise self.number
        return self.number


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float16(0.5), 0.5),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.float64("nan"), float("nan")),
        (np.float32(-0.0), -0.0),
        (np.int8(-3), -3),
        (np.int64(-(2**63)), -(2**63)),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("text"), "text"),
        (np.str_("\ud800"), "\ud800"),
        (np.bytes_(b"\0x"), b"\0x"),
        (np.array(2.5), 2.5),
        (np.array(7), 7),
        (np.array(False), False),
        (Scalar(0.25), 0.25),
        (Scalar(3), 3),
        (Scalar(True), True),
    ],
    ids=repr,
)
def test_scalars_of_numpy_and_torch_become_numbers(value, plain):
    """An array scalar or a tensor of no dimensions is taken as the number it stands for."""
    assert same(round_trip(value), plain)
    assert same(round_trip([{"deep": (value,)}]), [{"deep": (plain,)}])


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Level.LOW, 1),
        (Color.RED, "red"),
        (Text("t"), "t"),
        (Text("\ud800"), "\ud800"),
        (Real(1.5), 1.5),
        (Whole(5), 5),
        (Whole(2**80), 2**80),
        (Items([1, Text("x")]), [1, "x"]),
        (Mapping(a=1), {"a": 1}),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (Point(1, y=[2]), (1, [2])),
        (bytearray(b"ab"), b"ab"),
        pytest.param(memoryview(b"ab"), b"ab", id="memoryview"),
        (PurePosixPath("/tmp/x"), "/tmp/x"),
    ],
    ids=repr,
)
def test_subclasses_become_the_plain_type(value, plain):
    """A subclass of a plain type, an enum or a path is stored as the plain value."""
    assert same(round_trip(value), plain)
    assert same(round_trip({"deep": [(value,)]}), {"deep": [(plain,)]})


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Color.PAIR, (1, 2)),
        (Color.HUGE, 2**70),
        (Color.ID, uuid.UUID(int=7)),
        (Color.ODD, "\ud800"),
        (Level.HUGE, 2**70),
        (np.array(2**70, dtype=object), 2**70),
        (np.datetime64("2020-01-02T03:04:05"), datetime.fromisoformat("2020-01-02T03:04:05")),
        (np.datetime64("2020-01-02"), date(2020, 1, 2)),
    ],
    ids=repr,
)
def test_a_value_that_stands_for_an_odd_value_becomes_that(value, plain):
    """An enum or array scalar of something msgpack itself does not know is stored all the same."""
    assert same(round_trip(value), plain)


def test_a_subclass_of_bytes_becomes_bytes():
    """Bytes are a plain type like any other, so a subclass of them is taken as bytes."""
    assert same(round_trip(Octets(b"ab")), b"ab")


def test_a_path_that_is_not_utf_8_becomes_its_string():
    """File names may hold any bytes, which Python shows as lone surrogates."""
    assert round_trip(PurePosixPath("/data/\udce9t\udce9")) == "/data/\udce9t\udce9"


def test_a_subclass_of_datetime_is_written_as_a_datetime():
    """A subclass that prints itself differently must not make the whole event unreadable."""

    class Stamp(datetime):
        def isoformat(self, *_):
            return "NaT"

    value = round_trip(Stamp(2020, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc))
    assert same(value, datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc))


class Autumn(tzinfo):
    """A zone whose clocks are turned back: the second of two equal hours is at another offset."""

    def utcoffset(self, moment):
        return timedelta(hours=1 if moment.fold else 2)

    def dst(self, moment):
        return timedelta(0)

    def tzname(self, moment):
        return None


def test_the_second_of_two_equal_hours_stays_the_second():
    """A time that occurs twice comes back as the moment it was."""
    first = datetime(2020, 10, 25, 2, 30, tzinfo=Autumn())
    for moment, offset in ((first, 2), (first.replace(fold=1), 1)):
        assert round_trip(moment).utcoffset() == timedelta(hours=offset)


def test_keys_become_plain_too():
    """Keys are values: scalars and subclasses among them are taken as what they stand for."""
    value = {np.int64(1): "a", Text("b"): 2, Level.LOW.value + 1: 3, (np.float32(0.5),): 4}
    assert same(round_trip(value), {1: "a", "b": 2, 2: 3, (0.5,): 4})


# What is refused


@given(unloggable)
def test_what_cannot_be_logged_raises_a_type_error(value):
    """The error is Track's own and a TypeError, and names the key and the type."""
    with pytest.raises(TypeError) as caught:
        encode(value)
    assert isinstance(caught.value, EncodingError)
    assert "'key'" in str(caught.value)
    assert type(value).__name__ in str(caught.value)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), "'opt'"),
        ({"f": [0, 1, same]}, "'opt.f[2]'"),
        ({0: {1, 2}}, "'opt.0'"),
        ([(), ({"deep": [1j]},)], "'opt[1][0].deep[0]'"),
        ({"\ud800": object()}, "'opt.\ud800'"),
        (OrderedDict(a=Items([1, same])), "'opt.a[1]'"),
        ({"ok": 1, frozenset(): 2}, "'opt.frozenset()'"),
        (Scalar(1j), "'opt'"),
        (np.array([1, 2]), "'opt'"),
    ],
)
def test_the_message_names_the_path_to_the_culprit(value, path):
    """However deep a bad value is, the message says how to find it."""
    assert f"cannot log {path}" in refusal(value, "opt")


def test_the_message_says_once_what_the_culprit_is():
    """And what can be logged instead."""
    assert refusal({1, 2}, "opt") == (
        "cannot log 'opt': a value of type set cannot be logged; log numbers, text, bytes, dates, "
        "or lists, tuples and dictionaries of them"
    )


def test_a_key_with_a_dot_is_named_as_it_is():
    """A path is for people: a dot in a key needs no escape."""
    assert "cannot log 'layers.0'" in refusal(object(), "layers.0")


@given(st.dictionaries(keys, loggable, max_size=3), unloggable)
def test_one_bad_value_refuses_the_whole_event(good, bad):
    """Nothing reaches the journal of an event of which one value cannot be logged."""
    journal = MemoryJournal()
    producer = Producer(journal)
    producer.record(1, MetadataLogged({"before": 1}, None))
    with pytest.raises(EncodingError, match="culprit"):
        producer.record(1, MetadataLogged({**good, "culprit": [bad]}, None))
    producer.record(1, MetadataLogged({"after": 2}, None))
    assert [recorded.event.values for recorded in journal.read()] == [{"before": 1}, {"after": 2}]


@pytest.mark.parametrize(
    "value", [Scalar(RuntimeError("meta")), memoryview(b"abcd")[::2]], ids=["meta", "strided"]
)
def test_a_value_that_fails_in_its_own_way_is_refused_by_name(value):
    """Whatever a value raises when it is asked what it is, the caller gets an EncodingError."""
    assert "'key'" in refusal(value)


def nested(depth, value=1):
    for _ in range(depth):
        value = [value]
    return value


def cyclic_list():
    value = []
    value.append(value)
    return value


def cyclic_dict():
    value = {}
    value["self"] = value
    return value


def cyclic_through_a_tuple():
    value = []
    value.append((value, "\ud800"))
    return value


@pytest.mark.parametrize("make", [cyclic_list, cyclic_dict, cyclic_through_a_tuple])
def test_a_value_that_contains_itself_is_refused(make):
    """A cycle is an error that says so, not an endless loop."""
    message = refusal(make())
    assert message.startswith("cannot log 'key")
    assert "contains itself" in message


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 2000, 20_000])
def test_a_value_nested_too_deeply_is_refused(depth):
    """It is an error that says so, and not a RecursionError of whoever reads the store."""
    message = refusal(nested(depth))
    assert message.startswith("cannot log 'key")
    assert "nested over 100 deep" in message


def test_tuples_nested_too_deeply_are_refused_by_name():
    """The limit of tuples is lower; its message names the key like any other."""
    value = 1
    for _ in range(MAX_TUPLE_DEPTH + 1):
        value = (value,)
    message = refusal(value)
    assert message.startswith("cannot log 'key")
    assert "nested over 100 deep" in message


@pytest.mark.parametrize("container", [list, Items, tuple, dict], ids=lambda kind: kind.__name__)
def test_no_depth_is_accepted_that_cannot_be_read_back(container):
    """An encoder that took what its decoder gives up on would lose acknowledged events."""
    unreadable = []
    value = 1
    for depth in range(1, 1100):
        value = {"k": value} if container is dict else container([value])
        try:
            payload = encode(value)
        except EncodingError:
            continue
        if not isinstance(decode(0, payload).event, MetadataLogged):
            unreadable.append(depth)
    assert unreadable == []


def test_a_bad_field_outside_the_values_is_named_too():
    """A step or a description that cannot be logged is named by its field."""
    with pytest.raises(EncodingError, match=r"cannot log 'aggregator\[1\]'"):
        Encoder().encode(MetadataLogged, [{"x": 1}, ["value", object()]], 1, 2, 3, 4)


def test_an_extension_of_the_users_own_stays_what_it_is():
    """Its code may be one of ours: what is in it is then not what we would put there."""
    for code in (1, 2, 3, 4, 5, 42):
        value = msgpack.ExtType(code, b"\xff")
        if code != 2:  # any bytes are an integer
            assert round_trip({"a": value, "b": 1}) == {"a": value, "b": 1}


def test_a_value_that_contains_itself_is_refused_from_deep_inside_a_program():
    """Explaining what is wrong must not exhaust the stack that is left."""

    def descend(frames):
        value = []
        value.append(value)
        return descend(frames - 1) if frames else round_trip(value)

    with pytest.raises(EncodingError, match="contains itself"):
        descend(850)


@pytest.mark.parametrize("levels", [MAX_TUPLE_DEPTH + 1, 1000, 3000])
def test_tuples_that_nobody_could_have_written_are_left_as_they_are(levels):
    """Following them to their end would take more stack than a process has."""
    data = msgpack.packb([])
    for _ in range(levels):
        data = msgpack.packb([msgpack.ExtType(EXT_TUPLE, data)])
    value = unpack(data)
    for _ in range(MAX_TUPLE_DEPTH):
        (value,) = value
    assert type(value[0]) is msgpack.ExtType
