"""Choose the backend for a URI, from one table of backends."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from track.errors import BackendError, StorageWarning, warn
from track.persistence.protocol import Protocol
from track.persistence.utils import parse_uri

Opener = Callable[[str], Protocol]


class Backend(NamedTuple):
    """One kind of storage. A ``module:attribute`` is imported when it is needed."""

    opens: str | Opener
    """Opens a URI."""
    reads: str | None = None
    """Opens the URI of an existing store to read it; None if ``opens`` does that, too."""
    sends: str | None = None
    """Sends the spools of dead processes for a URI, and returns the number of events."""
    journal: str | None = None
    """Opens the journal at a path, for stores on this machine's disk."""
    is_database: bool = False
    """Whether its events are rows of a database table."""


_FILE = Backend(
    "track.persistence.local:make_local",
    reads="track.stores.readonly:open_file",
    journal="track.journals.file:FileJournal",
)
_LMDB = Backend(
    "track.persistence.lmdb:LMDBProtocol",
    reads="track.stores.readonly:open_lmdb",
    journal="track.journals.lmdb:LMDBJournal",
)
_MEMORY = Backend("track.persistence.local:make_local")
_RELAY = Backend(
    "track.relay.client:SocketClient",
    reads="track.stores.readonly:open_relay",
    sends="track.relay.client:sync",
)
_DATABASE = Backend(
    "track.persistence.cockroach:Cockroach",
    reads="track.stores.readonly:open_database",
    sends="track.persistence.cockroach:sync",
    is_database=True,
)

ENTRY_POINTS = "track.backends"
"""The entry-point group for backends of other packages."""

_BACKENDS: dict[str, Backend] = {
    "": _FILE,
    "cockroach": _DATABASE,
    "file": _FILE,
    "lmdb": _LMDB,
    "memory": _MEMORY,
    "none": _MEMORY,
    "postgres": _DATABASE,
    "postgresql": _DATABASE,
    "socket": _RELAY,
}
"""The backends by scheme."""

_warned_of_none = False


def register(name: str, backend: Opener) -> None:
    """Register a backend.

    Parameters
    ----------
    name
        the scheme of its URIs: ``byob`` for ``byob://…``
    backend
        a subclass of :class:`~track.persistence.protocol.Protocol`, or a function of a URI

    Raises
    ------
    TypeError
        the backend cannot be called
    """
    if not callable(backend):
        raise TypeError(f"the backend {name!r} must be called with a URI, got {backend!r}")
    _BACKENDS[name] = Backend(backend)


def get_protocol(uri: str) -> Protocol:
    """Open the backend of a URI.

    Parameters
    ----------
    uri
        ``file:report.json`` or a plain path, ``lmdb:store.lmdb``, ``cockroach://host/database``,
        ``postgres://host/database``, ``socket://host:port``, ``memory:``, ``none``, or the URI of
        a registered backend

    Raises
    ------
    BackendError
        the scheme is unknown, or its backend cannot be used
    """
    if uri == "none":
        _warn_of_none()
        uri = "none:"
    opens = backend_of(uri).opens
    protocol: Protocol = (load(opens) if isinstance(opens, str) else opens)(uri)
    return protocol


def backend_of(uri: str) -> Backend:
    """Return the row of the backend of a URI.

    Raises
    ------
    BackendError
        the scheme is unknown, or its backend cannot be loaded
    """
    scheme = parse_uri(uri)["scheme"]
    backend = _BACKENDS.get(scheme) or _find_entry_point(scheme)
    if backend is None:
        known = ", ".join(sorted(name for name in _BACKENDS if name))
        raise BackendError(f"unknown backend '{scheme}:': use one of {known}, or register your own")
    return backend


def make_local(uri: str, strict: bool = True, eager: bool = True) -> Protocol:
    """Open a local backend, see :class:`track.persistence.local.FileProtocol`."""
    from track.persistence import local

    return local.make_local(uri, strict, eager)


def load(name: str) -> Any:
    """Return the object of a ``module:attribute``."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def _find_entry_point(scheme: str) -> Backend | None:
    from importlib.metadata import entry_points  # takes longer than everything else here

    for entry in entry_points(group=ENTRY_POINTS, name=scheme):
        try:
            opener: Opener = entry.load()
        except Exception as error:
            raise BackendError(
                f"the backend '{scheme}:' of {entry.value} cannot be loaded: {error}"
            ) from error
        register(scheme, opener)
        return _BACKENDS[scheme]
    return None


def _warn_of_none() -> None:
    global _warned_of_none  # noqa: PLW0603 - warned once per process
    if not _warned_of_none:
        _warned_of_none = True
        warn(
            "no backend was chosen, so everything is kept in memory and lost when the process "
            "ends. Pass one, as TrackClient('file:report.json'), or set TRACK_LOG_BACKEND_NAME",
            StorageWarning,
        )
