"""Convert points of series and summaries of chunks to bytes and back, with limits."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, error

from track.containers.points import Points, Summary
from track.errors import MalformedMessage
from track.persistence.cache_format import (
    SUMMARY_BYTES,
    pack_axis,
    summary_from_bytes,
    summary_to_bytes,
    unpack_axis,
)
from track.projections.rows import from_little_endian, little_endian

MOST_POINTS = 2**16
"""Of one answer."""

MOST_SUMMARIES = 2**12
"""Of one answer."""

_SIZES = Struct("<II")
_COUNT = Struct("<I")


def pack_points(points: Points) -> bytes:
    """Return points as bytes: steps, times and positions, which cost little if they grow evenly."""
    if not points.steps:
        return b""
    axis = pack_axis(points)
    return _SIZES.pack(len(points.steps), len(axis)) + axis + little_endian(points.values)


def unpack_points(data: bytes) -> Points:
    """Return the points that some bytes are.

    Raises
    ------
    MalformedMessage
        they are none, or more than there may be
    """
    if not data:
        return Points.empty()
    try:
        count, size = _SIZES.unpack_from(data)
        axis, values = data[_SIZES.size : _SIZES.size + size], data[_SIZES.size + size :]
        if count <= MOST_POINTS and _COUNT.unpack_from(axis) == (count,):  # before there are any
            points = Points(*unpack_axis(axis, positions=True), from_little_endian("d", values))
            if all(len(column) == count for column in points):
                return points
    except (ValueError, error, OverflowError) as problem:
        raise MalformedMessage(f"these are no points: {problem}") from problem
    raise MalformedMessage("these are too many points, or not as many as it says")


def pack_summaries(summaries: Sequence[Summary]) -> bytes:
    """Return summaries as bytes."""
    return b"".join(map(summary_to_bytes, summaries))


def unpack_summaries(data: bytes) -> list[Summary]:
    """Return the summaries that some bytes are.

    Raises
    ------
    MalformedMessage
        they are none, or more than there may be
    """
    if len(data) % SUMMARY_BYTES or len(data) > MOST_SUMMARIES * SUMMARY_BYTES:
        raise MalformedMessage(f"{len(data)} bytes are no summaries of chunks")
    starts = range(0, len(data), SUMMARY_BYTES)
    return [summary_from_bytes(data[start : start + SUMMARY_BYTES]) for start in starts]
