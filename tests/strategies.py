"""Define the Hypothesis strategies of the tests, and when two values are the same."""

from __future__ import annotations

import struct
from datetime import date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import numpy as np
from hypothesis import strategies as st

from track.events.record import MAGIC, frame, frame_group
from track.events.types import (
    CATALOGUE,
    AlertRaised,
    ArgumentsLogged,
    ArtifactLogged,
    ArtifactUsed,
    ChronoFinished,
    ChronoStarted,
    GroupCreated,
    GroupMetadataSet,
    Heartbeat,
    MediaLogged,
    MetadataLogged,
    MetricDefined,
    MetricsLogged,
    OutputCaptured,
    ProcessDescribed,
    ProjectCreated,
    Redacted,
    SearchLogged,
    StatusChanged,
    SystemSampled,
    TagsAdded,
    TrialAddedToGroup,
    TrialAddedToProject,
    TrialArchived,
    TrialCreated,
    TrialFinished,
    TrialRedacted,
    TrialRestored,
    TrialStarted,
)


def same(a: Any, b: Any) -> bool:
    """Return whether two values are identical, including their types and the order of keys."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack(">d", a) == struct.pack(">d", b)
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, datetime):
        return a.isoformat() == b.isoformat()
    return bool(a == b)


# Values

integers = st.one_of(
    st.integers(-200, 200),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.sampled_from(
        [s * 2**n + d for n in (7, 8, 16, 31, 32, 63, 64) for s in (1, -1) for d in (-1, 0, 1)]
    ),
)
floats = st.one_of(
    st.floats(width=64),
    st.sampled_from([0.0, -0.0, float("nan"), -float("nan"), float("inf"), -float("inf"), 5e-324]),
)
texts = st.one_of(
    st.text(st.characters(), max_size=12),
    st.text(st.characters(categories=["Cs"]), min_size=1, max_size=3),
    st.sampled_from(["", "loss", "ünïcode", "日本", "🎉", "a\0b", "\u0141TJ", "x" * 40]),
)
datetimes = st.datetimes(
    timezones=st.none()
    | st.just(timezone.utc)
    | st.builds(lambda m: timezone(timedelta(minutes=m)), st.integers(-1439, 1439))
)
dates = st.dates(date(1, 1, 1), date(9999, 12, 31))
uuids = st.uuids().map(lambda value: UUID(int=value.int))

scalars = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    floats,
    texts,
    st.binary(max_size=40),
    datetimes,
    dates,
    uuids,
)
"""Loggable values that hold no other values."""

keys = st.one_of(texts, st.integers(-(2**70), 2**70), st.tuples(texts, st.integers()), st.none())
"""The keys of dictionaries. No two different ones are equal, so none is lost."""


def _containers(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(items, max_size=4),
        st.lists(items, max_size=4).map(tuple),
        st.dictionaries(keys, items, max_size=4),
    )


loggable = st.recursive(scalars, _containers, max_leaves=12)
"""Every value that a user may log, in exactly the form in which it is read back."""

unloggable = st.sampled_from(
    [object(), same, len, {1, 2}, frozenset(), 1j, np.array([1.0, 2.0]), np.complex128(1), range(3)]
)
"""Values that cannot be logged."""

# Events

names = texts
optional_names = st.none() | texts
values = st.dictionaries(keys, loggable, max_size=4)
aggregators = st.none() | st.tuples(st.sampled_from(["value", "ring"]), values).map(list)
seconds = st.none() | floats
steps = st.one_of(
    st.none(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1, -1, -33]),
    texts,
    floats,
)

_FIELDS: dict[type[Any], list[st.SearchStrategy[Any]]] = {
    ProjectCreated: [names, optional_names, values],
    GroupCreated: [names, optional_names, optional_names, values, loggable],
    TrialCreated: [
        *(names, integers, optional_names, optional_names, values, optional_names),
        *(loggable, loggable, values, values, values, values),
        *(st.none() | st.tuples(names, integers).map(list), st.lists(names, max_size=3)),
    ],
    TrialAddedToProject: [names],
    TrialAddedToGroup: [names],
    TrialStarted: [],
    TrialFinished: [seconds, optional_names],
    ChronoStarted: [names, aggregators],
    ChronoFinished: [names, seconds, optional_names],
    ArgumentsLogged: [values],
    MetadataLogged: [values, aggregators],
    MetricsLogged: [steps, values, aggregators],
    TagsAdded: [values],
    StatusChanged: [names, integers, optional_names],
    GroupMetadataSet: [values],
    Heartbeat: [names, names, integers, integers],
    ProcessDescribed: [names, names, integers, integers, values],
    TrialArchived: [],
    TrialRestored: [],
    TrialRedacted: [],
    Redacted: [],
    SearchLogged: [st.lists(values, max_size=2)],
    MediaLogged: [steps, values],
    ArtifactLogged: [integers, names, names, values],
    ArtifactUsed: [names, names],
    AlertRaised: [names, names, names],
    MetricDefined: [names, names, optional_names],
    SystemSampled: [names, integers, st.none() | integers, values],
    OutputCaptured: [names, integers, st.none() | integers, st.lists(loggable, max_size=3)],
}
assert _FIELDS.keys() == CATALOGUE.keys()


def events_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Return the events of one class."""
    return st.tuples(*_FIELDS[kind]).map(lambda fields: kind(*fields))


events = st.sampled_from(list(_FIELDS)).flatmap(events_of)
"""Events of every type in the catalogue."""

streams = st.one_of(st.integers(0, 3), st.integers(0, 2**63 - 1), st.just(2**64 - 1))
sequences = st.integers(1, 2**32 - 1)
times = st.integers(0, 2**64 - 1)

# Payloads: to a record they are any bytes at all

_plain = st.binary(max_size=60)
_with_magic = st.lists(_plain | st.just(MAGIC), max_size=4).map(b"".join)
_record = _with_magic.map(frame)
_group = st.lists(_with_magic, min_size=2, max_size=3).map(frame_group)
payloads = st.one_of(
    _plain,
    _with_magic,
    _record,
    _group,
    st.tuples(_plain, _record, _plain).map(b"".join),
    st.tuples(_record, st.integers(0, 40)).map(lambda cut: cut[0][: cut[1]]),
    st.sampled_from([b"", MAGIC, MAGIC * 3, MAGIC[:2], bytes(range(256)), b"\xc1" * 9]),
)
"""Bytes, some with the magic, a whole record or a piece of one in them."""

appends = st.lists(st.lists(payloads, min_size=1, max_size=3), max_size=6)
"""Payloads by the append that wrote them."""


def written(batches: list[list[bytes]]) -> list[bytes]:
    """Return the bytes that each append writes: one record, or a group of them."""
    return [frame(batch[0]) if len(batch) == 1 else frame_group(batch) for batch in batches]
