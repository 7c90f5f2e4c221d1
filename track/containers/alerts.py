"""Define what a trial tells people: alerts, as they are kept with its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

ALERTS = "_alerts"
"""The key of a trial's alerts in its metadata, which the storage maintains."""

MOST_ALERTS = 100
"""The number of latest alerts that are kept with a trial; its events have all of them."""

LEVELS = ("info", "warning", "error")
"""The levels of alerts, the least serious first."""

_ALIASES = {"warn": "warning"}


class Alert(NamedTuple):
    """A message of a trial to people.

    Attributes
    ----------
    at
        when it was raised, in nanoseconds since 1970-01-01 UTC
    level
        ``info``, ``warning`` or ``error``
    title, text
        what happened: in one line, and in more words, which may be missing
    """

    at: int
    level: str
    title: str
    text: str = ""


def check_level(level: Any) -> str:
    """Return the level that a word means: ``WARN`` means ``warning``.

    Raises
    ------
    ValueError
        the level is unknown
    """
    # Scripts of other tools pass members of an enumeration.
    word = str(getattr(level, "value", level)).lower()
    word = _ALIASES.get(word, word)
    if word not in LEVELS:
        raise ValueError(f"unknown level {level!r} of an alert: use one of {', '.join(LEVELS)}")
    return word


def with_alert(metadata: Mapping[str, Any], alert: Alert) -> list[list[Any]]:
    """Return the alerts to keep once another one is raised."""
    return [*_kept(metadata), [*alert]][-MOST_ALERTS:]


def alerts_in(metadata: Mapping[str, Any]) -> list[Alert]:
    """Return the alerts that are kept with a trial's metadata, oldest first."""
    return [Alert(*values) for values in _kept(metadata)]


def _kept(metadata: Mapping[str, Any]) -> list[list[Any]]:
    """Return the valid alerts, since a client may write anything into the metadata of a trial."""
    kept = metadata.get(ALERTS)
    if not isinstance(kept, list):
        return []
    return [one for one in kept if isinstance(one, list) and len(one) == len(Alert._fields)]
