"""Find or create the projects, groups and trials that a client asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from track.errors import NotRecordedWarning, TrackError, TrackWarning, TrialDoesNotExist, warn
from track.logger import TrialLogger
from track.persistence.protocol import Protocol
from track.projections.finding import latest_revision
from track.projections.report import ORPHANS
from track.structure import Project, Trial, TrialGroup


def project_like(protocol: Protocol, wanted: Project, *, get_only: bool) -> Project:
    """Return a project, creating it if it is missing, unless ``get_only``."""
    if not wanted.name:
        raise AssertionError("a project needs a name: set_project(name=…)")
    if not get_only:
        return protocol.new_project(wanted)
    found = protocol.get_project(wanted)
    if found is None:
        raise RuntimeError(
            f"the project {wanted.name!r} does not exist: create it, or omit get_only"
        )
    return found


def group_like(protocol: Protocol, wanted: TrialGroup, *, get_only: bool) -> TrialGroup:
    """Return a group, creating it if it is missing, unless ``get_only``."""
    if not get_only:
        found = protocol.new_trial_group(wanted) or protocol.get_trial_group(wanted)
        assert found is not None  # it was inserted, or existed before
        return found
    # The environment may name the group by its uid.
    found = protocol.get_trial_group(wanted) or protocol.get_trial_group(
        TrialGroup(_uid=wanted.name)
    )
    if found is None:
        raise RuntimeError(
            f"the trial group {wanted.name!r} does not exist: create it, or omit get_only"
        )
    return found


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


def existing_trial(protocol: Protocol, wanted: Trial) -> Trial:
    """Return a trial as recorded in the store.

    Raises
    ------
    TrialDoesNotExist
        the trial is not in the store, or is archived
    """
    for found in protocol.get_trial(wanted) or ():
        if found.uid == wanted.uid:
            return found
    raise TrialDoesNotExist(
        f"no trial {wanted.uid} in this store; if it is archived, restore it first"
    )


def check_that_none_runs(current: TrialLogger | None) -> None:
    """Raise an error if the current trial is running."""
    if current is not None and current.is_running:
        raise TrackError(
            f"the trial {current.uid} is still running: call finish() or leave its block, "
            "or use force=True to have both"
        )


def warn_that_it_stays(kind: str, name: Any) -> None:
    """Warn that the project or group remains another one than the script asked for."""
    why = ", which was used because none was set" if name == ORPHANS else ""
    warn(
        f"the {kind} is still {name!r}{why}: call set_{kind} before anything else, or use "
        "force=True to change it from now on",
        NotRecordedWarning,
    )


def warn_of_trial_outside(current: TrialLogger | None, group: TrialGroup) -> None:
    """Warn that a group was set too late for the current trial."""
    if current is not None and not current.is_delayed and not current.is_over:
        warn(
            f"the current trial already exists outside the group {group.name!r}: call "
            "set_group before new_trial",
            NotRecordedWarning,
        )
