"""Keep contents in a table of the database that keeps the events (``docs/format.md``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import BinaryIO

from track.contents.store import (
    LARGEST_IN_A_TABLE,
    ContentStore,
    Kept,
    check_digest,
    copy_hashed,
    not_here,
)
from track.errors import EncodingError
from track.journals.sql.journal import SQLJournal

_ROWS = 1000
"""The number of hashes to read at a time."""


class TableContents(ContentStore):
    """Keeps contents in rows of a table, beside the events of one log.

    Parameters
    ----------
    journal
        the journal of the log
    """

    limit = LARGEST_IN_A_TABLE

    def __init__(self, journal: SQLJournal) -> None:
        self._journal = journal

    def __str__(self) -> str:
        return "the database"

    def put(self, source: BinaryIO) -> Kept:
        data = bytearray()
        size, digest = copy_hashed(source, data.extend)
        if size > self.limit:
            raise EncodingError(f"a content of {size} bytes exceeds the limit of {self.limit}")
        self._journal.ask(
            "INSERT INTO contents (log, digest, data) VALUES (%(log)s, %(digest)s, %(data)s) "
            "ON CONFLICT (log, digest) DO NOTHING",
            digest=bytes.fromhex(digest),
            data=bytes(data),
        )
        return size, digest

    def open_unchecked(self, digest: str) -> BinaryIO:
        rows = self._journal.ask(
            "SELECT data FROM contents WHERE log = %(log)s AND digest = %(digest)s",
            digest=bytes.fromhex(check_digest(digest)),
        )
        if not rows:
            raise not_here(digest, self)
        return BytesIO(rows[0][0])

    def missing(self, digests: Iterable[str]) -> set[str]:
        wanted = {check_digest(digest) for digest in digests}
        if not wanted:
            return set()
        rows = self._journal.ask(
            "SELECT digest FROM contents WHERE log = %(log)s AND digest = ANY(%(digests)s)",
            digests=[*map(bytes.fromhex, wanted)],
        )
        return wanted - {bytes(found).hex() for (found,) in rows}

    def digests(self) -> Iterator[str]:
        last = b""
        while rows := self._journal.ask(
            "SELECT digest FROM contents WHERE log = %(log)s AND digest > %(last)s "
            "ORDER BY digest LIMIT %(limit)s",
            last=last,
            limit=_ROWS,
        ):
            last = bytes(rows[-1][0])
            yield from (bytes(digest).hex() for (digest,) in rows)

    def remove(self, digests: Iterable[str]) -> set[str]:
        wanted = [bytes.fromhex(check_digest(digest)) for digest in digests]
        if not wanted:
            return set()
        rows = self._journal.ask(
            "DELETE FROM contents WHERE log = %(log)s AND digest = ANY(%(digests)s) "
            "RETURNING digest",
            digests=wanted,
        )
        return {bytes(digest).hex() for (digest,) in rows}
