"""Open sessions with the hosts of a database, with a timeout for every wait.

The driver's asynchronous connections are used in a blocking way, because only they allow giving up
on a server that fell silent. Each statement is committed by itself, unless it is inside
:meth:`Session.transaction`.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from psycopg2 import errors, extensions

from track.errors import JournalClosed
from track.journals.sql.failures import Absent, Refused, Silence, is_passing, is_refusal
from track.utils.files import detach_fd
from track.utils.forking import renew_in_children
from track.utils.lookup import Resolve, addresses_of

CONNECT_TIMEOUT_S = 5.0
"""The time to wait for a connection to one host before trying the next."""

IDLE_LIMIT_MS = 20_000
"""The time after which a server ends a transaction of a stopped or vanished client."""

STALE_S = 30.0
"""The longest idle time of a session, since routers silently forget connections."""

_MOST_IDLE = 2
"""The number of idle sessions to keep: one to append and read, and one for a section."""


class Servers:
    """The hosts of a database, and the parameters of logins.

    Parameters
    ----------
    hosts
        the names and ports of the nodes, which are all equivalent
    options
        the further parameters of libpq: dbname, user, password, sslmode and so on
    resolve
        looks up the addresses of hosts
    """

    def __init__(
        self,
        hosts: Sequence[tuple[str, int]],
        options: Mapping[str, Any],
        resolve: Resolve = socket.getaddrinfo,
    ) -> None:
        self.hosts = tuple(hosts)
        self._options = options
        self._resolve = resolve
        self._reached = False
        """Whether any host has been reached; if so, later absences are waited for."""
        self._turn = 0
        """The number of failures of hosts, which selects the host to try first."""

    def __str__(self) -> str:
        return ", ".join(f"{host}:{port}" for host, port in self.hosts)

    def identity(self) -> str:
        """Return a text without secrets that identifies the database and the user."""
        login = (str(self._options.get(name)) for name in ("user", "dbname"))
        return "\n".join((*sorted(f"{host}:{port}" for host, port in self.hosts), *login))

    def try_next(self) -> None:
        """Begin the next connection with another host."""
        self._turn += 1

    def connect(self, within_s: float) -> extensions.connection:
        """Connect to the first host that accepts, beginning with the last successful one.

        Parameters
        ----------
        within_s
            the time limit for each host, at most :data:`CONNECT_TIMEOUT_S`

        Raises
        ------
        Refused
            a host refuses this user, or has no such database
        Absent
            no host is there, and none was before
        psycopg2.OperationalError
            no host accepts
        """
        wanted = self._options.get("target_session_attrs")
        if wanted == "prefer-standby":
            # libpq gets one host at a time, so it cannot prefer one of them.
            with suppress(psycopg2.OperationalError):
                return self._connect_to_any(within_s, "standby")
            wanted = "any"
        return self._connect_to_any(within_s, wanted)

    def _connect_to_any(self, within_s: float, wanted: str | None) -> extensions.connection:
        """Connect to the first host that accepts and is of the wanted kind."""
        absent = not self._reached
        for attempt in range(len(self.hosts)):
            host, port = self.hosts[self._turn % len(self.hosts)]
            try:
                within_s = min(within_s, CONNECT_TIMEOUT_S)
                connection = self._connect_to(host, port, within_s, wanted)
            except psycopg2.OperationalError as error:
                words = str(error)
                if is_refusal(words):
                    raise Refused(words) from error
                self.try_next()
                absent = absent and not isinstance(error, Silence) and not is_passing(words)
                if attempt == len(self.hosts) - 1:
                    if absent:
                        raise Absent(words) from error
                    raise
            else:
                self._reached = True
                return connection
        raise AssertionError("there is at least one host")

    def _connect_to(
        self, host: str, port: int, within_s: float, wanted: str | None
    ) -> extensions.connection:
        # The driver's own lookup of names would block without a timeout.
        deadline = time.monotonic() + within_s
        try:
            found = addresses_of(host, port, within_s, self._resolve)
        except TimeoutError as error:
            raise Silence(error.strerror) from error
        except OSError as error:
            kind = Silence if error.errno == socket.EAI_AGAIN else psycopg2.OperationalError
            raise kind(f"{host}: {error.strerror}") from error
        addresses = dict.fromkeys(address[0] for *_, address in found)
        connection: extensions.connection = psycopg2.connect(
            host=",".join([host] * len(addresses)),
            hostaddr=",".join(addresses),
            port=port,
            async_=1,
            application_name="track",
            **{**self._options, "target_session_attrs": wanted or "any"},
        )
        wait(connection, max(0.0, deadline - time.monotonic()))
        return connection


def wait(connection: extensions.connection, within_s: float) -> None:
    """Wait until a connection has finished its current operation.

    Raises
    ------
    Silence
        the time is over
    psycopg2.Error
        the operation failed
    """
    deadline = time.monotonic() + within_s
    poller = select.poll()
    while (state := connection.poll()) != extensions.POLL_OK:
        event = select.POLLIN if state == extensions.POLL_READ else select.POLLOUT
        fd = connection.fileno()
        poller.register(fd, event)
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise Silence(f"no answer within {within_s:g} s")
        poller.unregister(fd)  # libpq may change its socket while it connects


class Session:
    """A session on one connection.

    Parameters
    ----------
    connection
        an open connection
    answer_s
        the time limit for answers in seconds
    """

    def __init__(self, connection: extensions.connection, answer_s: float) -> None:
        self._connection = connection
        self.answer_s = answer_s
        self.idle_since = 0.0
        """The monotonic time since which the session is idle."""

    def begin(self) -> None:
        """Choose the settings that the server of a new session requires."""
        if self._connection.get_parameter_status("in_hot_standby") == "on":
            # A replica refuses serializable transactions, even where they are the default.
            self.execute("SET default_transaction_isolation = 'repeatable read'")

    def execute(self, statement: str | bytes, **values: Any) -> list[tuple[Any, ...]]:
        """Run a statement with values for its ``%(name)s``, and return its rows."""
        return self.rows(self.send(statement, values))

    def change(self, statement: str | bytes, **values: Any) -> int:
        """Run a statement as :meth:`execute` does, and return the number of changed rows."""
        cursor = self.send(statement, values)
        wait(self._connection, self.answer_s)
        return cursor.rowcount

    def send(self, statement: str | bytes, values: Mapping[str, Any]) -> extensions.cursor:
        """Send a statement, and return the cursor for :meth:`rows`."""
        cursor = self._connection.cursor()
        cursor.execute(statement, values or None)
        return cursor

    def rows(self, cursor: extensions.cursor) -> list[tuple[Any, ...]]:
        """Wait for the answer to the statement that was sent, and return its rows."""
        wait(self._connection, self.answer_s)
        with cursor:
            return [] if cursor.description is None else cursor.fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all statements of the block, or none."""
        self.begin_to_hold()  # a client that is stopped during an append locks the head of the log
        yield
        self.execute("COMMIT")

    def begin_to_hold(self) -> None:
        """Begin a transaction that the server ends if this client is stopped, or vanishes.

        The limit ends with the transaction, because others may use the connection of a pool next.
        """
        limit = f"idle_in_transaction_session_timeout = {IDLE_LIMIT_MS}"
        if self._connection.get_parameter_status("crdb_version") is None:
            self.execute(f"BEGIN; SET LOCAL {limit}")
        else:
            # Some versions of CockroachDB lack this limit, which is not essential.
            with suppress(errors.UndefinedObject, errors.InvalidParameterValue):
                self.execute(f"SET {limit}")
            self.execute("BEGIN")

    def reset(self) -> bool:
        """Leave a failed transaction, and return whether the session can be used again."""
        connection = self._connection
        if connection.closed or connection.isexecuting():
            return False
        if connection.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE:
            with suppress(psycopg2.Error):
                self.execute("ROLLBACK")
        return bool(connection.get_transaction_status() == extensions.TRANSACTION_STATUS_IDLE)

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def detach_fd(self) -> None:
        """Leave the connection to the process that forked this one."""
        if not self._connection.closed:
            detach_fd(self._connection.fileno())


class Sessions:
    """Sessions with servers, opened on demand and kept for later.

    Parameters
    ----------
    servers
        the servers
    answer_s
        the time limit for answers in seconds
    """

    def __init__(self, servers: Servers, answer_s: float) -> None:
        self.servers = servers
        self._answer_s = answer_s
        self._idle: list[Session] = []
        self._open: set[Session] = set()
        """All open sessions, idle or taken."""
        self._closed = False
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        # The connections belong to the parent: if a child kept one, the server would not notice the
        # parent's death. The driver does not close connections of another process.
        for session in self._open:
            session.detach_fd()
        self._open.clear()
        self._idle.clear()

    @contextmanager
    def one(self) -> Iterator[Session]:
        """Give a session for one thread."""
        session = self.take()
        try:
            yield session
        except psycopg2.Error:
            self.give_back(session)
            raise
        except BaseException:
            self.drop(session)  # a statement may have been interrupted
            raise
        else:
            self.give_back(session)

    def take(self) -> Session:
        """Take a session, until it is given back or dropped."""
        if self._closed:
            raise JournalClosed(f"the journal on {self.servers} was closed: open it again")
        with suppress(IndexError):
            session = self._idle.pop()
            if time.monotonic() - session.idle_since < STALE_S:
                session.answer_s = self._answer_s
                return session
            self.drop(session)
            self.drop_idle()  # the others have been idle for longer
        session = Session(self.servers.connect(self._answer_s), self._answer_s)
        self._open.add(session)
        try:
            session.begin()
        except BaseException:
            self.drop(session)
            raise
        return session

    def give_back(self, session: Session) -> None:
        """Keep a session for later if it is usable."""
        if session.reset() and not self._closed and len(self._idle) < _MOST_IDLE:
            session.idle_since = time.monotonic()
            self._idle.append(session)
        else:
            self.drop(session)

    def drop(self, session: Session) -> None:
        """Disconnect a taken session."""
        session.close()
        self._open.discard(session)

    def drop_idle(self) -> None:
        """Disconnect idle sessions."""
        while self._idle:
            self.drop(self._idle.pop())

    def close(self) -> None:
        """Disconnect, and refuse further connections."""
        self._closed = True
        self.drop_idle()
