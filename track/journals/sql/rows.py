"""Convert payloads to rows of the SQL journal and back (``docs/format.md``).

The driver takes 12 us to put the values of one event into a statement, several times as long as
everything else. This module takes 1 us: it writes each column as one array, which a server also
reads faster than the values of many rows. It inserts only numbers and hexadecimal digits, which
cannot be mistaken for SQL.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Iterable, Iterator, Sequence

from track.errors import EncodingError
from track.events.codec import MAX_PAYLOAD, envelope
from track.events.record import MAX_GROUP
from track.journals.sql.schema import PART_BYTES

_MOST_ROWS, _MOST_DIGITS = 4096, 2**23
"""The limits of one statement."""

_MAX_INT8 = 2**63 - 1

_Columns = tuple[int | None, int | None, int | None]
_NO_EVENT: _Columns = None, None, None
"""The columns of a payload that is not an event."""

_INSERT_EVENTS = b"""
    INSERT INTO events (log, position, stream, kind, at, parts, data)
    SELECT %%(log)s, head.head + d.i, d.stream, d.kind, d.at, d.parts, d.data
    FROM head, ROWS FROM (
        generate_series(%d, %d),
        unnest('{%s}'::INT8[]), unnest('{%s}'::INT8[]), unnest('{%s}'::INT8[]),
        unnest('{%s}'::INT8[]), unnest('{%s}'::BYTEA[])
    ) AS d (i, kind, stream, at, parts, data)
"""
_INSERT_PARTS = b"""
    INSERT INTO event_parts (log, position, part, data)
    SELECT %%(log)s, head.head + d.i, d.part, d.data
    FROM head, (VALUES %s) AS d (i, part, data)
"""
_NOTE_PRODUCERS = b""", noted AS (
        INSERT INTO producers (log, producer, first_sequence, last_sequence)
        SELECT %%(log)s, d.producer, d.first_sequence, d.last_sequence
        FROM head, (VALUES %s) AS d (producer, first_sequence, last_sequence)
        ON CONFLICT (log, producer) DO UPDATE SET
            first_sequence = excluded.first_sequence,
            last_sequence = CASE WHEN producers.last_sequence < excluded.first_sequence
                THEN excluded.last_sequence END
    )"""
"""Sets a column to NULL, which it cannot be, for events that are not newer than the noted ones."""


class Rows:
    """The statements that insert a batch.

    Attributes
    ----------
    size
        the number of events
    are_numbered
        whether all are events, so that those that were sent before are recognized
    have_repetitions
        whether the sequences of a producer do not grow
    producers
        the first and the last sequence of each producer
    note_producers
        the part of a statement that notes them, after a first part that defines ``head``
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
        self.are_numbered = True
        self.have_repetitions = False
        self.producers: dict[int, tuple[int, int]] = {}
        columns: list[_Columns] = []
        for found in map(envelope, payloads):
            if found is None or max(found) > _MAX_INT8:
                self.are_numbered = False
                columns.append(_NO_EVENT)
                continue
            kind, stream, producer, sequence, at = found
            first, last = self.producers.get(producer, (sequence, -1))
            self.have_repetitions |= sequence <= last
            self.producers[producer] = first, sequence
            columns.append((kind, stream, at))
        noted = b",".join([b"(%d,%d,%d)" % (one, *both) for one, both in self.producers.items()])
        self.note_producers = _NOTE_PRODUCERS % noted if noted else b""
        self.statements = [
            _insert_events(first, columns[first:end], payloads[first:end])
            for first, end in _stretches(payloads)
        ]
        parts = (
            part
            for number, payload in enumerate(payloads, 1)
            if len(payload) > PART_BYTES
            for part in parts_of(number, payload)
        )
        self.statements += [_INSERT_PARTS % b",".join(chunk) for chunk in chunks(parts)]


def _check_sizes(payloads: Sequence[bytes]) -> None:
    longest, total = max(map(len, payloads)), sum(map(len, payloads))
    if longest > MAX_PAYLOAD:
        raise EncodingError(f"a payload of {longest} bytes exceeds the limit of {MAX_PAYLOAD}")
    if total > MAX_GROUP:
        raise EncodingError(
            f"{len(payloads)} events of {total} bytes exceed the limit of one append, {MAX_GROUP} "
            "bytes: append them in smaller batches"
        )


def _stretches(payloads: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last index of the payloads of each statement."""
    first = digits = 0
    for index, payload in enumerate(payloads):
        added = 2 * min(len(payload), PART_BYTES)
        if index > first and (index - first == _MOST_ROWS or digits + added > _MOST_DIGITS):
            yield first, index
            first, digits = index, 0
        digits += added
    yield first, len(payloads)


def _insert_events(first: int, columns: Sequence[_Columns], payloads: Sequence[bytes]) -> bytes:
    """Return the statement for some events of a batch, given the index of the first of them."""
    parts = [max(1, -(-len(payload) // PART_BYTES)) for payload in payloads]
    arrays = [str(column)[1:-1] for column in (*map(list, zip(*columns, strict=True)), parts)]
    data = b'","\\\\x'.join([hexlify(payload[:PART_BYTES]) for payload in payloads])
    return _INSERT_EVENTS % (
        *(first + 1, first + len(payloads)),
        *(array.replace("None", "NULL").encode() for array in arrays),
        b'"\\\\x%s"' % data,
    )


def parts_of(number: int, payload: bytes) -> list[bytes]:
    """Return the rows of the further parts of a payload that does not fit into one row."""
    return [
        b"(%d,%d,'\\x%s'::BYTEA)"
        % (number, start // PART_BYTES, hexlify(payload[start : start + PART_BYTES]))
        for start in range(PART_BYTES, len(payload), PART_BYTES)
    ]


def chunks(rows: Iterable[bytes]) -> Iterator[list[bytes]]:
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
