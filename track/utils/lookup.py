"""Look up host addresses with a timeout, which the system's own lookup lacks."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any

from track.utils.forking import renew_in_children

Resolve = Callable[..., list[Any]]
"""A function such as :func:`socket.getaddrinfo`."""


def addresses_of(
    host: str, port: int, within_s: float, resolve: Resolve = socket.getaddrinfo
) -> list[Any]:
    """Return the addresses of a host as :func:`socket.getaddrinfo` does for streams.

    Raises
    ------
    TimeoutError
        the lookup takes longer; it continues, and the next call waits for the same one
    OSError
        the host does not exist
    """
    with suppress(socket.gaierror):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    found = _lookups.begin(host, port, resolve)
    wait([found], max(0.0, within_s))
    if not found.done():
        raise TimeoutError(errno.ETIMEDOUT, f"looking up the host {host} takes too long")
    return found.result()


class _Lookups:
    """The lookups under way, each in a thread."""

    def __init__(self) -> None:
        self.renew_after_fork()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[tuple[str, int, Resolve], Future[list[Any]]] = {}

    def begin(self, host: str, port: int, resolve: Resolve) -> Future[list[Any]]:
        key = host, port, resolve
        with self._lock:
            found = self._running.get(key)
            if found is None:
                found = self._running[key] = Future()
                threading.Thread(
                    target=self._run, args=(key, found), name="track lookup", daemon=True
                ).start()
        return found

    def _run(self, key: tuple[str, int, Resolve], found: Future[list[Any]]) -> None:
        host, port, resolve = key
        try:
            addresses = resolve(host, port, type=socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001 - it is raised where the address is needed
            found.set_exception(error)
        else:
            found.set_result(addresses)
        finally:
            with self._lock:
                self._running.pop(key, None)


_lookups = _Lookups()
