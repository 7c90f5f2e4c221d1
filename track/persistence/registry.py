"""The table of storage backends: which one a URI is for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from track.errors import BackendError, StorageWarning, warn
from track.persistence.protocol import Protocol
from track.persistence.utils import parse_uri

Backend = Callable[[str], Protocol]

ENTRY_POINTS = "track.backends"
"""Entry-point group in which other packages name their backends."""

_BACKENDS: dict[str, str | Backend] = {
    "": "track.persistence.local:make_local",
    "cockroach": "track.persistence.cockroach:Cockroach",
    "file": "track.persistence.local:make_local",
    "lmdb": "track.persistence.lmdb:LMDBProtocol",
    "memory": "track.persistence.local:make_local",
    "none": "track.persistence.local:make_local",
    "postgres": "track.persistence.cockroach:Cockroach",
    "postgresql": "track.persistence.cockroach:Cockroach",
    "socket": "track.relay.client:SocketClient",
}
"""scheme -> backend; those that are text are imported when they are first asked for."""

_warned_of_none = False


def register(name: str, backend: Backend) -> None:
    """Make a backend of your own known.

    Parameters
    ----------
    name
        scheme of its URIs: ``byob`` for ``byob://…``
    backend
        subclass of :class:`~track.persistence.protocol.Protocol`, or any function, that takes a URI

    Raises
    ------
    TypeError
        the backend cannot be called
    """
    if not callable(backend):
        raise TypeError(f"the backend {name!r} must be called with a URI, got {backend!r}")
    _BACKENDS[name] = backend


def get_protocol(uri: str) -> Protocol:
    """Open the backend of a URI.

    Parameters
    ----------
    uri
        ``file:report.json`` or a plain path, ``lmdb:store.lmdb``, ``cockroach://host/database``,
        ``postgres://host/database``, ``socket://host:port``, ``memory:``, ``none``, or one of a
        backend that was registered

    Raises
    ------
    BackendError
        nobody knows the scheme, or its backend cannot be used
    """
    if uri == "none":
        _warn_of_none()
        uri = "none:"
    scheme = parse_uri(uri)["scheme"]
    backend = _BACKENDS.get(scheme) or _find_entry_point(scheme)
    if backend is None:
        known = ", ".join(sorted(name for name in _BACKENDS if name))
        raise BackendError(
            f"no backend is known for '{scheme}:': use one of {known}, or register your own"
        )
    if isinstance(backend, str):
        backend = _BACKENDS[scheme] = _load(backend)
    return backend(uri)


def make_local(uri: str, strict: bool = True, eager: bool = True) -> Protocol:
    """Open a local backend, see :class:`track.persistence.local.FileProtocol`."""
    from track.persistence import local

    return local.make_local(uri, strict, eager)


def _load(name: str) -> Backend:
    module, _, attribute = name.partition(":")
    backend: Backend = getattr(import_module(module), attribute)
    return backend


def _find_entry_point(scheme: str) -> Backend | None:
    from importlib.metadata import entry_points  # takes longer than everything else here

    for entry in entry_points(group=ENTRY_POINTS, name=scheme):
        try:
            backend: Backend = entry.load()
        except Exception as error:
            raise BackendError(
                f"the backend '{scheme}:' of {entry.value} cannot be loaded: {error}"
            ) from error
        register(scheme, backend)
        return backend
    return None


def _warn_of_none() -> None:
    global _warned_of_none  # noqa: PLW0603 - said once in the life of the process
    if not _warned_of_none:
        _warned_of_none = True
        warn(
            "no backend was chosen: what is logged is kept in memory and ends with the process. "
            "Pass one, as TrackClient('file:report.json'), or set TRACK_LOG_BACKEND_NAME",
            StorageWarning,
        )
