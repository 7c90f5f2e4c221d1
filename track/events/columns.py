"""Many payloads of one shape -> columns, without parsing each.

A training loop logs the same metrics over and over: payloads of equal length whose structural bytes
(array and map headers, names, type markers) are all the same. :func:`decode_columns` compares those
bytes for a thousand payloads in one operation and reads the numbers with one compiled
:class:`struct.Struct`. It gives what decoding one by one would give, or None when it cannot; that
equality is a tested law, and this module may be deleted without changing a result.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from track.events.codec import ENVELOPE
from track.events.types import CATALOGUE, MetricsLogged

_HEAD = bytes((0x97, *CATALOGUE[MetricsLogged], 0xCF))
_ENVELOPE_MASK = (
    b"\xff" * 4 + bytes(8) + b"\xff" + bytes(8) + b"\xff" + bytes(4) + b"\xff" + bytes(8)
)
_MARKERS = (0xCF, 0xCE, 0xCF, 0x93)
"""In front of producer, sequence and time, and of the three fields of the body."""

_FIXMAP, _FIXMAP_MOST, _FIXSTR, _FIXSTR_MOST = 0x80, 15, 0xA0, 31
_FLOAT, _NIL, _FIXINT = b"\xcb", b"\xc0", 0x7F

# How a step is marked, and what of it is structure: a small integer is its own marker.
_SMALL_STEP = ("B", b"\x80")
_STEP_SLOTS = {
    0xCC: ("xB", b"\xff" + bytes(1)),
    0xCD: ("xH", b"\xff" + bytes(2)),
    0xCE: ("xI", b"\xff" + bytes(4)),
    0xCF: ("xQ", b"\xff" + bytes(8)),
}
_FEWEST = 8
"""Fewer payloads than this are not worth a shape."""


class Columns(NamedTuple):
    """Consecutive :class:`~track.events.types.MetricsLogged` with the same metrics, all floats.

    Attributes
    ----------
    streams, times, steps
        one item per event
    metrics
        name -> one float per event
    """

    streams: tuple[int, ...]
    times: tuple[int, ...]
    steps: tuple[int, ...]
    metrics: dict[str, tuple[float, ...]]


class _Shape(NamedTuple):
    """How to read payloads like one that was seen: ``payload & mask == structure``."""

    numbers: Struct
    mask: bytes
    structure: bytes
    names: tuple[str, ...]


def decode_columns(payloads: list[bytes]) -> Columns | None:
    """Decode payloads of equal length at once, or return None when their shapes differ."""
    if len(payloads) < _FEWEST:
        return None
    try:
        shape = _shape_of(payloads[0])
    except (IndexError, UnicodeDecodeError):  # not written by this package
        return None
    if shape is None:
        return None
    joined = b"".join(payloads)
    # One AND of two long integers blanks the numbers of all payloads at once.
    mask, structure = _repeat(shape.mask, len(payloads)), _repeat(shape.structure, len(payloads))
    if int.from_bytes(joined, "big") & mask != structure:
        return None
    streams, times, steps, *values = zip(*shape.numbers.iter_unpack(joined), strict=True)
    return Columns(streams, times, steps, dict(zip(shape.names, values, strict=True)))


@lru_cache(maxsize=16)
def _repeat(pattern: bytes, count: int) -> int:
    return int.from_bytes(pattern * count, "big")


def _shape_of(payload: bytes) -> _Shape | None:
    """Read the shape of ``[step, {name: float, …}, None]`` with an integer step, else None."""
    position = ENVELOPE.size
    markers = payload[12], payload[21], payload[26], payload[position]
    if not payload.startswith(_HEAD) or markers != _MARKERS:
        return None
    marker = payload[position + 1]
    slot, step_mask = _STEP_SLOTS.get(marker, ("", b"")) if marker > _FIXINT else _SMALL_STEP
    if not slot:
        return None
    layout, masks = [">4xQx8xx4xxQx", slot], [_ENVELOPE_MASK, b"\xff", step_mask]
    position += 1 + len(step_mask)
    count = payload[position] ^ _FIXMAP
    names: list[str] = []
    layout.append("x")
    masks.append(b"\xff")
    position += 1
    if not 0 < count <= _FIXMAP_MOST:
        return None
    for _ in range(count):
        start = position
        size = payload[position] ^ _FIXSTR
        position += 1 + size
        if size > _FIXSTR_MOST or payload[position : position + 1] != _FLOAT:
            return None
        names.append(payload[start + 1 : position].decode())
        position += 1
        layout.append(f"{position - start}xd")
        masks.append(b"\xff" * (position - start) + bytes(8))
        position += 8
    if payload[position:] != _NIL:
        return None
    mask = b"".join([*masks, b"\xff"])
    blanked = int.from_bytes(payload, "big") & int.from_bytes(mask, "big")
    return _Shape(
        Struct("".join([*layout, "x"])), mask, blanked.to_bytes(len(mask), "big"), tuple(names)
    )
