"""Conversion of statuses, values and names between Track and MLflow."""

from __future__ import annotations

import posixpath
import re
from hashlib import sha256
from typing import Any

from track.structure import AnyStatus, Status

TO_TRACK: dict[str, Status] = {
    "RUNNING": Status.Running,
    "SCHEDULED": Status.CreatedGroup,
    "FINISHED": Status.Completed,
    "FAILED": Status.Exception,
    "KILLED": Status.Interrupted,
}

_INTERRUPTED = Status.Interrupted.value
_WORDS = {"True": True, "False": False, "None": None}

_NAME = re.compile(r"[/\w.\- :]*")
_LONGEST_NAME = 250
_DIGITS = 8


def status_of(status: AnyStatus | None) -> str:
    """Return the name of a status in MLflow; the run of a killed process is KILLED."""
    value = 0 if status is None else status.value
    if value < Status.RunningGroup.value:
        return "SCHEDULED"
    if value < Status.ErrorGroup.value:
        return "RUNNING"
    if value >= Status.FinishedGroup.value:
        return "FINISHED"
    is_killed = value == _INTERRUPTED or value > Status.Broken.value
    return "KILLED" if is_killed else "FAILED"


def value_of(text: str) -> Any:
    """Return the original value of an MLflow parameter, which MLflow stores as text."""
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if repr(value) == text:
            return value
    return text


def name_of(name: str) -> str:
    """Return a name that MLflow accepts; a changed name ends with a digest to stay unique.

    MLflow allows letters, digits, ``_ - . : /`` and spaces, in names that are normalized paths.
    """
    if _NAME.fullmatch(name) and len(name) <= _LONGEST_NAME and _is_normal(name):
        return name
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    plain = re.sub(r"[^\w\-: ]", "_", name)[: _LONGEST_NAME - _DIGITS - 1]
    return f"{plain}-{digest}"


def _is_normal(name: str) -> bool:
    return bool(name) and posixpath.normpath(name) == name and not name.startswith((".", "/"))
