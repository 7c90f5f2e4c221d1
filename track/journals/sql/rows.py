"""Convert payloads to rows of the SQL journal and back (``docs/format.md``).

The driver takes 12 us to put the values of one event into a statement, several times as long as
everything else. This module takes 1 us. It inserts only numbers and hexadecimal digits, which
cannot be mistaken for SQL.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Iterator, Sequence

from track.errors import EncodingError
from track.events.codec import MAX_PAYLOAD, envelope, identify
from track.events.record import MAX_GROUP
from track.journals.sql.schema import PART_BYTES

_MOST_ROWS, _MOST_DIGITS = 1000, 2**23
"""The limits of one statement."""

_MAX_INT8 = 2**63 - 1

_INSERT_EVENTS = b"""
    INSERT INTO events (log, position, stream, producer, sequence, kind, at, parts, data)
    SELECT %%(log)s, head.head + d.i, d.stream::INT8, d.producer::INT8, d.sequence::INT8,
        d.kind::INT8, d.at::INT8, d.parts, d.data
    FROM head, (VALUES %s) AS d (i, stream, producer, sequence, kind, at, parts, data)
"""
_INSERT_PARTS = b"""
    INSERT INTO event_parts (log, position, part, data)
    SELECT %%(log)s, head.head + d.i, d.part, d.data
    FROM head, (VALUES %s) AS d (i, part, data)
"""


class Rows:
    """The statements that insert a batch.

    Attributes
    ----------
    size
        the number of events
    identities
        the producer and the sequence of each; None if some are not events
    statements
        statements for the rows, before which a first part must define ``head``

    Raises
    ------
    EncodingError
        a payload, or the whole batch, is too large
    """

    def __init__(self, payloads: Sequence[bytes]) -> None:
        _check_sizes(payloads)
        self.size = len(payloads)
        identities = [found for found in map(identify, payloads) if found is not None]
        self.identities = identities if len(identities) == self.size else None
        events = [_event(number, payload) for number, payload in enumerate(payloads, 1)]
        parts = [
            part
            for number, payload in enumerate(payloads, 1)
            if len(payload) > PART_BYTES
            for part in parts_of(number, payload)
        ]
        self.statements = [
            insert % b",".join(chunk)
            for insert, rows in ((_INSERT_EVENTS, events), (_INSERT_PARTS, parts))
            for chunk in chunks(rows)
        ]


def _check_sizes(payloads: Sequence[bytes]) -> None:
    longest, total = max(map(len, payloads)), sum(map(len, payloads))
    if longest > MAX_PAYLOAD:
        raise EncodingError(f"a payload of {longest} bytes is over the limit of {MAX_PAYLOAD}")
    if total > MAX_GROUP:
        raise EncodingError(
            f"{len(payloads)} events of {total} bytes are too large for one append, the limit is "
            f"{MAX_GROUP} bytes: append them in smaller batches"
        )


def _event(number: int, payload: bytes) -> bytes:
    """Return the row of an event, with empty columns if it is not an event."""
    first = hexlify(payload[:PART_BYTES])
    parts = max(1, -(-len(payload) // PART_BYTES))
    found = envelope(payload)
    if found is None or max(found) > _MAX_INT8:
        return b"(%d,NULL,NULL,NULL,NULL,NULL,%d,'\\x%s'::BYTEA)" % (number, parts, first)
    tag, stream, producer, sequence, at = found
    return b"(%d,%d,%d,%d,%d,%d,%d,'\\x%s'::BYTEA)" % (
        *(number, stream, producer, sequence, tag, at),
        parts,
        first,
    )


def parts_of(number: int, payload: bytes) -> list[bytes]:
    """Return the rows of what does not fit into the row of an event."""
    return [
        b"(%d,%d,'\\x%s'::BYTEA)"
        % (number, start // PART_BYTES, hexlify(payload[start : start + PART_BYTES]))
        for start in range(PART_BYTES, len(payload), PART_BYTES)
    ]


def chunks(rows: list[bytes]) -> Iterator[list[bytes]]:
    """Yield the rows of each statement."""
    chunk: list[bytes] = []
    size = 0
    for row in rows:
        if chunk and (len(chunk) == _MOST_ROWS or size + len(row) > _MOST_DIGITS):
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += len(row)
    if chunk:
        yield chunk
