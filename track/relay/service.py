"""Execute the requests of clients on the backend of a server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from track.errors import MalformedMessage, RPCCallFailure
from track.events.codec import identify, identify_record
from track.events.record import Record, frame
from track.journals.delivery import missing
from track.journals.journal import Batch
from track.persistence.journaled import JournaledProtocol
from track.persistence.local_repository import LocalRepository
from track.persistence.repository import (
    Expected,
    Kind,
    Precondition,
    first_match,
    first_unmet,
    matches,
    table,
)
from track.projections.objects import Objects
from track.projections.query import check_size
from track.projections.trials import stream_of
from track.relay.content_service import ContentService
from track.relay.header_codec import from_values
from track.relay.limits import LARGEST_CONTENT
from track.relay.looking import Looking
from track.relay.messages import Answer
from track.relay.query_limit import QueryLimit
from track.relay.rows_codec import MOST_SUMMARIES, pack_selected, pack_whole

_REMEMBERED = 2**16
"""The number of producers whose last event and refusal are remembered."""

_KINDS: tuple[Kind, ...] = ("project", "group", "trial", "archived")
_EXPECTED: tuple[Expected, ...] = ("absent", "present", "first")

_Known = TypeVar("_Known")
_Memory = TypeVar("_Memory")


class Answering:
    """Executes the requests of clients. Any thread may call it, and all calls may block.

    Parameters
    ----------
    protocol
        the backend
    query_s
        the time limit for all queries of one request
    remembered
        the number of producers to remember
    largest_content
        the most bytes of the content of one file
    most_summaries
        the most chunks of a series that one answer describes
    """

    def __init__(
        self,
        protocol: JournaledProtocol,
        query_s: float,
        remembered: int = _REMEMBERED,
        largest_content: int = LARGEST_CONTENT,
        most_summaries: int = MOST_SUMMARIES,
    ) -> None:
        if not isinstance(protocol.repository, LocalRepository):
            raise RPCCallFailure(
                "a server cannot serve the store of another server: use that server directly"
            )
        self.protocol = protocol
        self._query_s = query_s
        self._repository: LocalRepository = protocol.repository
        self._remembered = remembered
        self._last: dict[int, int] = {}
        """The last events of recent producers. The journal knows them all, since it has every
        acknowledged event, so any may be forgotten."""
        self._refused: dict[int, tuple[int, int | None]] = {}
        """The last refused proposal of each producer, and its unmet precondition. A delayed copy
        of the proposal is not decided again, since its client has continued."""
        self._taking = threading.Lock()
        self._looking = Looking(protocol.repository, most_summaries)
        self._contents = ContentService(protocol.content, largest_content)
        self._calls: dict[str, Callable[..., Answer]] = {
            "commit": self._commit,
            "find": self._find,
            "find_first": self._find_first,
            "first_unmet": self._first_unmet,
            "get_trial": self._revisions,
            "knows": self._knows,
            "next_revision": self._next_revision,
            "objects": self._objects,
            "status_of": self._status_of,
            "sync": self._sync,
            **self._looking.calls(),
            **self._contents.calls(),
        }

    # Appending without duplicates

    def append(self, records: Sequence[Record]) -> None:
        """Append the records of clients, all or none, except those already in the journal.

        The clients forget them when this returns.

        Raises
        ------
        JournalError
            as for :meth:`track.journals.journal.Journal.append`
        """
        self._take(records, identify_record, self.protocol.producer.append_records)

    def _take(
        self,
        batch: Sequence[bytes],
        identify: Callable[[bytes], tuple[int, int] | None],
        append: Callable[[Sequence[bytes]], None],
    ) -> None:
        with self._taking:
            new = missing(batch, identify, self._last_of)
            if not new:
                return
            last = dict(filter(None, map(identify, new)))
            try:
                append(new)
            except BaseException:
                # When they are sent again, ask the journal whether it has them.
                for producer in last:
                    self._last.pop(producer, None)
                raise
            for producer, sequence in last.items():
                self._remember(self._last, producer, sequence)

    def _last_of(self, producer: int) -> int:
        known = self._last.get(producer)
        if known is None:
            known = self.protocol.journal.last_sequence(producer)
            if known:  # otherwise clients could fill the memory with producers
                self._remember(self._last, producer, known)
        return known

    def _remember(self, memory: dict[int, _Memory], producer: int, what: _Memory) -> None:
        memory.pop(producer, None)
        memory[producer] = what
        if len(memory) > self._remembered:
            del memory[next(iter(memory))]

    def last(self, producer: int | None) -> int:
        """Return the number of a producer's last event, or the last position of the journal."""
        if producer is None:
            return self.protocol.journal.head()
        if type(producer) is not int or not 0 <= producer < 2**64:
            raise MalformedMessage("invalid producer")
        with self._taking:
            return self._last_of(producer)

    def propose(self, header: list[Any], payload: bytes) -> tuple[int | None, bytes]:
        """Append an event if its preconditions hold.

        Parameters
        ----------
        header
            the preconditions; and the kind and the uid of an object to return, or None
        payload
            the payload of the event

        Returns
        -------
        The index of the first precondition that does not hold, None if the event was recorded, now
        or before; and the requested object.
        """
        expected, wanted, uid = header
        preconditions = _preconditions(expected)
        kind = None if wanted is None else _one_of(wanted, _KINDS)
        identity = identify(payload)
        if identity is None:
            raise MalformedMessage("the proposed payload is not an event")
        frame(payload)  # raises if the payload cannot be framed
        producer, sequence = identity
        limit = QueryLimit(self._query_s)

        def decide(objects: Objects) -> tuple[int | None, bytes]:
            refused_up_to, unmet = self._refused.get(producer, (0, None))
            if sequence <= refused_up_to:
                return unmet, b""
            if sequence > self.last(producer):
                unmet = _first_unmet(objects, preconditions)
                limit.settle()
                if unmet is not None:
                    self._remember(self._refused, producer, (sequence, unmet))
                    return unmet, b""
                self._take([payload], identify, self.protocol.producer.append_decided)
            if kind is None:
                return None, b""
            with self._repository.read_state() as updated:
                return None, pack_selected([table(updated, kind)[uid]])

        return limit.ask(self._repository.exclusive_state, decide)

    def keep(self, header: list[Any], piece: bytes) -> Answer:
        """Take a piece of a content, see :meth:`ContentService.keep`."""
        return self._contents.keep(header, piece), b""

    # Reading

    def read(self, after: int, stream: int | None = None) -> Iterator[Batch]:
        """Yield the events after a position of the journal, of all streams or of one."""
        journal = self.protocol.journal
        return journal.read_batches(after) if stream is None else journal.read_stream(stream, after)

    def call(self, name: str, arguments: list[Any]) -> Answer:
        """Answer a call.

        Raises
        ------
        AttributeError
            no call has this name
        """
        function = self._calls.get(name)
        if function is None:
            known = ", ".join(sorted(self._calls))
            raise AttributeError(f"{name!r} cannot be called: use one of {known}")
        return function(*arguments)

    def _find(self, kind: str, query: Any) -> Answer:
        known, query = _one_of(kind, _KINDS), _query(query)
        return self._ask(lambda objects: ([], pack_selected(matches(objects, known, query))))

    def _find_first(self, kind: str, query: Any) -> Answer:
        known, query = _one_of(kind, _KINDS), _query(query)
        return self._ask(lambda objects: ([first_match(objects, known, query)], b""))

    def _first_unmet(self, expected: list[Any]) -> Answer:
        preconditions = _preconditions(expected)
        return self._ask(lambda objects: ([_first_unmet(objects, preconditions)], b""))

    def _ask(self, ask: Callable[[Objects], Answer]) -> Answer:
        return QueryLimit(self._query_s).ask(self._repository.read_state, ask)

    def _revisions(self, uid: str) -> Answer:
        with self._repository.read_state() as objects:
            return [], pack_selected(objects.find_revisions(uid))

    def _knows(self, kind: str, uid: Any) -> Answer:
        return [self._repository.knows(_one_of(kind, _KINDS), uid)], b""

    def _next_revision(self, digest: str) -> Answer:
        return [self._repository.next_revision(digest)], b""

    def _status_of(self, uid: str) -> Answer:
        status = self._repository.status_of(uid, stream_of(uid))
        if status is None:
            return [None], b""
        return [[status.name, status.value]], b""

    def _objects(self) -> Answer:
        with self._repository.read_state() as objects:
            return [], pack_whole(objects, self._looking.lost_among(objects))

    # Syncing

    def _sync(self) -> Answer:
        self.protocol.journal.sync()
        return [], b""

    def _commit(self) -> Answer:
        self.protocol.commit()
        return [], b""


def _preconditions(values: list[Any]) -> list[Precondition]:
    return [
        Precondition(_one_of(kind, _KINDS), uid, _one_of(expected, _EXPECTED), _query(query))
        for kind, uid, expected, query in values
    ]


def _query(values: Any) -> Any:
    query = from_values(values)
    check_size(query)
    return query


def _first_unmet(objects: Objects, preconditions: list[Precondition]) -> int | None:
    unmet = first_unmet(objects, preconditions)
    return None if unmet is None else preconditions.index(unmet)


def _one_of(value: Any, known: tuple[_Known, ...]) -> _Known:
    for item in known:
        if value == item:
            return item
    raise MalformedMessage(f"{value!r} is not one of {', '.join(map(str, known))}")
