"""Read events of an SQL journal in batches that fit into memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate

from track.journals.journal import Batch
from track.journals.sql.schema import PART_BYTES
from track.journals.sql.session import Session

READ_BYTES = 2**22
"""About how many bytes are read at once: only the last event may go beyond."""

_FIRST_ROWS, _MOST_ROWS = 64, 8192

_SELECT = """
    SELECT array_agg(position ORDER BY position), array_agg(octet_length(data) ORDER BY position),
        string_agg(data, ''::BYTEA ORDER BY position), sum(size)::INT8,
        array_agg(position ORDER BY position) FILTER (WHERE parts > 1)
    FROM (
        SELECT position, parts, data, size, sum(size) OVER (
            ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS size_before
        FROM (
            SELECT position, parts, data,
                CASE WHEN parts > 1 THEN parts * %(part_bytes)s ELSE octet_length(data) END AS size
            FROM events WHERE log = %(log)s{} AND position > %(after)s
            ORDER BY position LIMIT %(limit)s
        ) AS these
    ) AS sized
    WHERE size_before IS NULL OR size_before < %(most_bytes)s
"""
"""The driver takes 3 us for the values of one row, and nothing for the bytes of many. However large
the next ones are, there is no more of them than fits into memory."""

_SELECT_ALL = _SELECT.format("")
_SELECT_STREAM = _SELECT.format(" AND stream = %(stream)s")

Work = Callable[[Callable[[Session], tuple[Batch, int]]], tuple[Batch, int]]
"""Calls a function with a session, again until a server has answered."""


def read_in_batches(work: Work, log: str, stream: int | None, after: int) -> Iterator[Batch]:
    """Yield what is behind a position, of the whole log or of one stream."""
    limit = _FIRST_ROWS
    while True:
        (positions, payloads), size = work(partial(read_some, log, stream, after, limit))
        if positions:
            yield positions, payloads
        if len(positions) < limit and size < READ_BYTES:
            return
        after = positions[-1]
        limit = min(_MOST_ROWS, 1 + READ_BYTES * len(positions) // (1 + size))


def read_some(
    log: str, stream: int | None, after: int, limit: int, session: Session
) -> tuple[Batch, int]:
    """Return the next events behind a position, and how many bytes that is about."""
    ((positions, lengths, data, size, in_parts),) = session.execute(
        _SELECT_ALL if stream is None else _SELECT_STREAM,
        log=log,
        stream=stream,
        after=after,
        limit=limit,
        part_bytes=PART_BYTES,
        most_bytes=READ_BYTES,
    )
    if positions is None:
        return ([], []), 0
    data, ends = bytes(data), [*accumulate(lengths)]
    payloads = [data[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    for position in in_parts or ():
        index = bisect_left(positions, position)
        payloads[index] = join_parts(log, position, payloads[index], session)
    return (positions, payloads), size


def join_parts(log: str, position: int, first: bytes, session: Session) -> bytes:
    """Return the payload of an event whose first part is known."""
    rows = session.execute(
        "SELECT data FROM event_parts WHERE log = %(log)s AND position = %(position)s "
        "ORDER BY part",
        log=log,
        position=position,
    )
    return b"".join((first, *(data for (data,) in rows)))
