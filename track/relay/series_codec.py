"""Convert points of series and summaries of chunks to bytes and back, with limits."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, error

from track.containers.points import Points, Summary
from track.errors import MalformedMessage
from track.projections.rows import from_little_endian, little_endian
from track.read_model.cache_format import (
    SUMMARY_BYTES,
    pack_axis,
    summary_from_bytes,
    summary_to_bytes,
    unpack_axis,
)

MOST_POINTS = 2**16
"""The most points of one answer."""

MOST_SUMMARIES = 2**12
"""The most summaries of one answer."""

_SIZES = Struct("<II")
_COUNT = Struct("<I")


def pack_points(points: Points) -> bytes:
    """Return points as bytes; steps, times and positions that grow evenly take little space."""
    if not points.steps:
        return b""
    axis = pack_axis(points)
    values = little_endian(points.values) + points.integers
    return _SIZES.pack(len(points.steps), len(axis)) + axis + values


def unpack_points(data: bytes) -> Points:
    """Return points from bytes.

    Raises
    ------
    MalformedMessage
        the bytes are not points, or too many
    """
    if not data:
        return Points.empty()
    try:
        count, size = _SIZES.unpack_from(data)
        axis, values = data[_SIZES.size : _SIZES.size + size], data[_SIZES.size + size :]
        if count <= MOST_POINTS and _COUNT.unpack_from(axis) == (count,):  # before allocating
            floats, integers = from_little_endian("d", values[: 8 * count]), values[8 * count :]
            columns = *unpack_axis(axis, positions=True), floats
            if all(len(column) == count for column in columns) and len(integers) in {0, count}:
                return Points(*columns, integers)
    except (ValueError, error, OverflowError) as problem:
        raise MalformedMessage(f"invalid points: {problem}") from problem
    raise MalformedMessage("too many points, or another number than announced")


def pack_summaries(summaries: Sequence[Summary]) -> bytes:
    """Return summaries as bytes."""
    return b"".join(map(summary_to_bytes, summaries))


def unpack_summaries(data: bytes) -> list[Summary]:
    """Return summaries from bytes.

    Raises
    ------
    MalformedMessage
        the bytes are not summaries, or too many
    """
    if len(data) % SUMMARY_BYTES or len(data) > MOST_SUMMARIES * SUMMARY_BYTES:
        raise MalformedMessage(f"{len(data)} bytes are not summaries of chunks")
    starts = range(0, len(data), SUMMARY_BYTES)
    return [summary_from_bytes(data[start : start + SUMMARY_BYTES]) for start in starts]
