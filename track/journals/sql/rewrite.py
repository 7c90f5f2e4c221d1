"""Replace payloads in an SQL journal, as a redaction needs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress

from psycopg2 import errors

from track.events.codec import envelope
from track.journals.sql.reading import join_parts
from track.journals.sql.schema import PART_BYTES
from track.journals.sql.session import Session

_ROWS, _BYTES = 500, 2**23
"""Of one transaction; it has at least one row."""

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


def rewrite_some(
    log: str,
    streams: Collection[int],
    change: Callable[[bytes], bytes],
    bounds: tuple[int, int],
    session: Session,
) -> int:
    """Replace the next payloads of some streams by others of the same length, in one transaction.

    Parameters
    ----------
    log
        which log
    streams
        whose payloads
    change
        what returns another payload for one
    bounds
        the positions behind which to begin, and after which to end
    session
        a session with the database

    Returns
    -------
    The position up to which it is done.
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
        for position, parts, first in rows:
            _rewrite_row(log, position, parts, bytes(first), change, session)
    return int(rows[-1][0]) if rows else last


def forget_snapshots(log: str, session: Session) -> None:
    """Delete what an earlier version kept of the objects: it would bring everything back."""
    with suppress(errors.UndefinedTable):  # databases made since have none
        session.execute("DELETE FROM snapshots WHERE log = %(log)s", log=log)


def _rewrite_row(  # noqa: PLR0917 - where, what and how
    log: str,
    position: int,
    parts: int,
    first: bytes,
    change: Callable[[bytes], bytes],
    session: Session,
) -> None:
    before = first if parts == 1 else join_parts(log, position, first, session)
    after = change(before)
    if after == before:
        return
    assert len(after) == len(before)
    found = envelope(after)
    session.execute(
        "UPDATE events SET data = %(data)s, kind = %(kind)s "
        "WHERE log = %(log)s AND position = %(position)s",
        log=log,
        position=position,
        data=after[:PART_BYTES],
        kind=None if found is None else found.tag,
    )
    for part in range(1, parts):
        session.execute(
            "UPDATE event_parts SET data = %(data)s "
            "WHERE log = %(log)s AND position = %(position)s AND part = %(part)s",
            log=log,
            position=position,
            part=part,
            data=after[part * PART_BYTES : (part + 1) * PART_BYTES],
        )
