"""Replace payloads in an SQL journal, as a redaction needs."""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Callable, Collection

from track.events.codec import envelope
from track.journals.sql.reading import join_parts
from track.journals.sql.rows import chunks, parts_of
from track.journals.sql.schema import PART_BYTES
from track.journals.sql.session import Session

_ROWS, _BYTES = 500, 2**23
"""The limits of one transaction, which has at least one row."""

_SELECT = """
    SELECT position, parts, data FROM (
        SELECT position, parts, data, sum(octet_length(data)) OVER (
            ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS size_before
        FROM events WHERE log = %(log)s AND stream = ANY(%(streams)s)
            AND position > %(after)s AND position <= %(last)s
        ORDER BY position LIMIT %(limit)s
    ) AS these
    WHERE size_before IS NULL OR size_before < %(most_bytes)s ORDER BY position
"""

_UPDATE_EVENTS = b"""
    UPDATE events SET data = d.data, kind = d.kind::INT8
    FROM (VALUES %s) AS d (position, kind, data)
    WHERE events.log = %%(log)s AND events.position = d.position
"""
_UPDATE_PARTS = b"""
    UPDATE event_parts SET data = d.data FROM (VALUES %s) AS d (position, part, data)
    WHERE event_parts.log = %%(log)s AND event_parts.position = d.position
        AND event_parts.part = d.part
"""


def rewrite_some(
    log: int,
    streams: Collection[int],
    change: Callable[[bytes], bytes],
    bounds: tuple[int, int],
    session: Session,
) -> int:
    """Replace the next payloads of some streams by others of the same length, in one transaction.

    Parameters
    ----------
    log
        the number of the log
    streams
        the streams whose payloads change
    change
        returns the new payload for a payload
    bounds
        the position after which to begin, and the last position
    session
        a session with the database

    Returns
    -------
    The last position that was processed.
    """
    after, last = bounds
    with session.transaction():
        rows = session.execute(
            _SELECT,
            log=log,
            streams=[*streams],
            after=after,
            last=last,
            limit=_ROWS,
            most_bytes=_BYTES,
        )
        events: list[bytes] = []
        more: list[bytes] = []
        for position, parts, first in rows:
            before = bytes(first) if parts == 1 else join_parts(log, position, first, session)
            payload = change(before)
            assert len(payload) == len(before)
            if payload != before:
                found = envelope(payload)
                kind = b"NULL" if found is None else b"%d" % found.tag
                events.append(
                    b"(%d,%s,'\\x%s'::BYTEA)" % (position, kind, hexlify(payload[:PART_BYTES]))
                )
                more += parts_of(position, payload)
        for update, changed in ((_UPDATE_EVENTS, events), (_UPDATE_PARTS, more)):
            for chunk in chunks(changed):
                session.execute(update % b",".join(chunk), log=log)
    return int(rows[-1][0]) if rows else last
