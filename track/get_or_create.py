"""Find or create the trials that a client asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from track.errors import TrackError, TrackWarning, warn
from track.logger import TrialLogger
from track.persistence.protocol import Protocol
from track.projections.finding import latest_revision
from track.structure import Project, Trial


def insert_trial(protocol: Protocol, trial: Trial, parameters: Mapping[str, Any] | None) -> None:
    """Record a new trial with more parameters, and set its revision."""
    before, trial.parameters = trial.parameters, {**trial.parameters, **(parameters or {})}
    try:
        protocol.new_trial(trial, auto_increment=True)
    except Exception:
        trial.parameters = before  # the trial is as before the failed call
        raise


def trial_from(kwargs: dict[str, Any]) -> Trial:
    """Return a trial with the given identity: ``uid``, or ``hash`` and ``revision``."""
    names = {"hash": "_hash"}
    uid = kwargs.pop("uid", None)
    trial = Trial(**{names.get(name, name): value for name, value in kwargs.items()})
    if uid is not None:
        trial.uid = uid
    return trial


def trial_named(protocol: Protocol, name: str, project: Project | None) -> Trial:
    """Return the latest revision of the trial with a name, in the given project if any."""
    among = {} if project is None else {"project_id": project.uid}
    found = latest_revision(name, protocol.fetch_trials({"name": name, **among}))
    if found.note:
        warn(found.note, TrackWarning)
    return found.trial


def check_that_none_runs(current: TrialLogger | None) -> None:
    """Raise an error if the current trial is running."""
    if current is not None and current.is_running:
        raise TrackError(
            f"the trial {current.uid} is still running: call finish() or leave its block, "
            "or use force=True to have both"
        )
