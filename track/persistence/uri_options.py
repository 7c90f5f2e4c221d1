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
"""The default port of servers."""


class LocalSettings(NamedTuple):
    """The settings of a store on disk, from its URI and the configuration."""

    path: str
    durability: Durability
    lock_timeout_s: float


def local_settings(uri: str) -> LocalSettings:
    """Read the URI of a store on disk.

    Raises
    ------
    BackendError
        the URI has no path, or an unknown option or value
    """
    parts = parse_uri(uri)
    if not parts["path"]:
        raise BackendError(f"{uri!r} has no path: use {parts['scheme'] or 'file'}:<path>")
    given = check_options(uri, parts["query"], ("durability", "lock_timeout"))
    path = os.path.realpath(parts["path"])  # links lead to the same store
    _warn_of_network(path)
    return LocalSettings(
        path,
        check_durability(given.get("durability", "interval")),
        seconds_of("lock_timeout", given.get("lock_timeout", DEFAULT_LOCK_TIMEOUT)),
    )


class RemoteSettings(NamedTuple):
    """The settings of a store behind a server, from its URI and the configuration."""

    spool: str
    """The folder for events that the server has not acknowledged."""
    durability: Durability
    timeout_s: float
    lock_timeout_s: float
    given: dict[str, str]
    """The options of this kind of store."""


def remote_settings(uri: str, known: Iterable[str]) -> RemoteSettings:
    """Read the URI of a store behind a server.

    Parameters
    ----------
    uri
        the URI
    known
        the options of this kind of store besides the common ones

    Raises
    ------
    BackendError
        the URI has an unknown option or value
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
    """Return the default folder of spools, see the XDG base directory specification."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        state = os.path.expanduser("~/.local/state")
        if not os.path.isabs(state):
            state = "/.local/state"  # a user without a home is at home in /, as in containers
    return os.path.join(state, "track", "spool")


def spool_of(folder: str, *store: str) -> str:
    """Return the folder for the spools of one store in the folder of all spools.

    Parameters
    ----------
    folder
        the folder of all spools
    store
        texts that identify the store; no secrets, since they become part of the name
    """
    from hashlib import blake2b

    digest = blake2b("\n".join(store).encode(), digest_size=6).hexdigest()
    readable = re.sub(r"[^\w.]+", "-", "-".join(store))[:80]
    return os.path.join(folder, f"{readable}-{digest}")


def yes_or_no(name: str, text: str | None) -> bool | None:
    """Return whether an option is on, None if it is not given.

    Raises
    ------
    BackendError
        the option has another value
    """
    if text is None:
        return None
    if text.lower() not in ("yes", "no"):
        raise BackendError(f"invalid {name}={text!r}: use yes or no")
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
        the value is not a number of seconds
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise BackendError(f"invalid {name}={text!r}: give a number of seconds")
    return seconds


_looked_at: set[str] = set()


def _warn_of_network(path: str) -> None:
    """Warn, once per folder, of a journal on a network file system."""
    folder = os.path.dirname(path)
    if folder in _looked_at or not os.path.isdir(folder):
        return
    _looked_at.add(folder)
    kind = network_file_system(folder)
    if kind is None:
        return
    warn(
        f"{folder} is on a network file system ({kind}), where locks may not hold, and events from "
        "several machines can be lost or damaged. Use a local disk, or a server for many machines "
        "(socket:, cockroach:)",
        StorageWarning,
    )
