"""Provide a client's view of the journal behind a relay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from track.events.record import Record, alone
from track.journals.journal import Batch, Journal
from track.relay.connection import Connection
from track.relay.messages import Verb, from_records, to_records


class RelayJournal(Journal):
    """The journal of a server, to read and append; the server makes the decisions.

    Parameters
    ----------
    connection
        the connection to the server
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, payloads: Sequence[bytes]) -> None:
        # The server drops duplicates, so nothing needs to be checked here.
        if payloads:
            self._connection.request(Verb.APPEND, [], to_records([*payloads]))

    def append_records(self, records: Sequence[Record]) -> None:
        if records:
            self._connection.request(Verb.APPEND, [], b"".join(map(alone, records)))

    def read_batches(self, after: int = 0) -> Iterator[Batch]:
        return filter(None, self._batches(after, live=False))

    def read_stream(self, stream: int, after: int = 0) -> Iterator[Batch]:
        return filter(None, self._batches(after, live=False, stream=stream))

    def follow(self, after: int = 0, *, poll_s: float = 0.0) -> Iterator[Batch | None]:
        # A lost connection is replaced without gaps or duplicates.
        return self._batches(after, live=True)

    def _batches(
        self, after: int, *, live: bool, stream: int | None = None
    ) -> Iterator[Batch | None]:
        for message in self._connection.stream(after, live=live, stream=stream):
            if message.verb == Verb.BATCH:
                yield message.header, from_records(message.attachment)
            else:
                yield None

    def head(self) -> int:
        head: int = self._connection.request(Verb.LAST, [None]).header[0]
        return head

    def last_sequence(self, producer: int) -> int:
        last: int = self._connection.request(Verb.LAST, [producer]).header[0]
        return last

    def sync(self) -> None:
        self._connection.request(Verb.CALL, ["sync"])

    def close(self) -> None:
        self._connection.close()
