"""Convert many payloads of one shape to columns, without parsing each.

A training loop logs the same metrics over and over. The payloads have equal length, and their
structural bytes (array and map headers, names, type markers) are the same. :func:`decode_columns`
compares these bytes for a thousand payloads in one operation, and gathers the bytes of each number
by their stride. The result equals that of decoding one by one, or is None; a test checks that
equality. This module only saves time.
"""

from __future__ import annotations

import sys
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, compress, count, islice, pairwise, repeat
from operator import itemgetter, ne
from typing import Any, NamedTuple

from track.events.codec import ENVELOPE
from track.events.types import CATALOGUE, MetricsLogged

_HEAD = bytes((0x97, *CATALOGUE[MetricsLogged], 0xCF))
_ENVELOPE_MASK = (
    b"\xff" * 4 + bytes(8) + b"\xff" + bytes(8) + b"\xff" + bytes(4) + b"\xff" + bytes(8)
)
_STREAM, _PRODUCER, _AT = 4, 13, 27
_MARKERS = (0xCF, 0xCE, 0xCF, 0x93)
"""The markers before producer, sequence and time, and before the fields of the body."""

_FIXMAP, _FIXMAP_MOST, _FIXSTR, _FIXSTR_MOST = 0x80, 15, 0xA0, 31
_FLOAT, _NIL, _FIXINT = b"\xcb", b"\xc0", 0x7F
_INTEGER_WIDTHS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_WIDTH = 8
FEWEST = 8
"""The least number of payloads for which computing a shape is worth it."""


class Columns(NamedTuple):
    """Consecutive :class:`~track.events.types.MetricsLogged` with the same metrics.

    Attributes
    ----------
    streams, producers, times, steps
        one item per event
    metrics
        one number per event, by name: a column of floats (typecode ``d``) or of integers
    """

    streams: array[int]
    producers: array[int]
    times: array[int]
    steps: array[int]
    metrics: dict[str, array[Any]]


class _Slot(NamedTuple):
    """The position and width of a big-endian number in a payload, a float or not negative."""

    offset: int
    width: int
    is_float: bool = False


class _Shape(NamedTuple):
    """Describes payloads that are read alike: ``payload & mask == structure``."""

    mask: bytes
    structure: bytes
    step: _Slot
    metrics: dict[str, _Slot]


def is_metrics(payload: bytes) -> bool:
    """Return whether the first bytes of a payload are those of logged metrics."""
    return payload.startswith(_HEAD)


def are_metrics(payloads: list[bytes]) -> list[bool]:
    """Return the same of each of many payloads."""
    return [*map(bytes.startswith, payloads, repeat(_HEAD))]


def decode_columns(payloads: list[bytes]) -> Columns | None:
    """Decode payloads at once, or return None if their lengths or shapes differ."""
    if len(payloads) < FEWEST or len({*map(len, payloads)}) != 1:
        return None
    try:
        shape = _shape_of(payloads[0])
    except (IndexError, UnicodeDecodeError):  # not written by this package
        return None
    if shape is None:
        return None
    joined, stride = b"".join(payloads), len(payloads[0])
    # One AND of two long integers clears the numbers of all payloads at once.
    mask, structure = _repeat(shape.mask, len(payloads)), _repeat(shape.structure, len(payloads))
    if int.from_bytes(joined, "big") & mask != structure:
        return None
    return Columns(
        _gather(joined, stride, _Slot(_STREAM, _WIDTH), "Q"),
        _gather(joined, stride, _Slot(_PRODUCER, _WIDTH), "Q"),
        _gather(joined, stride, _Slot(_AT, _WIDTH), "Q"),
        _gather_number(joined, stride, shape.step),
        {name: _gather_number(joined, stride, slot) for name, slot in shape.metrics.items()},
    )


@lru_cache(maxsize=16)
def _repeat(pattern: bytes, count: int) -> int:
    return int.from_bytes(pattern * count, "big")


def _gather_number(data: bytes, stride: int, slot: _Slot) -> array[Any]:
    column = _gather(data, stride, slot, "d" if slot.is_float else "q")
    if slot.width == _WIDTH and not slot.is_float and min(column) < 0:  # beyond 63 bits
        return _gather(data, stride, slot, "Q")
    return column


def _gather(data: bytes, stride: int, slot: _Slot, typecode: str) -> array[Any]:
    """Return the number in a slot of each ``stride`` bytes."""
    native = bytearray(len(data) // stride * _WIDTH)
    for byte in range(slot.width):
        place = slot.width - 1 - byte if sys.byteorder == "little" else _WIDTH - slot.width + byte
        native[place::_WIDTH] = data[slot.offset + byte :: stride]
    column: array[Any] = array(typecode)
    column.frombytes(native)
    return column


def _shape_of(payload: bytes) -> _Shape | None:
    """Return the shape of ``[step, {name: number, …}, None]`` with an integer step, else None.

    Negative integers are left to the general way, as there are few.
    """
    position = ENVELOPE.size
    markers = payload[12], payload[21], payload[26], payload[position]
    if not payload.startswith(_HEAD) or markers != _MARKERS:
        return None
    step = _integer_slot(payload, position + 1)
    if step is None:
        return None
    masks = [_ENVELOPE_MASK, b"\xff", _mask_of(step, position + 1), b"\xff"]
    position = step.offset + step.width
    count = payload[position] ^ _FIXMAP
    position += 1
    if not 0 < count <= _FIXMAP_MOST:
        return None
    metrics: dict[str, _Slot] = {}
    for _ in range(count):
        start = position
        size = payload[position] ^ _FIXSTR
        position += 1 + size
        slot = _number_slot(payload, position)
        if size > _FIXSTR_MOST or slot is None:
            return None
        metrics[payload[start + 1 : position].decode()] = slot
        masks += [b"\xff" * (position - start), _mask_of(slot, position)]
        position = slot.offset + slot.width
    if payload[position:] != _NIL:
        return None
    mask = b"".join([*masks, b"\xff"])
    blanked = int.from_bytes(payload, "big") & int.from_bytes(mask, "big")
    return _Shape(mask, blanked.to_bytes(len(mask), "big"), step, metrics)


def _number_slot(payload: bytes, position: int) -> _Slot | None:
    if payload[position : position + 1] == _FLOAT:
        return _Slot(position + 1, _WIDTH, is_float=True)
    return _integer_slot(payload, position)


def _integer_slot(payload: bytes, position: int) -> _Slot | None:
    marker = payload[position]
    if marker <= _FIXINT:
        return _Slot(position, 1)
    width = _INTEGER_WIDTHS.get(marker)
    return None if width is None else _Slot(position + 1, width)


def _mask_of(slot: _Slot, start: int) -> bytes:
    """Return the mask of a number with its marker, which start at a position."""
    # A small integer is its own marker, recognised by its highest bit.
    return b"\x80" if slot.offset == start else b"\xff" + bytes(slot.width)


def by_stream(
    columns: Columns, positions: Sequence[int]
) -> Iterator[tuple[int, Columns, array[int]]]:
    """Split columns and positions by stream.

    Events of different trials may be applied in any order.
    """
    streams, producers, times, steps, metrics = columns
    column = array("Q", positions)
    if streams == streams[:1] * len(streams):
        yield streams[0], columns, column
        return
    ends = changes(streams)
    each: list[array[Any]] = [column, streams, producers, times, steps, *metrics.values()]
    if len(ends) > len({*streams}):  # those of one stream are not together
        places: defaultdict[int, list[int]] = defaultdict(list)
        for index, stream in enumerate(streams):
            places[stream].append(index)
        order = itemgetter(*chain.from_iterable(places.values()))
        each = [array(one.typecode, order(one)) for one in each]
        ends = changes(each[1])
    for start, end in pairwise([0, *ends]):
        found, streams, producers, times, steps, *values = (one[start:end] for one in each)
        named = dict(zip(metrics, values, strict=True))
        yield streams[0], Columns(streams, producers, times, steps, named), found


def changes(values: Sequence[Any]) -> list[int]:
    """Return the places where a value differs from the one before, and the end."""
    differ = map(ne, values, islice(values, 1, None))
    return [*compress(count(1), differ), len(values)]
