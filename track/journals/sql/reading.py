"""Read events of an SQL journal in batches that fit into memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from itertools import accumulate
from typing import NamedTuple

import psycopg2
from psycopg2.extensions import cursor

from track.journals.journal import Batch
from track.journals.sql.schema import PART_BYTES
from track.journals.sql.session import Session, Sessions

READ_BYTES = 2**22
"""The approximate number of bytes to read at once; only the last event may exceed it."""

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
"""Joins the events of a batch, because the driver takes 3 us for the values of each row, even of
tiny ones. The size is limited, so that a batch fits into memory."""

_SELECT_ALL = _SELECT.format("")
_SELECT_STREAM = _SELECT.format(" AND stream = %(stream)s")

Found = tuple[Batch, int]
"""Events, and their approximate size in bytes."""

Work = Callable[[Callable[[Session], Found]], Found]
"""Calls a function with a session, and repeats the call until a server has answered."""

_Answers = Generator["Found | None", None, None]


class Request(NamedTuple):
    """Asks for some of the events after a position, of the whole log or of one stream."""

    log: int
    stream: int | None
    after: int
    limit: int

    def send(self, session: Session) -> cursor:
        """Send the request to a server."""
        values = self._asdict() | {"part_bytes": PART_BYTES, "most_bytes": READ_BYTES}
        return session.send(_SELECT_ALL if self.stream is None else _SELECT_STREAM, values)

    def receive(self, sent: cursor, session: Session) -> Found:
        """Wait for the answer, and return the events."""
        ((positions, lengths, data, size, in_parts),) = session.rows(sent)
        if positions is None:
            return ([], []), 0
        data, ends = bytes(data), [*accumulate(lengths)]
        payloads = [data[end - length : end] for end, length in zip(ends, lengths, strict=True)]
        for position in in_parts or ():
            index = bisect_left(positions, position)
            payloads[index] = join_parts(self.log, position, payloads[index], session)
        return (positions, payloads), size

    def ask(self, session: Session) -> Found:
        """Send the request to a server, and return the events of its answer."""
        return self.receive(self.send(session), session)


def read_in_batches(
    work: Work, sessions: Sessions, log: int, stream: int | None, after: int
) -> Iterator[Batch]:
    """Yield the events after a position, of the whole log or of one stream."""
    request = Request(log, stream, after, _FIRST_ROWS)
    answers = _nothing()
    try:
        while True:
            (positions, payloads), size = next(answers, None) or work(request.ask)
            is_last = len(positions) < request.limit and size < READ_BYTES
            if not is_last:
                limit = min(_MOST_ROWS, 1 + READ_BYTES * len(positions) // (1 + size))
                request = request._replace(after=positions[-1], limit=limit)
                answers = _ask_ahead(sessions, request)
                next(answers)
            if positions:
                yield positions, payloads
            if is_last:
                return
    finally:
        answers.close()


def _nothing() -> _Answers:
    yield from ()


def _ask_ahead(sessions: Sessions, request: Request) -> _Answers:
    """Send a request before its answer is wanted, so that the server works meanwhile.

    It yields None once the request is sent, and then the answer. Without an answer it yields None
    again, or ends, and the caller repeats the request in a way that waits for a server.
    """
    found = None
    with suppress(psycopg2.Error), sessions.one() as session:
        sent = request.send(session)
        yield None
        found = request.receive(sent, session)
    yield found


def join_parts(log: int, position: int, first: bytes, session: Session) -> bytes:
    """Return the payload of an event whose first part is known."""
    rows = session.execute(
        "SELECT data FROM event_parts WHERE log = %(log)s AND position = %(position)s "
        "ORDER BY part",
        log=log,
        position=position,
    )
    return b"".join((first, *(data for (data,) in rows)))
