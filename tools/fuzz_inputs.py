"""Make malformed things to say to a server of the relay, for ``tools/fuzz_relay.py``."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from hashlib import sha256
from typing import Any, NamedTuple

import msgpack

from track.events import types
from track.events.codec import ENVELOPE, Encoder, stream_id
from track.events.record import frame
from track.events.values import pack_values
from track.relay.messages import (
    LENGTH,
    Verb,
)
from track.utils.handshake import HELLO, LAYERS, MAGIC

_NAMES = [
    *("fetch_groups", "fetch_projects", "fetch_trials", "first_group", "first_trial", "get_trial"),
    *("knows", "next_revision", "status_of", "first_unmet", "objects", "sync", "commit"),
    *("rows", "look_up", "sample", "chunks", "points"),
    *("content", "contents", "missing_contents"),
    *("__class__", "close", "exec", ""),
]
_ODD: list[Any] = [
    *(None, True, -1, 0, 1, 127, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 2**200, 0.5),
    *(float("nan"), float("inf"), "", "trial", "trial_0", "project", "\0", "x" * 3000, "$and"),
    *("absent", "present", "first", "group", b"", b"\xff" * 40, [], [[]], [[[]]], [1, 2], {}),
    *({"uid": "trial_0"}, {"$and": [{}]}, {"$or": 1}, {"uid": {"$in": [1]}}, {"$x": 1}, {1: 2}),
    *({"uid": {"$regex": "("}}, {"status": {"$gt": None}}, {"metrics.loss": {"$exists": 1}}),
    *((), (1, ("a",)), {(1, 2): 3}, {None: None}, {"a": {"a": {"a": {"a": {}}}}}, "\udc80"),
    *(
        msgpack.ExtType(code, data)
        for code in (1, 2, 3, 4, 5, 16, 17, 99)
        for data in (b"", b"\x90")
    ),
    *(msgpack.ExtType(17, msgpack.packb(["a+", flags])) for flags in (0, 128, -1, 2**40)),
    *(msgpack.ExtType(16, msgpack.packb([name, 3])) for name in ("new", None, [1])),
    datetime(2020, 1, 1, tzinfo=timezone.utc),
]


_ABOUT_A_SERIES = 0.3
"""How many of the calls are."""


class Input(NamedTuple):
    """What to say on one connection."""

    stage: str
    """Up to where it is honest: nothing, a hello, or a login."""
    layer: str | None
    speech: list[tuple[str, bytes]]
    """What is said then, in order: raw bytes, the content of a sound frame, or of a broken one."""


# Making inputs


def make_input(chance: random.Random) -> Input:
    """Return something to say that no honest client says, or nearly."""
    layer = chance.choice([None, "AES"])
    stage = chance.choices(["hello", "login", "request"], [1, 2, 5])[0]
    if stage == "hello":
        return Input(stage, layer, [("raw", _odd_hello(chance, layer))])
    make = _login if stage == "login" else _request
    contents = [make(chance) for _ in range(chance.choice([1, 1, 1, 2, 5]))]
    return Input(stage, layer, [_carried(chance, content) for content in contents])


def _odd_hello(chance: random.Random, layer: str | None) -> bytes:
    hello = bytearray(HELLO.pack(MAGIC, 1, LAYERS[layer], chance.randbytes(32)))
    how = chance.randrange(5)
    if how == 0:
        return chance.randbytes(chance.randrange(200))
    if how == 1:
        return bytes(hello[: chance.randrange(len(hello))])
    if how == 2:  # noqa: PLR2004 - one of five ways
        return bytes(hello) + chance.randbytes(chance.randrange(100))
    return _mutated(chance, bytes(hello))


def _carried(chance: random.Random, content: bytes) -> tuple[str, bytes]:
    """Return how a content is sent: mostly in a sound frame, for what is in it to be read."""
    kind = chance.choices(["sound", "broken", "short", "long", "raw"], [12, 1, 1, 1, 1])[0]
    return kind, content


def _login(chance: random.Random) -> bytes:
    verb = chance.choice([Verb.LOGIN] * 4 + [*Verb])
    header: Any = [chance.choice(["", "ada", *_ODD]), chance.choice([None, "", *_ODD])]
    return _content(chance, verb, _odd_values(chance, header), b"")


def _request(chance: random.Random) -> bytes:
    make: Callable[[random.Random], tuple[Verb, list[Any], bytes]] = chance.choice(
        [_an_append, _a_proposal, _a_last, _a_call, _a_call, _a_subscription, _a_piece, _any_verb]
    )
    verb, header, attachment = make(chance)
    return _content(chance, verb, _odd_values(chance, header), attachment)


def _an_append(chance: random.Random) -> tuple[Verb, list[Any], bytes]:
    records = [frame(_odd_payload(chance)) for _ in range(chance.randrange(4))]
    return Verb.APPEND, [], _sometimes_mutated(chance, b"".join(records))


def _a_proposal(chance: random.Random) -> tuple[Verb, list[Any], bytes]:
    expected = ["trial", "trial_0", chance.choice(["absent", "present", "first"]), {}]
    header = [[expected] * chance.randrange(3), chance.choice([None, "trial"]), "trial_0"]
    return Verb.PROPOSE, header, _odd_payload(chance)


def _a_last(chance: random.Random) -> tuple[Verb, list[Any], bytes]:
    return Verb.LAST, [chance.choice([None, 1, chance.getrandbits(70)])], b""


def _a_call(chance: random.Random) -> tuple[Verb, list[Any], bytes]:
    arguments = [chance.choice(_ODD) for _ in range(chance.choice([0, 1, 1, 2]))]
    if chance.random() < _ABOUT_A_SERIES:
        series = _odd_values(chance, ["trial_0", "loss", chance.randrange(9), 1, 0.5])
        bounds = [chance.choice([0, 1, 2, 9, 2**16, 2**40, *_ODD]) for _ in range(3)]
        name, count = chance.choice([("sample", 3), ("chunks", 1), ("points", 2)])
        return Verb.CALL, [name, series, *bounds[:count]], b""
    return Verb.CALL, [chance.choice(_NAMES), *arguments], b""


def _a_subscription(chance: random.Random) -> tuple[Verb, list[Any], bytes]:
    return Verb.SUBSCRIBE, [chance.choice([0, 1, chance.getrandbits(20)]), chance.choice(_ODD)], b""


def _a_piece(chance: random.Random) -> tuple[Verb, list[Any], bytes]:
    content = chance.randbytes(chance.choice([0, 1, 40]))
    digest = chance.choice([sha256(content).hexdigest(), "a" * 64])
    begin = chance.randrange(len(content) + 1)
    header = [digest, chance.choice([len(content), 2**40]), begin]
    return Verb.KEEP, header, content[begin : begin + chance.randrange(40)]


def _any_verb(chance: random.Random) -> tuple[Verb, list[Any], bytes]:
    return chance.choice([*Verb]), [chance.choice(_ODD)], chance.randbytes(chance.randrange(50))


_EVENTS = [kind for kind in vars(types).values() if hasattr(kind, "_fields")]


def _odd_payload(chance: random.Random) -> bytes:
    """Return an event whose fields may be anything, or hardly one."""
    kind = chance.choice(_EVENTS)
    if not kind._fields or kind.__name__ in ("Recorded", "Unknown", "Kind"):
        kind = types.MetricsLogged
    fields = [chance.choice(["trial", 0, {}, {"loss": 0.5}, None, *_ODD]) for _ in kind._fields]
    where = chance.choice(["trial:trial_0", "project:project", "trial:x", "group:g"]).split(":")
    stream = stream_id(where[0], where[1])
    sequence = chance.choice([0, 1, 2, 3, 2**32 - 1])
    payload = Encoder().encode(
        types.TagsAdded, [{}], stream, chance.getrandbits(chance.choice([8, 63, 64])), sequence, 1
    )
    with suppress(KeyError):
        tag = types.CATALOGUE[kind]
        payload = bytes([payload[0], tag.tag, tag.version]) + payload[3 : ENVELOPE.size]
        with suppress(Exception):
            payload += pack_values(fields, ())
    return _sometimes_mutated(chance, payload)


def _odd_values(chance: random.Random, values: list[Any]) -> list[Any]:
    """Return values some of which may have become odd, at any depth."""
    values = [_odd_values(chance, value) if isinstance(value, list) else value for value in values]
    if chance.random() < 0.3:  # noqa: PLR2004 - sometimes
        values.insert(chance.randint(0, len(values)), chance.choice(_ODD))
    if values and chance.random() < 0.3:  # noqa: PLR2004 - sometimes
        values[chance.randrange(len(values))] = chance.choice(_ODD)
    if values and chance.random() < 0.1:  # noqa: PLR2004 - seldom
        del values[chance.randrange(len(values))]
    return values


def _content(chance: random.Random, verb: int, header: list[Any], attachment: bytes) -> bytes:
    packed = _sometimes_mutated(chance, pack_values(header, ()))
    size = chance.choices([len(packed), chance.getrandbits(32), len(packed) + 1], [30, 1, 1])[0]
    verb = chance.choices([verb, chance.randrange(256)], [20, 1])[0]
    return _sometimes_mutated(chance, bytes([verb]) + LENGTH.pack(size) + packed + attachment)


def _sometimes_mutated(chance: random.Random, data: bytes) -> bytes:
    return _mutated(chance, data) if chance.random() < 0.15 else data  # noqa: PLR2004 - sometimes


def _mutated(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5])):
        at = chance.randint(0, len(changed))
        how = chance.randrange(5)
        if how == 0:
            changed[at:at] = chance.randbytes(chance.choice([1, 4, 100]))
        elif how == 1:
            del changed[at : at + chance.choice([1, 4, 100])]
        elif how == 2:  # noqa: PLR2004 - one of five ways
            changed[at : at + 1] = bytes([chance.choice([0, 1, 0x7F, 0x80, 0xC1, 0xDD, 0xFF])])
        elif how == 3:  # noqa: PLR2004 - one of five ways
            changed += changed[at:]
        elif changed:
            changed[at % len(changed)] ^= 1 << chance.randrange(8)
    return bytes(changed[: 2**20])
