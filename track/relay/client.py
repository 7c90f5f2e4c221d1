"""Provide the client of the socket backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from track.events.codec import decode
from track.events.types import Recorded
from track.forwarding.forwarder import Forwarder
from track.journals.journal import Journal
from track.persistence.remote import ForwardedProtocol, forwarder_to, send_left_behind
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
from track.relay.connection import Connection
from track.relay.contents import RelayContents
from track.relay.remote_journal import RelayJournal
from track.relay.remote_repository import RemoteRepository
from track.relay.session import Target
from track.utils.handshake import check_layer

_Authenticate = Callable[[str], tuple[str | None, str | None]]

_OPTIONS = ("security_layer", "ca", "trust_server", "start_timeout")

_START_S = 4.0
"""The time to wait for a server that may just have been started."""


class SocketClient(ForwardedProtocol):
    """A backend behind a server that :func:`start_track_server` runs.

    Logged values are kept in a spool on this machine and sent in the background, so logging never
    waits for the network, and loses nothing while the server is away. Calls that need an answer
    (new projects, groups and trials, conditional updates, queries), the end of a trial and
    :meth:`commit` wait until the server has everything.

    Parameters
    ----------
    uri
        ``socket://user:password@host:port``. Options:

        - ``security_layer``: AES, TLS or none, the same as the server
        - ``ca``: with TLS, a file with the certificates to trust, instead of the system's
        - ``trust_server``: yes to send the password to, or log in at, a server that does not prove
          its identity; by default only on this machine, and with TLS
        - ``spool``: the folder for events that the server has not acknowledged; by default
          ``$XDG_STATE_HOME/track/spool``
        - ``durability`` of the spool: process, interval, always
        - ``timeout``: seconds to wait for a server that does not answer, 30 by default
        - ``start_timeout``: seconds to wait for a server that may be starting;
          4 by default
    strict
        require that the projects and groups of new trials and groups exist
    eager
        wait at the end of a trial until the server has everything

    Raises
    ------
    BackendError
        the URI cannot be used

    Notes
    -----
    It connects when the first answer is needed.
    """

    def __init__(self, uri: str, strict: bool = True, eager: bool = True) -> None:
        settings = remote_settings(uri, _OPTIONS)
        # Avoid a reference cycle, so that clients are freed at once.
        overridden = type(self).authenticate is not SocketClient.authenticate
        authenticate = self.authenticate if overridden else _credentials
        self._connection = Connection(_target(uri, settings, authenticate))
        forwarder = _forwarder(self._connection, settings)
        super().__init__(uri, forwarder, strict=strict, eager=eager)

    def _make_repository(self, journal: Journal) -> Repository:
        self._server = RemoteRepository(self._connection, self.forwarder, self.producer)
        return self._server

    def authenticate(self, uri: str) -> tuple[str | None, str | None]:
        """Return the name and the password to log in with.

        Override it to take them from another source than the URI.

        Parameters
        ----------
        uri
            the URI of the server
        """
        return _credentials(uri)

    def commit(self, file_name_override: str | None = None, **kwargs: Any) -> None:
        """Wait until the server has everything on stable storage and has written its report.

        Parameters
        ----------
        file_name_override
            write the report to this local path, too

        Raises
        ------
        JournalUnreachable
            the server does not answer; the message names the spool
        """
        with self.producer.busy():
            super().commit(file_name_override, **kwargs)
            self._server.commit()

    def write_report(self, path: str) -> None:
        """Write the report to a local file, which must be a report or not exist."""
        check_report(path)
        # It needs all trials, which are faster to fetch at once.
        write_report(path, render_report(self._server.whole_state()))

    def subscribe(self, after: int = 0) -> Iterator[Recorded]:
        """Yield the events after a position of the server's journal, and then each new one.

        A lost connection is replaced without gaps or duplicates. To resume later, pass the
        ``position`` of the last event.

        Raises
        ------
        JournalUnreachable
            the server did not answer in time
        """
        for batch in self.forwarder.far.follow(after):
            if batch is not None:
                yield from map(decode, *batch)


def sync(uri: str) -> int:
    """Send the events that dead processes could not send to a server.

    Every client of the server does the same, so this is only needed without further clients.

    Parameters
    ----------
    uri
        the URI of the store, as for :class:`SocketClient`

    Returns
    -------
    The number of events sent.

    Raises
    ------
    JournalUnreachable
        the server does not answer; nothing is lost
    BackendError
        the URI cannot be used
    """
    settings = remote_settings(uri, _OPTIONS)
    return send_left_behind(_forwarder(Connection(_target(uri, settings, _credentials)), settings))


def _credentials(uri: str) -> tuple[str | None, str | None]:
    parts = parse_uri(uri)
    return parts.get("username"), parts.get("password")


def _forwarder(connection: Connection, settings: RemoteSettings) -> Forwarder:
    """Return the forwarder to a server, which sends contents on a connection of their own."""
    target = connection.target
    folder = spool_of(settings.spool, target.host, str(target.port))
    contents = RelayContents(Connection(target))
    return forwarder_to(RelayJournal(connection), contents, folder, settings)


def _target(uri: str, settings: RemoteSettings, authenticate: _Authenticate) -> Target:
    parts = parse_uri(uri)
    given = settings.given
    host = (parts.get("address") or "localhost").strip("[]")
    shown = without_password(uri.partition("?")[0])
    port = check_port(shown, parts.get("port") or str(RELAY_PORT))
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
