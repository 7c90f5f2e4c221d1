"""Serve a backend: listen, log clients in, and shut down."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import wraps
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from track.errors import AuthenticationError, BackendError
from track.persistence.journaled import JournaledProtocol
from track.persistence.protocol import CHANGES, DECISIONS, QUESTIONS, Protocol
from track.persistence.registry import get_protocol
from track.persistence.uri_options import RELAY_PORT, is_loopback, yes_or_no
from track.persistence.utils import check_options, check_port, parse_uri, without_password
from track.relay.asyncio_server import RelayServer
from track.relay.limits import Limits
from track.relay.peer import Logins
from track.relay.scram import check_password
from track.relay.service import Answering
from track.relay.users import Users
from track.structure import Project, Trial, TrialGroup
from track.utils.handshake import check_layer
from track.utils.signal import SignalHandler

if TYPE_CHECKING:
    import ssl

logger = logging.getLogger(__name__)

_OPTIONS = ("security_layer", "backend", "users", "certificate", "key", "allow_anyone")


class SocketServer(Protocol):
    """A server in front of another backend, for :class:`SocketClient`.

    Subclass it to log clients in by other means, see :meth:`authenticate`.

    Parameters
    ----------
    uri
        ``socket://host:port?backend=file:report.json``. Options:

        - ``backend``: the URI of the store to serve
        - ``security_layer``: AES, TLS or none
        - ``users``: the file of users who may log in. Without it, anyone on this machine may
        - ``allow_anyone``: yes to accept anyone from other machines, too
        - ``certificate``, ``key``: files for TLS
    limits
        the limits for clients

    Raises
    ------
    BackendError
        the URI cannot be used
    """

    def __init__(self, uri: str, limits: Limits | None = None) -> None:
        super().__init__(uri)
        parts = parse_uri(uri)
        shown = without_password(uri.partition("?")[0])  # its backend may have a password
        given = check_options(shown, parts["query"], _OPTIONS)
        self.host = (parts.get("address") or "localhost").strip("[]")
        self.port = check_port(shown, parts.get("port") or str(RELAY_PORT), least=0)
        """The port; for port 0, the chosen one after the server has started."""
        self.layer = check_layer(given.get("security_layer"))
        self._users = Users(given["users"]) if "users" in given else None
        self._check_exposure(bool(yes_or_no("allow_anyone", given.get("allow_anyone"))))
        tls = _tls(self.layer, given)
        self.backend = _open_backend(given.get("backend"))
        own = self._has_own_login()
        logins = Logins(self.authenticate, None if own else self._users, asks_password=own)
        limits = limits or Limits()
        service = Answering(self.backend, limits.query_s, largest_content=limits.content)
        self._relay = RelayServer(service, self.layer, logins, tls, limits)
        self._relay.attend = self.handle_client
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._asked_to_end = False
        self.ready = threading.Event()
        """Set once clients can connect."""
        self._closed = threading.Event()

    def _check_exposure(self, allow_anyone: bool) -> None:
        guarded = self._users is not None or self._has_own_login()
        if not guarded and not allow_anyone and not is_loopback(self.host):
            raise BackendError(
                f"anyone who can reach {self.host} could change everything: name a file of users "
                "(--users, or users= in the URI), listen on 127.0.0.1, or accept anyone "
                "(--allow-anyone, or allow_anyone=yes)"
            )

    def _has_own_login(self) -> bool:
        return type(self).authenticate is not SocketServer.authenticate

    # Running

    def run_server(self) -> None:
        """Serve until :meth:`close` is called, or SIGINT or SIGTERM arrives.

        Signals are only handled in the main thread. Pending requests are finished first.

        Raises
        ------
        OSError
            the address cannot be listened on
        """
        handler = ServerSignalHandler(self)
        handler.install()
        try:
            asyncio.run(self._run())
        finally:
            handler.remove()
            self._closed.set()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            self.port = await self._relay.start(self.host, self.port)
            backend = without_password(self.backend.uri or "")
            logger.info("serving %s on %s:%d", backend, self.host, self.port)
            self.ready.set()
            if not self._asked_to_end:
                await self._stop.wait()
            await self._relay.close()
        finally:
            await self._loop.run_in_executor(None, self.backend.close)

    def close(self) -> None:
        """Tell the server to end, from any thread or a signal handler, possibly twice."""
        self._asked_to_end = True
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._stop.set)

    def is_ending(self) -> bool:
        """Return whether the server was told to end."""
        return self._asked_to_end

    def wait_closed(self, timeout_s: float | None = None) -> bool:
        """Wait until the server has ended, and return whether it has."""
        return self._closed.wait(timeout_s)

    # Clients

    async def handle_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one client until it disconnects."""
        await self._relay.attend_to(reader, writer)

    def close_connection(self, writer: asyncio.StreamWriter) -> None:
        """Disconnect a client."""
        writer.close()

    def is_authenticated(self, reader: asyncio.StreamReader) -> bool:
        """Return whether the client behind a reader has logged in."""
        return self.get_username(reader) is not None

    def get_username(self, reader: asyncio.StreamReader) -> str | None:
        """Return the name of the client behind a reader, None before it has logged in."""
        peer = self._relay.peer_of(reader)
        return None if peer is None else peer.username

    async def exec(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        proc_name: str,
        proc: Callable[..., Any],
        args: Mapping[str, Any],
    ) -> Any:
        """Run a method of the backend for a client that has logged in, in a thread.

        Raises
        ------
        AuthenticationError
            the client has not logged in
        """
        if not self.is_authenticated(reader):
            raise AuthenticationError(f"{proc_name} was called before the login")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, lambda: proc(**self.process_args(args)))

    def process_args(self, args: Any, cache: Mapping[str, Any] | None = None) -> Any:
        """Replace projects, groups and trials in arguments by the objects of the backend.

        Parameters
        ----------
        args
            the arguments: a dictionary, a list or one value
        cache
            the objects to use first, by uid

        Returns
        -------
        The same arguments with the objects of the backend, where they exist.
        """
        if isinstance(args, Mapping):
            return {name: self.process_args(value, cache) for name, value in args.items()}
        if isinstance(args, (list, tuple)):
            return type(args)(self.process_args(value, cache) for value in args)
        if isinstance(args, (Project, TrialGroup, Trial)):
            return (cache or {}).get(args.uid) or self._stored(args) or args
        return args

    def _stored(self, item: Project | TrialGroup | Trial) -> Any:
        query = {"uid": item.uid}
        if isinstance(item, Project):
            found: list[Any] = self.backend.fetch_projects(query)
        elif isinstance(item, TrialGroup):
            found = self.backend.fetch_groups(query)
        else:
            found = self.backend.fetch_trials(query)
        return found[0] if found else None

    # Logging in

    def authenticate(
        self, reader: asyncio.StreamReader, username: str | None, password: str | None
    ) -> Any:
        """Decide whether a client may log in; override it to decide by other means.

        Parameters
        ----------
        reader
            the reader of the client's connection, which identifies the connection
        username
            the name that the client gives
        password
            the password. Clients send it only over TLS, on this machine, or with
            ``trust_server=yes``

        Returns
        -------
        Whether the client may log in, or an awaitable of that. Without a file of users anyone may;
        with one, clients prove that they know their password, and this method is not called.
        """
        if self._users is None:
            return True
        return check_password(self._users, username or "", password or "")


def _forwarded(name: str) -> Callable[..., Any]:
    @wraps(getattr(Protocol, name))
    def method(self: SocketServer, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.backend, name)(*args, **kwargs)

    return method


for _name in (*DECISIONS, *CHANGES, *QUESTIONS):  # for the program that runs the server
    setattr(SocketServer, _name, _forwarded(_name))


class ServerSignalHandler(SignalHandler):
    """Closes a server on SIGINT or SIGTERM; a second signal ends the process.

    Parameters
    ----------
    server
        the server to close
    """

    def __init__(self, server: SocketServer) -> None:
        super().__init__()
        self.server = server

    def sigint(self, signum: int, frame: FrameType | None) -> None:
        self._end(signum, frame)

    def sigterm(self, signum: int, frame: FrameType | None) -> None:
        self._end(signum, frame)

    def _end(self, signum: int, frame: FrameType | None) -> None:
        if self.server.is_ending():
            self.hand_on(signum, frame)
        else:
            self.server.close()

    def atexit(self) -> None:
        self.server.close()


def start_track_server(
    protocol: str,
    hostname: str,
    port: int,
    security_layer: str | None = None,
    *,
    backend: str | None = None,
    users: str | os.PathLike[str] | None = None,
    certificate: str | os.PathLike[str] | None = None,
    key: str | os.PathLike[str] | None = None,
    allow_anyone: bool = False,
    beside: Callable[[JournaledProtocol], AbstractContextManager[Any]] = nullcontext,
) -> None:
    """Serve a backend to clients on other machines, until SIGINT or SIGTERM.

    Parameters
    ----------
    protocol
        the URI of the backend, for example ``file:report.json``
    hostname
        the name or address to listen on
    port
        the port
    security_layer
        AES, TLS or None
    backend
        another name for ``security_layer``
    users
        the file of users who may log in. Without it, anyone on this machine may
    certificate, key
        files for TLS
    allow_anyone
        accept anyone from other machines, too
    beside
        returns a context for the backend that is active while the server runs

    Raises
    ------
    BackendError
        an argument cannot be used
    OSError
        the address cannot be listened on

    Notes
    -----
    The soft limit of open files of this process is raised up to the hard one, so that
    each connection has room.
    """
    options = {
        "backend": protocol,
        "security_layer": security_layer or backend,
        "users": users,
        "certificate": certificate,
        "key": key,
        "allow_anyone": "yes" if allow_anyone else None,
    }
    given = {name: os.fspath(value) for name, value in options.items() if value is not None}
    host = f"[{hostname}]" if ":" in hostname else hostname
    server = SocketServer(f"socket://{host}:{port}?{urlencode(given)}")
    with beside(server.backend):
        server.run_server()


def _open_backend(uri: str | None) -> JournaledProtocol:
    if not uri:
        raise BackendError("a server needs a backend: add backend=file:report.json to its URI")
    opened = get_protocol(uri)
    if not isinstance(opened, JournaledProtocol):
        raise BackendError(f"{without_password(uri)!r} has no journal, so it cannot be served")
    return opened


def _tls(layer: str | None, given: Mapping[str, str]) -> ssl.SSLContext | None:
    if layer != "TLS":
        return None
    import ssl

    if "certificate" not in given:
        raise BackendError(
            "security_layer=TLS needs a certificate: name its file (certificate), and usually that "
            "of its key (key)"
        )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(given["certificate"], given.get("key"))
    except (OSError, ssl.SSLError) as error:
        raise BackendError(
            f"the certificate {given['certificate']} cannot be used: {error}"
        ) from error
    return context
