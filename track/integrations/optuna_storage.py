"""An Optuna storage backend in a Track store, for searches by several processes or machines."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from track.client import TrackClient
from track.events.codec import decode, stream_id
from track.events.types import SearchLogged
from track.exchange.copying import journaled
from track.forwarding.journal import ForwardingJournal
from track.integrations.packages import need
from track.integrations.run import settled

_journal = need("optuna.storages.journal", names=["BaseJournalBackend"], install="'optuna>=4'")


class TrackBackend(_journal.BaseJournalBackend):  # type: ignore[misc,name-defined]  # of Optuna
    """Stores the operations of Optuna's ``JournalStorage`` in the journal of a store.

    ``JournalStorage(TrackBackend("file:report.json"))`` is a storage that any number of processes
    can share, in any kind of store. It does not create trials of Track; use
    :class:`~track.integrations.optuna.TrackCallback` for that, with the same store or another.

    Parameters
    ----------
    to
        the URI of a store, or a client; by default the option ``log.backend.name``
    name
        the name of this storage; one store can hold several

    Raises
    ------
    BackendError
        the store has no journal
    """

    def __init__(self, to: Any = None, name: str = "optuna") -> None:
        self.to = settled(to)
        self.name = name
        self._lock = threading.Lock()
        client = self.to if isinstance(self.to, TrackClient) else TrackClient(self.to)
        self._protocol = journaled(client.protocol)
        self._stream = stream_id("search", self.name)
        self._operations: list[Any] = []
        """All operations up to ``_position`` in the journal."""
        self._position = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.to, self.name)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append operations as one unit: those of other processes come before or after."""
        self._protocol.producer.record(self._stream, SearchLogged(list(logs)))
        journal = self._protocol.journal
        if isinstance(journal, ForwardingJournal):
            journal.forwarder.drain()  # Optuna reads what it has just written

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return the operations from a number on, counted from 0 in the order of the journal."""
        with self._lock:
            for position, operations in self._new():
                self._operations += operations
                self._position = position
            return self._operations[log_number_from:]

    def _new(self) -> Iterator[tuple[int, list[Any]]]:
        batches = self._protocol.journal.read_stream(self._stream, self._position)
        for positions, payloads in batches:
            for recorded in map(decode, positions, payloads):
                event = recorded.event
                yield recorded.position, event.operations if isinstance(event, SearchLogged) else []
