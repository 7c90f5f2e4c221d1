"""Derive the start, the duration and the end of the attempts at a trial."""

from __future__ import annotations

from typing import Any

from track.events.types import Recorded, TrialStarted
from track.structure import Trial

_NS = 1e9


def started_at(recorded: Recorded, event: TrialStarted) -> int:
    """Return when a trial started, which may be recorded later, in nanoseconds.

    What an event says is not to be trusted: a wait that is none, or longer than time, is left out.
    """
    waited = event.waited
    if not isinstance(waited, (int, float)) or not waited > 0:
        return recorded.at
    return recorded.at - int(min(waited * _NS, recorded.at))


def add_runtime(trial: Trial, elapsed: float) -> None:
    """Add how long an attempt took to what the attempts before it took."""
    before = trial.chronos.get("runtime")
    others = {name: chrono for name, chrono in trial.chronos.items() if name != "runtime"}
    total = elapsed + before if isinstance(before, (int, float)) else elapsed
    trial.chronos = {"runtime": total, **others}  # reports show it first


def known_failure(failure: Any) -> dict[str, str] | None:
    """Return what an event says of a failure; a redaction may leave something else in its place."""
    return failure if isinstance(failure, dict) else None
