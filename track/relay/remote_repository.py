"""Let a server make the decisions and answer the calls of a client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from track.errors import BackendError, EncodingError
from track.events.codec import stream_id
from track.events.types import Event
from track.forwarding.forwarder import Forwarder
from track.journals.producer import Producer
from track.persistence.protocol import Query
from track.persistence.repository import (
    COPY,
    Kind,
    Precondition,
    Repository,
    table,
)
from track.projections.finding import Found
from track.projections.history import as_of
from track.projections.objects import Objects
from track.projections.trials import stream_of
from track.relay.connection import Connection
from track.relay.header_codec import to_values
from track.relay.messages import Message, Verb
from track.relay.remote_series import Source
from track.relay.rows_codec import (
    LONGEST_WANTED,
    MOST_WANTED,
    Answered,
    unpack_rows,
    unpack_whole,
)
from track.structure import LOST, AnyStatus, Trial, get_status


class RemoteRepository(Repository):
    """A repository at a server, which makes decisions in its own exclusive section.

    Parameters
    ----------
    connection
        the connection to the server
    forwarder
        sends the events of this process to the server
    producer
        the producer of these events
    """

    def __init__(self, connection: Connection, forwarder: Forwarder, producer: Producer) -> None:
        self._connection = connection
        self._forwarder = forwarder
        self._producer = producer
        self._lost: frozenset[str] = frozenset()
        """The uids of the lost trials among the objects fetched last."""

    def append_if(
        self, stream: int, event: Event, preconditions: Iterable[Precondition]
    ) -> Precondition | None:
        preconditions = [*preconditions]
        with self._drained():
            try:
                payload = self._producer.encode(stream, event)
            except EncodingError:
                # An event that is not recorded need not be valid.
                call = ["first_unmet", _to_wire(preconditions)]
                unmet: int | None = self._connection.request(Verb.CALL, call).header[0]
                if unmet is None:
                    raise
                return preconditions[unmet]
            answer = self._propose(payload, preconditions)
        if answer.verb != Verb.UNMET:
            return None
        first: int = answer.header[0]
        return preconditions[first]

    def update(self, kind: Kind, query: Query, event_of: Callable[[int], Event]) -> Any:
        values = to_values(query)
        while True:
            (uid,) = self._ask("find_first", kind, values)
            stream = stream_id(kind, uid)
            payload = self._producer.encode(stream, event_of(stream))
            first = Precondition(kind, uid, "first", query)
            with self._drained():
                answer = self._propose(payload, [first], kind, uid)
            if answer.verb != Verb.UNMET:
                return COPY[kind](table(unpack_whole(answer.attachment).objects, kind)[uid])
            # Another client was faster, so another object may match first now.

    def _propose(
        self,
        payload: bytes,
        preconditions: list[Precondition],
        kind: Kind | None = None,
        uid: str | None = None,
    ) -> Message:
        """Let the server append an event if its preconditions hold, and return an object."""
        header = [_to_wire(preconditions), kind, uid]
        return self._connection.request(Verb.PROPOSE, header, payload)

    def find(self, kind: Kind, query: Query) -> list[Any]:
        objects = self._fetch("find", kind, to_values(query))
        return [COPY[kind](found) for found in table(objects, kind).values()]

    def knows(self, kind: Kind, uid: Any) -> bool:
        known: bool = self._ask("knows", kind, uid)[0]
        return known

    def revisions(self, uid: str) -> list[Any] | None:
        objects = self._fetch("get_trial", uid)
        return [COPY["trial"](found) for found in objects.trials.values()] or None

    def next_revision(self, digest: str) -> int:
        revision: int = self._ask("next_revision", digest)[0]
        return revision

    def status_of(self, uid: str, stream: int) -> AnyStatus | None:
        (status,) = self._ask("status_of", uid)
        return None if status is None else get_status(*status)

    def status_in(self, objects: Objects, trial: Trial) -> AnyStatus | None:
        return LOST if trial.uid in self._lost else trial.status

    def metrics(self, uid: str) -> dict[str, Any]:
        query = {"uid": uid}
        # A running trial may have been archived or erased.
        found = self.find("trial", query) or self.find("archived", query)
        metrics: dict[str, Any] = found[0].metrics if found else {}
        return metrics

    def exclusive_state(self) -> AbstractContextManager[Objects]:
        raise BackendError(
            f"the server at {self._connection.target} makes the decisions, so a client cannot lock "
            "it: use fetch_and_update_trial"
        )

    @contextmanager
    def read_state(self) -> Iterator[Objects]:
        yield self._rows("rows").objects

    @contextmanager
    def looking_up(self, wanted: Sequence[str]) -> Iterator[tuple[Objects, list[Found]]]:
        few = len(wanted) <= MOST_WANTED and all(len(text) <= LONGEST_WANTED for text in wanted)
        if few:
            rows = self._rows("look_up", [*wanted])
            yield rows.objects, rows.found
        else:
            with super().looking_up(wanted) as found:
                yield found

    def whole_state(self) -> Objects:
        """Return all current objects with their contents."""
        whole = unpack_whole(self._attachment("objects"))
        self._lost = whole.lost
        return whole.objects

    def _rows(self, name: str, *arguments: Any) -> Answered:
        """Return trials without the points of their series."""
        source = Source(self._attachment, self._replay)
        rows = unpack_rows(self._attachment(name, *arguments), source.find)
        source.position = rows.objects.position
        self._lost = rows.lost
        return rows

    def _attachment(self, name: str, *arguments: Any) -> bytes:
        return self._request(name, *arguments).attachment

    def _replay(self, uid: str, position: int) -> Trial | None:
        """Return a trial as of a position, from its events."""
        stream = stream_of(uid)
        objects = as_of(self._forwarder.far.read_stream(stream), position=position)
        return objects.trials.get(uid) or objects.parts.get(stream)

    def commit(self) -> None:
        """Let the server sync everything, and write its report."""
        self._ask("commit")

    def _ask(self, name: str, *arguments: Any) -> list[Any]:
        return self._request(name, *arguments).header

    def _fetch(self, name: str, *arguments: Any) -> Objects:
        return unpack_whole(self._attachment(name, *arguments)).objects

    def _request(self, name: str, *arguments: Any) -> Message:
        with self._drained():
            return self._connection.request(Verb.CALL, [name, *arguments])

    @contextmanager
    def _drained(self) -> Iterator[None]:
        """Give a connection to the server after it has all events logged here."""
        # A signal handler that ends a trial must wait, since it would need a lock that its own
        # thread holds.
        with self._producer.busy():
            self._forwarder.drain()
            yield

    def close(self) -> None:
        """Do nothing: the connection belongs to the journal."""


def _to_wire(preconditions: list[Precondition]) -> list[list[Any]]:
    return [[*item[:3], to_values(item.query)] for item in preconditions]
