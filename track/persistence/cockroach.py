"""Provide the backend for CockroachDB and PostgreSQL."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from track.configuration import options
from track.contents.places import contents_at
from track.errors import BackendError
from track.forwarding.forwarder import Forwarder
from track.persistence.remote import ForwardedProtocol, forwarder_to, send_left_behind
from track.persistence.uri_options import RemoteSettings, remote_settings, spool_of
from track.persistence.utils import check_port, parse_uri, without_password

if TYPE_CHECKING:
    from track.contents.store import ContentStore
    from track.journals.sql.journal import SQLJournal

DEFAULT_LOG = "track"
_LONGEST_LOG = 255
_LIBPQ = ("sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs")
"""The options that are passed on to the driver."""
_OPTIONS = ("log", "contents", *_LIBPQ)


class Cockroach(ForwardedProtocol):
    """Storage in a CockroachDB cluster or a PostgreSQL database, shared by many machines.

    Logged values are kept in a spool on this machine and sent in the background, so logging never
    waits for the network, and loses nothing while the database is away. Calls that need an answer
    (new projects, groups and trials, conditional updates, queries), the end of a trial and
    :meth:`commit` wait until the database has everything.

    Parameters
    ----------
    uri
        ``cockroach://user:password@host:port,host:port/database``; ``postgres:`` is the same with
        other defaults (CockroachDB: port 26257, user ``root``, database ``defaultdb``). Options:

        - ``log``: the name of the log in the database, ``track`` by default
        - ``contents``: where the contents of logged files and media are kept: ``file:///folder``
          or the absolute path of a folder that all clients share, or a URL that fsspec knows, such
          as ``s3://bucket/prefix``; by default, those of up to 1 MiB in a table of the database.
          ``TRACK_LOG_CONTENTS`` says the same
        - ``sslmode``, ``sslrootcert``, ``sslcert``, ``sslkey``: the encryption, as for libpq
        - ``target_session_attrs``: which of the hosts to use, as for libpq
        - ``spool``: the folder for events that the database has not acknowledged; by default
          ``$XDG_STATE_HOME/track/spool``
        - ``durability`` of the spool: process, interval, always
        - ``timeout``: seconds to wait for a database that does not answer, 30 by default
        - ``lock_timeout``: seconds to wait for the exclusive section
    strict
        require that the projects and groups of new trials and groups exist
    eager
        wait at the end of a trial until the database has everything

    Raises
    ------
    BackendError
        the URI cannot be used, or the package psycopg2 is missing

    Notes
    -----
    It connects, and creates its tables, when the first answer is needed.
    """

    def __init__(self, uri: str, strict: bool = True, eager: bool = True) -> None:
        super().__init__(uri, _forwarder(uri), strict=strict, eager=eager)


def sync(uri: str) -> int:
    """Send the events that dead processes could not send to a database.

    Every client of the database does the same, so this is only needed without further clients.

    Parameters
    ----------
    uri
        the URI of the store, as for :class:`Cockroach`

    Returns
    -------
    The number of events sent.

    Raises
    ------
    JournalUnreachable
        the database does not answer; nothing is lost
    BackendError
        the URI cannot be used
    """
    return send_left_behind(_forwarder(uri))


def open_journal(uri: str, *, writable: bool = True) -> tuple[SQLJournal, ContentStore]:
    """Return the journal and the contents of a database without a spool."""
    return _open(uri, remote_settings(uri, _OPTIONS), writable=writable)[:2]


def _forwarder(uri: str) -> Forwarder:
    settings = remote_settings(uri, _OPTIONS)
    return forwarder_to(*_open(uri, settings), settings)


def _open(
    uri: str, settings: RemoteSettings, *, writable: bool = True
) -> tuple[SQLJournal, ContentStore, str]:
    """Return the journal of a URI, its contents, and the folder for its spools."""
    try:
        from track.contents.table import TableContents
        from track.journals.sql.journal import SQLJournal
        from track.journals.sql.session import Servers
    except ImportError as error:
        raise BackendError(
            f"{without_password(uri)!r} needs the package psycopg2: "
            "pip install 'track-journal[cockroach]'"
        ) from error
    log = settings.given.get("log") or DEFAULT_LOG
    if len(log) > _LONGEST_LOG:
        raise BackendError(f"log={log!r} is longer than {_LONGEST_LOG} characters")
    hosts, login = _servers(uri)
    database = login.get("dbname", "")
    spool = spool_of(settings.spool, *sorted(f"{h}:{p}" for h, p in hosts), database, log)
    login |= {name: settings.given[name] for name in _LIBPQ if name in settings.given}
    journal = SQLJournal(
        Servers(hosts, login),
        log,
        settings.timeout_s,
        settings.lock_timeout_s,
        writable=writable,
    )
    far: ContentStore = TableContents(journal)
    place = settings.given.get("contents") or options("log.contents", "")
    if place:
        far = contents_at(str(place), os.path.basename(spool_of("", database, log)), far)
    return journal, far, spool


def _servers(uri: str) -> tuple[list[tuple[str, int]], dict[str, str]]:
    """Return the hosts and ports of a URI, and the parameters of logins."""
    parts = parse_uri(uri)
    is_cockroach = parts["scheme"] == "cockroach"
    default_port = 26257 if is_cockroach else 5432
    login = {
        "user": parts.get("username") or ("root" if is_cockroach else None),
        "password": parts.get("password"),
        "dbname": parts["path"].strip("/") or ("defaultdb" if is_cockroach else None),
    }
    authority = parts.get("address") or "localhost"
    if parts.get("port"):
        authority += ":" + parts["port"]
    hosts = [_host(uri, host, default_port) for host in authority.split(",")]
    return hosts, {name: value for name, value in login.items() if value is not None}


def _host(uri: str, text: str, default_port: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or "]" in port:
        host, port = text, str(default_port)
    return host.strip("[]") or "localhost", check_port(without_password(uri), port)
