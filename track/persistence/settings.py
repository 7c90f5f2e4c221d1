"""What a store on disk is told: by its URI, and by options that apply to every store."""

from __future__ import annotations

import os
from typing import NamedTuple

from track.configuration import options
from track.errors import BackendError
from track.events.journal import DEFAULT_LOCK_TIMEOUT, Durability, check_durability
from track.persistence.utils import check_options, parse_uri


class LocalSettings(NamedTuple):
    """What the URI of a store on disk says, and the options that apply to it."""

    path: str
    durability: Durability
    lock_timeout_s: float
    forgiving: bool
    """Whether ``log.on_error`` turns failed writes into warnings."""


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
    return LocalSettings(
        os.path.realpath(parts["path"]),  # a link to a store is that store
        check_durability(given.get("durability", "interval")),
        _seconds("lock_timeout", given.get("lock_timeout", DEFAULT_LOCK_TIMEOUT)),
        _is_forgiving(),
    )


def _seconds(name: str, text: str | float) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise BackendError(f"{name}={text!r} is not a number of seconds")
    return seconds


def _is_forgiving() -> bool:
    choice = options("log.on_error", "raise")
    if choice not in ("raise", "warn"):
        raise BackendError(f"log.on_error (TRACK_LOG_ON_ERROR) is {choice!r}: use raise or warn")
    return bool(choice == "warn")
