"""Provide a backend that can be pickled, and is opened on first use."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from track.errors import TrackError
from track.persistence.protocol import Protocol
from track.persistence.utils import parse_uri
from track.utils.forking import ForkSafeLock

_IN_MEMORY = ("memory", "none")
_ON_DISK = ("", "file", "lmdb")
_FILES = re.compile("(?P<name>spool|ca|sslrootcert|sslcert|sslkey)=(?P<path>.+)", re.DOTALL)
"""The options that name files of this machine."""


Opener = Callable[[str], Protocol] | str

_ANY = "track.persistence.registry:get_protocol"
"""Opens the backend of a URI."""


class DeferredProtocol(Protocol):
    """A backend that is opened on first use, in the process that uses it.

    Parameters
    ----------
    uri
        the URI of the store
    opens
        a class or a function that opens it, or ``module:attribute`` of one
    forgiving
        whether failed writes become warnings, see :meth:`Protocol.forgive_failed_writes`
    """

    def __init__(self, uri: str, opens: Opener = _ANY, forgiving: bool = False) -> None:
        super().__init__(uri)
        self._opens = opens
        self._forgiving = forgiving
        self._opened: Protocol | None = None
        self._lock = ForkSafeLock()

    @property
    def opened(self) -> Protocol:
        """Return the backend, opening it at the first call."""
        if self._opened is None:
            from pkgutil import resolve_name  # `import track` is faster without it

            with self._lock:
                if self._opened is None:
                    assert self.uri is not None  # set by the constructor
                    opens = self._opens
                    opened = (resolve_name(opens) if isinstance(opens, str) else opens)(self.uri)
                    if self._forgiving:
                        opened.forgive_failed_writes()
                    self._opened = opened
        return self._opened

    def __getattr__(self, name: str) -> Any:
        # Only called for attributes that not every backend has, such as `journal`.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.opened, name)

    @property
    def content(self) -> Any:  # type: ignore[override]  # of the backend itself
        return self.opened.content

    def forgive_failed_writes(self) -> None:
        self._forgiving = True
        if self._opened is not None:
            self._opened.forgive_failed_writes()

    def when_idle(self, callback: Callable[[], None]) -> None:
        if self._opened is None:
            callback()
        else:
            self._opened.when_idle(callback)

    def commit(self, **kwargs: Any) -> None:
        if self._opened is not None or kwargs:
            self.opened.commit(**kwargs)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return DeferredProtocol, (self.uri, self._opens, self._forgiving)


def _to_opened(name: str) -> Callable[..., Any]:
    """Make a method that calls the opened backend."""

    @wraps(getattr(Protocol, name))
    def call(self: DeferredProtocol, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.opened, name)(*args, **kwargs)

    return call


for _name in vars(Protocol):
    if not _name.startswith("_") and _name not in vars(DeferredProtocol):
        setattr(DeferredProtocol, _name, _to_opened(_name))


def travelling(protocol: Protocol, forgiving: bool, strict: bool, eager: bool) -> tuple[Any, ...]:
    """Return a callable and arguments that open a backend again, as for ``__reduce__``.

    Parameters
    ----------
    protocol
        the backend
    forgiving
        whether failed writes become warnings
    strict, eager
        the arguments of its class, if it takes them besides a URI

    Raises
    ------
    TrackError
        no other process can open the store
    """
    from inspect import signature  # `import track` is faster without it

    uri = protocol.uri
    if uri is None or parse_uri(uri)["scheme"] in _IN_MEMORY:
        raise TrackError(
            f"{type(protocol).__name__}, a store in memory, cannot be opened by another process: "
            "log to a file or a server (file:, lmdb:, socket:, …)"
        )
    opens: Opener = _ANY
    kind: Callable[..., Protocol] = type(protocol)
    if [*signature(kind).parameters] == ["uri", "strict", "eager"]:
        opens = partial(kind, strict=strict, eager=eager)
    return DeferredProtocol, (anchored(uri, getattr(protocol, "path", None)), opens, forgiving)


def anchored(uri: str, path: str | None = None) -> str:
    """Return a URI of the same store that does not depend on the working folder.

    Parameters
    ----------
    uri
        the URI
    path
        the path of the store, if its backend knows it
    """
    if uri == "none":
        return uri
    parts = parse_uri(uri)
    head, mark, query = uri.partition("?")
    if parts["scheme"] in _ON_DISK:
        there = os.path.abspath(parts["path"]) if path is None else path
        if not set("?#") & set(there):  # which a URI cannot contain
            head = f"{parts['scheme'] or 'file'}:{there}"
    return head + mark + "&".join(_absolute(option) for option in query.split("&"))


def _absolute(option: str) -> str:
    from urllib.parse import quote, unquote  # `import track` is faster without it

    found = _FILES.fullmatch(option)
    if found is None:
        return option
    return f"{found['name']}={quote(os.path.abspath(unquote(found['path'])))}"
