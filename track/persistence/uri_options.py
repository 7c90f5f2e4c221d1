"""Read the options of a store from its URI and the configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from track.errors import BackendError, StorageWarning, warn
from track.journals.journal import (
    DEFAULT_LOCK_TIMEOUT,
    DEFAULT_TIMEOUT,
    Durability,
    check_durability,
)
from track.persistence.utils import check_options, parse_uri
from track.utils.mounts import network_file_system

RELAY_PORT = 8123
"""Where a server of the socket backend listens, unless its URI says otherwise."""


class LocalSettings(NamedTuple):
    """What the URI of a store on disk says, and the options that apply to it."""

    path: str
    durability: Durability
    lock_timeout_s: float


def local_settings(uri: str) -> LocalSettings:
    """Read the URI of a store on disk.

    Raises
    ------
    BackendError
        it names no file, or has an option, or a value, that is unknown
    """
    parts = parse_uri(uri)
    if not parts["path"]:
        raise BackendError(f"{uri!r} names no file: use {parts['scheme'] or 'file'}:<path>")
    given = check_options(uri, parts["query"], ("durability", "lock_timeout"))
    path = os.path.realpath(parts["path"])  # a link to a store is that store
    _warn_of_network(path)
    return LocalSettings(
        path,
        check_durability(given.get("durability", "interval")),
        seconds_of("lock_timeout", given.get("lock_timeout", DEFAULT_LOCK_TIMEOUT)),
    )


class RemoteSettings(NamedTuple):
    """What the URI of a store behind a server says, and the options that apply to it."""

    spool: str
    """The folder for what the server has not acknowledged yet."""
    durability: Durability
    timeout_s: float
    lock_timeout_s: float
    given: dict[str, str]
    """The options of the URI that this kind of store knows."""


def remote_settings(uri: str, known: Iterable[str]) -> RemoteSettings:
    """Read the URI of a store behind a server.

    Parameters
    ----------
    uri
        what to read
    known
        options of this kind of store, beside those of every one

    Raises
    ------
    BackendError
        it has an option, or a value, that is unknown
    """
    shared = ("durability", "lock_timeout", "spool", "timeout")
    given = check_options(uri, parse_uri(uri)["query"], (*shared, *known))
    return RemoteSettings(
        os.path.realpath(given.get("spool") or _state_folder()),
        check_durability(given.get("durability", "interval")),
        seconds_of("timeout", given.get("timeout", DEFAULT_TIMEOUT)),
        seconds_of("lock_timeout", given.get("lock_timeout", DEFAULT_LOCK_TIMEOUT)),
        given,
    )


def _state_folder() -> str:
    """Return where spools are kept by default, see the XDG base directory specification."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        state = os.path.expanduser("~/.local/state")
    return os.path.join(state, "track", "spool")


def spool_of(folder: str, *store: str) -> str:
    """Return the folder for the spools of one store, below that for those of all.

    Parameters
    ----------
    folder
        for all
    store
        what tells it from others; no secrets, since they become part of the name
    """
    from hashlib import blake2b

    digest = blake2b("\n".join(store).encode(), digest_size=6).hexdigest()
    readable = re.sub(r"[^\w.]+", "-", "-".join(store))[:80]
    return os.path.join(folder, f"{readable}-{digest}")


def yes_or_no(name: str, text: str | None) -> bool | None:
    """Return whether an option is on, None when it is not given.

    Raises
    ------
    BackendError
        it says something else
    """
    if text is None:
        return None
    if text.lower() not in ("yes", "no"):
        raise BackendError(f"{name}={text!r} is not known: use yes or no")
    return text.lower() == "yes"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine's loopback address."""
    from ipaddress import ip_address

    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def seconds_of(name: str, text: str | float) -> float:
    """Return the value of an option that is a number of seconds.

    Raises
    ------
    BackendError
        it is none
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise BackendError(f"{name}={text!r} is not a number of seconds")
    return seconds


_looked_at: set[str] = set()


def _warn_of_network(path: str) -> None:
    """Say, once for each folder, that a journal is where its promises do not hold."""
    folder = os.path.dirname(path)
    if folder in _looked_at or not os.path.isdir(folder):
        return
    _looked_at.add(folder)
    kind = network_file_system(folder)
    if kind is None:
        return
    warn(
        f"{folder} is on a network file system ({kind}): what processes of several machines append "
        "there can be lost or damaged, and locks may not hold. Choose a local disk, or a server "
        "for many machines (socket:, cockroach:)",
        StorageWarning,
    )
