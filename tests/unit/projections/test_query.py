"""The query language over any object with attributes."""

from collections import OrderedDict
from types import MappingProxyType, SimpleNamespace

import pytest

from track.errors import QueryError
from track.persistence.local import execute_query
from track.structure import CustomStatus, Status, Trial

THING = SimpleNamespace(
    uid="u",
    number=3,
    nothing=None,
    text="some text",
    items=[1, 2],
    status=Status.Interrupted,
    nested={
        "a": {"b": 1, "none": None},
        "dotted.key": 2,
        "a.b": 9,
        1: "one",
        -2: {"b": 3},
        "v.a": {3: 4, "x y": 5, 0.5: 6},
        "v": {"a": {"z": 7}},
        "layer[0]": 8,
        'q"': 10,
    },
)


@pytest.mark.parametrize(
    "query",
    [
        None,
        {},
        [],
        (),
        {"number": 3},
        {"number": 3.0},
        {"nothing": None},
        {"items": [1, 2]},
        {"nested.a": {"b": 1, "none": None}},
        {"nested.a.none": None},
        {"nested.missing": None},
        {"nested.a.b.c": None},
        {"nested.dotted.key": 2},
        {"nested.a.b": 9},
        {"nested.1": "one"},
        {"nested.-2.b": 3},
        {'nested["a.b"]': 9, "nested['a.b']": 9, 'nested["a"]["b"]': 1, 'nested["a"].b': 1},
        {'nested["v.a"].3': 4, "nested['v.a'][3]": 4, "nested.v.a.3": 4, "nested.v.a.0.5": 6},
        {'nested["v.a"]["x y"]': 5, "nested.v.a.x y": 5, "nested.v.a.z": 7, "nested.layer[0]": 8},
        {'nested["q\\""]': 10, "items[1]": 2, "items[-1]": {"$gt": 1}},
        {"items.0": 1, "items.-1": 2, "items.1": {"$gt": 1}, "items.2": None},
        {"_uid": "u"},
        {"status": "interrupted"},
        {"status": {"$ne": "completed"}},
        {"number": {"$in": (1, 2, 3)}},
        {"number": {"$in": {3: "keys"}}},
        {"nothing": {"$in": [None]}},
        {"status": {"$in": ["interrupted"]}},
        {"status": {"$in": [Status.Interrupted]}},
        {"status": {"$nin": ["Interrupted", Status.Running]}},
        {"number": {"$in": ["3"]}},
        {"number": {"$nin": []}},
        {"number": {"$ne": "3"}},
        {"number": {"$gt": 2, "$gte": 3, "$lt": 4, "$lte": 3}},
        {"text": {"$regex": "me te"}},
        {"text": {"$gt": "some"}},
        {"text": {"$not": {"$regex": "^x"}}},
        {"number": {"$not": 4}},
        {"nested.missing": {"$exists": False}},
        {"nested.a.none": {"$exists": True}},
        {"nested.missing": {"$not": {"$exists": True}}},
        {"nested.missing": {"$not": {"$lt": 3}}},
        {"$and": []},
        {"$and": [{"number": 3}, [("uid", "u")]]},
        {"$or": [{"number": 4}, {"number": 3}]},
        {"$or": [{"$and": [{"number": 4}]}, {"$or": [{"uid": "u"}]}], "uid": "u"},
        OrderedDict(number=3),
        MappingProxyType({"number": 3}),
        iter([("number", 3)]),
        {"nested": THING.nested},
        {"nested.a": {"$ne": {"b": 2}}},
    ],
)
def test_what_matches(query):
    """Paths, equality and each operator find what is there."""
    assert execute_query(THING, query) is True


@pytest.mark.parametrize(
    "query",
    [
        {"number": 4},
        {"number": "3"},
        {"number": 3, "uid": "other"},
        {"_uid": None},
        {"uid": None},
        {"nested.a.b.c": 1},
        {"nested.01.x": 1},
        {"nested.one": 1},
        {'nested["a.b.c"]': 1},
        {'nested["v"]["a.z"]': 7},
        {"number": {"$in": []}},
        {"number": {"$in": [1, 2]}},
        {"number": {"$in": None}},
        {"status": {"$in": ["Interrupted"]}},
        {"status": "Interrupted"},
        {"status": {"$ne": "interrupted"}},
        {"items.2": None, "items.0": 2},
        {"items.-3": {"$exists": True}},
        {"items.x": {"$exists": True}},
        {"items.0.0": 1},
        {"number": {"$lt": "4"}},
        {"nothing": {"$lte": 3}},
        {"nothing": {"$gt": 3}},
        {"nested.missing": {"$gte": 0}},
        {"nothing": {"$regex": "."}},
        {"number": {"$regex": "3"}},
        {"number": {"$gt": 2, "$lt": 3}},
        {"nothing": {"$exists": False}},
        {"nested.missing": {"$exists": True}},
        {"number": {"$not": {"$gt": 2}}},
        {"$or": []},
        {"$or": [{"number": 4}, {"uid": "v"}]},
        {"$and": [{"number": 3}, {"uid": "v"}]},
        [("uid", "v"), ("bogus", 1)],
        {"uid": "v", "number": {"$bogus": 1}},
    ],
)
def test_what_does_not(query):
    """What cannot apply does not match, and nothing behind a failed condition is looked at."""
    assert execute_query(THING, query) is False


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"bogus": 1}, "bogus"),
        ({"bogus.key": None}, "bogus"),
        ([("number", 3), ("bogus", 1)], "bogus"),
        ({"number": {"$bogus": 1}}, r"\$bogus"),
        ({"number": {"$gt": 1, "bogus": 1}}, "bogus"),
        ({"$nor": []}, r"\$nor"),
        ({"$or": [{"bogus": 1}]}, "bogus"),
        ({"number": {"$not": {"$bogus": 1}}}, r"\$bogus"),
    ],
)
def test_nonsense_is_named(query, named):
    """An attribute or operator that does not exist is an error that lists those that do."""
    with pytest.raises(QueryError, match=named) as caught:
        execute_query(THING, query)
    assert isinstance(caught.value, RuntimeError)
    assert "use one of" in str(caught.value)


@pytest.mark.parametrize("query", ["number", "number>3", {"$or": ["number"]}])
def test_a_text_is_no_query(query):
    """Neither a name nor a condition of the command line; the message shows what is one."""
    with pytest.raises(QueryError, match=r"a query is a dictionary, such as .*, not 'number"):
        execute_query(THING, query)


def test_statuses_of_ones_own_are_compared_in_full():
    """A status equals its name, the dictionary of it, and the status itself."""
    trial = Trial(_hash="h", status=CustomStatus("new", 1))
    for wanted in ("new", {"name": "new", "value": 1}, CustomStatus("new", 1)):
        assert execute_query(trial, {"status": wanted})
        assert execute_query(trial, {"status": {"$in": [wanted]}})
        assert not execute_query(trial, {"status": {"$ne": wanted}})
    assert not execute_query(trial, {"status": {"name": "new", "value": 2}})


def test_steps_are_found_by_their_number():
    """A path is text, and the steps of a curve are numbers."""
    trial = Trial(_hash="h", metrics={"loss": {0: 1.0, 9: 0.25}})
    assert execute_query(trial, {"metrics.loss.9": {"$lt": 0.5}})
    assert not execute_query(trial, {"metrics.loss.0": {"$lt": 0.5}})
    assert not execute_query(trial, {"metrics.loss.8": {"$exists": True}})


def test_everything_that_can_be_queried_is_named():
    """Metrics and uids are computed, and can be asked for like everything else."""
    with pytest.raises(QueryError) as caught:
        execute_query(Trial(_hash="h"), {"parameter.lr": 1})
    assert str(caught.value) == (
        "unknown field 'parameter' of a Trial: use one of alerts, chronos, description, "
        "errors, failure, group_id, hash, metadata, metrics, name, parameters, project_id, "
        "revision, status, tags, uid, version"
    )
