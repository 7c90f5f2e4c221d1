"""Keep a journal in tables of CockroachDB or PostgreSQL (``docs/format.md``).

An append is one statement that moves the head of its log, notes the last sequence of each producer,
and inserts the events. The row of the head stays locked until the statement is committed, so
positions have no gaps and become visible in order: polling by position misses nothing. A statement
that would note a sequence again fails, so no event is stored twice.

An exclusive section holds a separate row lock, in a transaction that does nothing else. Events
decided inside are appended by themselves, on condition that no other process made a decision
meanwhile. So appends never wait for sections, each statement sees everything committed before it,
and a section that lost its lock (with its connection, or because the cluster moved the row) is
harmless.
"""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import TransactionRollbackError

from track.errors import (
    ConcurrentWrite,
    JournalUnreachable,
    StoreNotFound,
)
from track.journals.journal import (
    DEFAULT_LOCK_TIMEOUT,
    DEFAULT_TIMEOUT,
    Batch,
    CacheSource,
    ExclusiveJournal,
    PartialDuplicate,
)
from track.journals.sql.failures import (
    Absent,
    Silence,
    explained,
    is_ambiguous,
    is_conflict,
    is_lost,
    unreachable,
    words_of,
)
from track.journals.sql.reading import Request, read_in_batches
from track.journals.sql.rewrite import rewrite_some
from track.journals.sql.rows import Rows
from track.journals.sql.schema import APPEND, DECIDE, find, prepare
from track.journals.sql.session import Servers, Session, Sessions
from track.journals.thread_lock import ThreadLock
from track.utils.caches import cache_of_user
from track.utils.forking import renew_in_children
from track.utils.waiting import waiting_for

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.002, 0.5

_TURNS = 16
"""The number of appends that take turns after a conflict."""

_ADVANCE = b"""
    WITH head AS (
        UPDATE logs SET head = head + %(size)s WHERE log = %(log)s RETURNING head - %(size)s AS head
    )
"""
_ADVANCE_IF_HELD = b"""
    WITH head AS (
        UPDATE logs SET head = head + %(size)s, decided = decided + 1
        WHERE log = %(log)s AND decided = %(decided)s RETURNING head - %(size)s AS head
    )
"""
_ADVANCED = b"WITH head AS (SELECT head - %(size)s AS head FROM logs WHERE log = %(log)s)"
"""The beginnings of statements that insert rows."""

_Result = TypeVar("_Result")


class SQLJournal(ExclusiveJournal):
    """A journal in one log of a database; the position of an event is its number.

    It connects on first use.

    Parameters
    ----------
    servers
        the servers of the database
    log
        the name of the log, at most 255 characters; created if missing
    timeout_s
        the time to wait for a server in seconds
    lock_timeout_s
        the time to wait for the exclusive section in seconds
    writable
        False for an existing log that is only read
    """

    def __init__(
        self,
        servers: Servers,
        log: str,
        timeout_s: float = DEFAULT_TIMEOUT,
        lock_timeout_s: float = DEFAULT_LOCK_TIMEOUT,
        *,
        writable: bool = True,
    ) -> None:
        self.name = f"the log '{log}' on {servers}"
        self._servers = servers
        self._log_name = log
        self._known_log: int | None = None
        """The number of the log in the tables, once it was looked up."""
        self._timeout_s = timeout_s
        self._lock_timeout_s = lock_timeout_s
        # Leave time for another connection, possibly to another host, after one that hangs.
        self._answer_s = timeout_s / 2
        self._sessions = Sessions(servers, self._answer_s)
        self._writable = writable
        self._has_written = False  # nor locked rows, which a server that only reads refuses, too
        self._silent_since: float | None = None
        """The monotonic time since which no server answers."""
        self._section = ThreadLock(self.name, lock_timeout_s)
        self._lock: Session | None = None
        """The session whose transaction holds the section."""
        self._decided = 0
        """The number of decisions when this section was entered, and those made in it."""
        self.turn_s = 10.0
        """The time to wait for a turn to append; a longer holder must have been stopped."""
        self._turns = 0
        """The number of further appends that take turns."""
        self._chance = random.SystemRandom()  # independent of the user's random seed
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        self._lock = None

    # Appending

    def append(self, payloads: Sequence[bytes]) -> None:
        if not self._section.is_inside():
            self.append_foreign(payloads)
        elif payloads:
            try:
                recorded = self._append(payloads, self._decided)
            except JournalUnreachable as error:
                raise JournalUnreachable(f"{error}. It may have been recorded") from error
            if not recorded:
                raise ConcurrentWrite(
                    f"the exclusive section of {self.name} was lost, and another process decided "
                    "something meanwhile: nothing was recorded, try again"
                )
            self._decided += 1

    def append_foreign(self, payloads: Sequence[bytes]) -> None:
        if payloads and not self._append(payloads, None):
            raise PartialDuplicate(
                errno.EEXIST, f"{self.name} has some, but not all, of these events: leave those out"
            )

    def _append(self, payloads: Sequence[bytes], guard: int | None) -> bool:
        """Append payloads, and return whether they are there, possibly from an earlier attempt."""
        rows = Rows(payloads)
        if rows.have_repetitions:
            return False
        try:
            are_there = self._insert_in_turn(rows, guard) or self._has(rows)
        except errors.NotNullViolation:  # an event was sent before
            are_there = self._has(rows)
        self._has_written = True
        return are_there

    def _insert_in_turn(self, rows: Rows, guard: int | None) -> bool:
        """Insert events, taking turns if there were conflicts, now or shortly before.

        Otherwise, some clients might retry for long while others overtake them.
        """
        insert = partial(self._insert, rows, guard)
        repeatable = rows.are_numbered
        if not self._turns:
            try:
                expected = (errors.NotNullViolation, TransactionRollbackError)
                return self._work(insert, repeatable=repeatable, expected=expected)
            except TransactionRollbackError:
                self._turns = _TURNS
        self._turns = max(0, self._turns - 1)
        with self._turn():
            return self._work(insert, repeatable=repeatable, expected=(errors.NotNullViolation,))

    def _insert(self, rows: Rows, guard: int | None, session: Session) -> bool:
        """Insert events atomically, and return whether the exclusive section still held."""
        change = partial(session.change, log=self._log, size=rows.size, decided=guard)
        first, *others = rows.statements
        first = (_ADVANCE if guard is None else _ADVANCE_IF_HELD) + rows.note_producers + first
        if not others:
            return change(first) > 0
        with session.transaction():
            held = change(first) > 0
            for statement in others if held else ():
                change(_ADVANCED + statement)
        return held

    def _has(self, rows: Rows) -> bool:
        """Return whether an earlier attempt was committed, so that the log has all events."""
        if not rows.are_numbered:
            return False
        noted = dict(
            self.ask(
                "SELECT producer, last_sequence FROM producers "
                "WHERE log = %(log)s AND producer = ANY(%(producers)s)",
                producers=[*rows.producers],
            )
        )
        return all(noted.get(one, 0) >= last for one, (_, last) in rows.producers.items())

    # Deciding

    def exclusive(self) -> AbstractContextManager[None]:
        return self._section.entered(self._enter, self._leave)

    def _enter(self) -> None:
        take_lock = partial(self._take_lock, DECIDE, self._lock_timeout_s)
        self._lock = self._persist(take_lock, reason="another client is making a decision")
        try:
            rows = self.ask("SELECT decided FROM logs WHERE log = %(log)s")
        except BaseException:
            self._leave()
            raise
        if self._lock is None:  # the server answers, so another client holds it
            raise self._section.timed_out("another client")
        self._decided = rows[0][0]

    def _leave(self) -> None:
        session, self._lock = self._lock, None
        if session is not None:
            self._sessions.give_back(session)  # which ends its transaction

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for a turn to append, unless another client is stopped in its turn."""
        take_lock = partial(self._take_lock, APPEND, self.turn_s)
        session = self._persist(take_lock, reason="another client is appending")
        try:
            yield
        finally:
            if session is not None:
                self._sessions.give_back(session)

    def _take_lock(self, name: str, within_s: float) -> Session | None:
        """Return a session that holds a named lock, None if that takes too long."""
        session = self._sessions.take()
        try:
            self._prepare(session)
            session.begin_to_hold()
            session.answer_s = within_s
            session.execute(
                "SELECT name FROM locks WHERE log = %(log)s AND name = %(name)s FOR UPDATE",
                log=self._log,
                name=name,
            )
        except BaseException as error:
            waited = isinstance(error, Silence) and session.answer_s == within_s
            self._sessions.drop(session)
            if waited:
                return None
            raise
        session.answer_s = self._answer_s
        self._has_written = True
        return session

    # Reading

    def read_batches(self, after: int = 0) -> Iterator[Batch]:
        return read_in_batches(self._work, self._sessions, self._log, None, after)

    def read_stream(self, stream: int, after: int = 0) -> Iterator[Batch]:
        return read_in_batches(self._work, self._sessions, self._log, stream, after)

    def read_last(self, count: int) -> Iterator[Batch]:
        return self.read_batches(max(0, self.head() - count))

    def head(self) -> int:
        rows = self.ask("SELECT head FROM logs WHERE log = %(log)s")
        return int(rows[0][0])

    def last_sequence(self, producer: int) -> int:
        rows = self.ask(
            "SELECT last_sequence FROM producers WHERE log = %(log)s AND producer = %(producer)s",
            producer=producer,
        )
        return rows[0][0] if rows else 0

    def cache_source(self) -> CacheSource:
        return self

    def fingerprint(self, position: int) -> bytes | None:
        """Return bytes that identify the event at a position, None without an event."""
        (positions, payloads), _ = self._work(Request(self._log, None, position - 1, 1).ask)
        # Hash the payload, since caches keep the result and the payload may be erased.
        return blake2b(payloads[0], digest_size=32).digest() if position in positions else None

    def cache_path(self) -> str | None:
        """Return the path for the cache, None for no cache."""
        return cache_of_user(f"{self._servers.identity()}\n{self._log_name}")

    def is_damaged(self) -> bool:
        """Return False, since the database guards against damage."""
        return False

    def rewrite(
        self, streams: Collection[int], change: Callable[[bytes], bytes], last: int
    ) -> None:
        """Replace payloads of some streams, up to a position, by others of the same length."""
        done = 0
        while done < last:
            do = partial(rewrite_some, self._log, streams, change, (done, last))
            done = self._work(do)

    # The end

    def close(self) -> None:
        self._sessions.close()

    # Working with a server that may be away or busy

    def ask(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run a statement, which may be repeated, and return its rows; ``%(log)s`` is the log.

        Raises
        ------
        JournalUnreachable
            no server answered in time
        JournalError
            the server refused the statement
        """

        def do(session: Session) -> list[tuple[Any, ...]]:
            return session.execute(statement, log=self._log, **values)

        return self._work(do)

    def _work(
        self,
        do: Callable[[Session], _Result],
        *,
        repeatable: bool = True,
        expected: tuple[type[psycopg2.Error], ...] = (),
    ) -> _Result:
        """Run a function in a session, and repeat it when the server asks for that."""
        return self._persist(partial(self._do_once, do), repeatable=repeatable, expected=expected)

    def _do_once(self, do: Callable[[Session], _Result]) -> _Result:
        with self._sessions.one() as session:
            self._prepare(session)
            return do(session)

    def prepare(self) -> None:
        """Check that the log exists, and create it if necessary.

        Raises
        ------
        StoreNotFound
            the log does not exist, and this journal only reads
        """
        self._work(lambda _: None)

    def _prepare(self, session: Session) -> None:
        if self._known_log is None:
            look = prepare if self._writable else find
            self._known_log = look(session, self._log_name)
            if self._known_log is None:
                raise StoreNotFound(f"{self.name[4:]} does not exist: check the URI")

    @property
    def _log(self) -> int:
        """The number of the log in the tables."""
        if self._known_log is None:
            self.prepare()
        assert self._known_log is not None
        return self._known_log

    def _persist(
        self,
        do: Callable[[], _Result],
        *,
        repeatable: bool = True,
        expected: tuple[type[psycopg2.Error], ...] = (),
        reason: str = "no answer yet",
    ) -> _Result:
        """Call a function until it succeeds without lost connections or conflicts.

        Parameters
        ----------
        do
            the function
        repeatable
            whether to repeat it after an ambiguous result
        expected
            errors that are raised unchanged
        reason
            the reason for a possible wait

        Raises
        ------
        JournalUnreachable
            no server answered in time
        JournalError
            the server refused a statement
        """
        begun = time.monotonic()
        pause_s = _FIRST_PAUSE_S
        with waiting_for(self._servers, reason) as wait:
            while True:
                try:
                    result = do()
                except psycopg2.Error as error:
                    if isinstance(error, Absent) or (not repeatable and is_ambiguous(error)):
                        raise unreachable(self._servers, error, self._timeout_s) from error
                    if isinstance(error, expected):
                        raise
                    since = self._excuse(error, begun)
                    if since is None:
                        raise explained(self._servers, error) from error
                    if time.monotonic() + pause_s > since + self._timeout_s:
                        raise unreachable(self._servers, error, self._timeout_s) from error
                    wait.reason = wait.reason if isinstance(error, Silence) else words_of(error)
                else:
                    self._silent_since = None
                    return result
                time.sleep(pause_s * self._chance.uniform(0.5, 1.5))
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _excuse(self, error: psycopg2.Error, begun: float) -> float | None:
        """Return the time since which it fails, if the error is a reason to try again."""
        if is_conflict(error):
            return begun
        if self._has_written and isinstance(error, errors.ReadOnlySqlTransaction):
            self._sessions.drop_idle()
            self._servers.try_next()  # which may be the primary one by now
            return begun
        if is_lost(error):
            self._sessions.drop_idle()  # they are probably lost, too
            if self._silent_since is None:
                self._silent_since = begun
            return self._silent_since
        return None
