"""Derive the start, the duration and the end of the attempts at a trial."""

from __future__ import annotations

from typing import Any

from track.events.types import Recorded, TrialStarted
from track.structure import Trial

_NS = 1e9


def started_at(recorded: Recorded, event: TrialStarted) -> int:
    """Return the start of a trial in nanoseconds, which may be before its event.

    The wait in the event may be invalid or impossibly long, and is ignored then.
    """
    waited = event.waited
    if not isinstance(waited, (int, float)) or not waited > 0:
        return recorded.at
    return recorded.at - int(min(waited * _NS, recorded.at))


def add_runtime(trial: Trial, elapsed: float) -> None:
    """Add the duration of an attempt to those of the earlier attempts."""
    before = trial.chronos.get("runtime")
    others = {name: chrono for name, chrono in trial.chronos.items() if name != "runtime"}
    total = elapsed + before if isinstance(before, (int, float)) else elapsed
    trial.chronos = {"runtime": total, **others}  # reports show it first


def known_failure(failure: Any) -> dict[str, str] | None:
    """Return the failure in an event, None if it is invalid, as after a redaction."""
    return failure if isinstance(failure, dict) else None
