"""Provide the client of the socket backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from track.events.codec import decode
from track.events.types import Recorded
from track.journals.forwarding import ForwardingJournal
from track.journals.journal import Journal
from track.journals.spool import Spool
from track.persistence.remote import ForwardedProtocol, send_left_behind
from track.persistence.repository import Repository
from track.persistence.storage import check_report, write_report
from track.persistence.uri_options import (
    RELAY_PORT,
    RemoteSettings,
    is_loopback,
    remote_settings,
    seconds_of,
    spool_of,
    yes_or_no,
)
from track.persistence.utils import check_port, parse_uri, without_password
from track.projections.report import render_report
from track.relay.connection import Connection, Target
from track.relay.remote_journal import RelayJournal
from track.relay.remote_repository import RemoteRepository
from track.utils.handshake import check_layer

_Authenticate = Callable[[str], tuple[str | None, str | None]]

_OPTIONS = ("security_layer", "ca", "trust_server", "start_timeout")

_START_S = 4.0
"""Longer than a server takes to start, which the same program may have done just now."""


class SocketClient(ForwardedProtocol):
    """Storage behind a server that :func:`start_track_server` runs.

    What is logged is kept in a spool on this machine and sent in the background, so nothing that
    is logged waits for the network, or is lost while the server is away. Whatever needs an answer
    (new projects, groups and trials, conditional updates, queries), the end of a trial and
    :meth:`commit` wait until the server has everything.

    Parameters
    ----------
    uri
        ``socket://user:password@host:port``. Options:

        - ``security_layer``: AES, TLS or none, as the server has it
        - ``ca``: with TLS, a file with the certificates to trust, in place of the system's
        - ``trust_server``: yes to send the password to, or log in at, a server that does not prove
          that it is the right one; by default only on this machine, and with TLS
        - ``spool``: folder for what the server has not acknowledged; by default
          ``$XDG_STATE_HOME/track/spool``
        - ``durability`` of that: process, interval, always
        - ``timeout``: seconds to wait for a server that does not answer, 30 by default
        - ``start_timeout``: seconds to wait for a server that was never there, and may be starting;
          4 by default
    strict
        forces the storage to be correct: trials and groups must belong to what exists
    eager
        the end of a trial waits until the server has everything

    Raises
    ------
    BackendError
        the URI cannot be used

    Notes
    -----
    Nothing connects before the first answer is needed.
    """

    def __init__(self, uri: str, strict: bool = True, eager: bool = True) -> None:
        settings = remote_settings(uri, _OPTIONS)
        # Clients are collected sooner when nothing in them refers to them.
        overridden = type(self).authenticate is not SocketClient.authenticate
        authenticate = self.authenticate if overridden else _credentials
        self._connection = Connection(_target(uri, settings, authenticate))
        self._journal = RelayJournal(self._connection)
        spool = _spool(self._connection.target, settings)
        forwarding = ForwardingJournal(self._journal, spool, settings.timeout_s)
        super().__init__(uri, forwarding, strict=strict, eager=eager)

    def _make_repository(self, journal: Journal) -> Repository:
        self._server = RemoteRepository(self._connection, self.forwarding, self.producer)
        return self._server

    def authenticate(self, uri: str) -> tuple[str | None, str | None]:
        """Return the name and the password to log in with.

        Override it to take them from somewhere else than the URI.

        Parameters
        ----------
        uri
            of the server
        """
        return _credentials(uri)

    def commit(self, file_name_override: str | None = None, **kwargs: Any) -> None:
        """Return once the server has everything on stable storage and its report is in place.

        Parameters
        ----------
        file_name_override
            write the report to a file of this machine, too

        Raises
        ------
        JournalUnreachable
            it does not answer; the message says where everything is kept
        """
        with self.producer.busy():
            super().commit(file_name_override, **kwargs)
            self._server.commit()

    def write_report(self, path: str) -> None:
        """Write the report to a file of this machine, which must be a report or not exist."""
        check_report(path)
        # All of every trial is in it, and comes faster at once.
        write_report(path, render_report(self._server.whole_state()))

    def subscribe(self, after: int = 0) -> Iterator[Recorded]:
        """Yield the events behind a position of the server's journal, and then each new one.

        A connection that is lost is replaced; there is no gap then, and no repetition. Whoever
        goes on later does so behind the ``position`` of the last event.

        Raises
        ------
        JournalUnreachable
            the server did not answer for too long
        """
        for batch in self._journal.follow(after):
            if batch is not None:
                yield from map(decode, *batch)


def sync(uri: str) -> int:
    """Send what processes that are gone could not send to a server.

    Every client of the server does the same, so this is for when there will be none.

    Parameters
    ----------
    uri
        the store, as :class:`SocketClient` takes it

    Returns
    -------
    How many events were sent.

    Raises
    ------
    JournalUnreachable
        the server does not answer; nothing is lost
    BackendError
        the URI cannot be used
    """
    settings = remote_settings(uri, _OPTIONS)
    target = _target(uri, settings, _credentials)
    journal = RelayJournal(Connection(target))
    return send_left_behind(_spool(target, settings), journal, settings)


def _credentials(uri: str) -> tuple[str | None, str | None]:
    parts = parse_uri(uri)
    return parts.get("username"), parts.get("password")


def _spool(target: Target, settings: RemoteSettings) -> Spool:
    return Spool(spool_of(settings.spool, target.host, str(target.port)), settings.durability)


def _target(uri: str, settings: RemoteSettings, authenticate: _Authenticate) -> Target:
    parts = parse_uri(uri)
    given = settings.given
    host = (parts.get("address") or "localhost").strip("[]")
    port = check_port(without_password(uri), parts.get("port") or str(RELAY_PORT))
    layer = check_layer(given.get("security_layer"))
    trusted = yes_or_no("trust_server", given.get("trust_server"))
    if trusted is None:
        trusted = layer == "TLS" or is_loopback(host)

    return Target(
        host,
        int(port),
        layer,
        partial(authenticate, uri),
        trusted,
        given.get("ca"),
        settings.timeout_s,
        seconds_of("start_timeout", given.get("start_timeout", _START_S)),
    )
