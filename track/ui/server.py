"""The server of the page: it listens, prints the address and shuts down."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from types import FrameType

import uvicorn

from track.reader import Reader
from track.ui.app import make_app
from track.ui.security import LOOPBACK, Rules
from track.ui.store import Store
from track.utils.signal import SignalHandler

_WARM_S = 0.15
"""How long a server waits for a large store before it says that it is ready, in seconds."""

_END_S = 2
"""How long open requests may take during shutdown, in seconds."""


class Page:
    """The web page of a store, represented by its address in notebooks and consoles.

    Parameters
    ----------
    reader
        the reader of the store
    host, port
        where to listen; port 0 selects a free one
    write
        whether trials may be archived and restored
    """

    def __init__(
        self, reader: Reader, host: str = "127.0.0.1", port: int = 0, *, write: bool = False
    ) -> None:
        self._reader = reader
        self._socket = _listen(host, port)
        bound = self._socket.getsockname()[1]
        is_here = _is_loopback(self._socket)
        token = None if is_here else secrets.token_urlsafe(24)
        is_anywhere = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        called = socket.gethostname() if is_anywhere else host
        named = f"[{called}]" if ":" in called else called
        hosts = (*LOOPBACK, named.lower(), *(_addresses() if is_anywhere else ()))
        self.url = f"http://{named}:{bound}/" + ("" if token is None else f"?token={token}")
        self._store = Store(reader, is_writable=write, is_closing=lambda: self._server.should_exit)
        app = make_app(self._store, Rules(hosts, token))
        self._server = _Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_END_S,
                limit_concurrency=200,
            )
        )
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return self.url

    def _repr_html_(self) -> str:
        return f'<a href="{escape(self.url)}" target="_blank">{escape(self.url)}</a>'

    def warm(self) -> None:
        """Begin to read the store, so that the first look at it takes no longer than others."""
        self._store.warm(_WARM_S)

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM; a second signal ends the process at once."""
        handler = _Signals(self._server)
        handler.install()
        try:
            self._server.run([self._socket])
        finally:
            handler.remove()
            self.close()

    def start(self) -> None:
        """Serve from a daemon thread."""
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="track-ui", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_END_S * 2)
        self._socket.close()
        self._store.close()


class _Server(uvicorn.Server):
    """A server that leaves signal handling to the application."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Signals(SignalHandler):
    """Shuts a server down gracefully on the first signal; the second one ends the process.

    Parameters
    ----------
    server
        the server to shut down
    """

    def __init__(self, server: uvicorn.Server) -> None:
        super().__init__()
        self._server = server

    def sigint(self, signum: int, frame: FrameType | None) -> None:
        self._end(signum, frame)

    def sigterm(self, signum: int, frame: FrameType | None) -> None:
        self._end(signum, frame)

    def _end(self, signum: int, frame: FrameType | None) -> None:
        if self._server.should_exit:
            self.hand_on(signum, frame)
        self._server.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen: {error.strerror}", f"{host}:{port}") from error
    return listener


def _is_loopback(listener: socket.socket) -> bool:
    from ipaddress import ip_address

    return ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def _addresses() -> list[str]:
    """Return the addresses of this machine as they appear in a ``Host`` header."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        return []
    names = {str(address[0]).partition("%")[0] for *_, address in found}
    return [f"[{name}]" if ":" in name else name for name in sorted(names)]
