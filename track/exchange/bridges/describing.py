"""Descriptions of the current state of a trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from track.exchange.bridges.contract import Description
from track.exchange.tables import cell, flat_parameters
from track.persistence.journaled import JournaledProtocol
from track.projections.copies import to_plain
from track.projections.index import Known
from track.projections.objects import Objects
from track.projections.report import ORPHANS
from track.projections.rows import changed_at
from track.projections.trials import OWN_METADATA
from track.structure import AnyStatus, Status


def describe(store: JournaledProtocol, uid: str) -> Description | None:
    """Return the current description of a trial, None if it is archived or gone."""
    with store.read_state() as objects:
        trial = objects.trials.get(uid)
        known = None if trial is None else objects.known(trial)
        if trial is None or known is None or known.is_archived is not False:
            return None
        status = store.repository.status_in(objects, trial)
        started, ended = span_of(known)
        return Description(
            uid=uid,
            name=None if trial.name is None else cell(trial.name),
            description=None if trial.description is None else cell(trial.description),
            version=trial.version,
            project=ORPHANS if trial.project_id is None else cell(trial.project_id),
            group=_group_name(objects, trial.group_id),
            parameters=flat_parameters(_named(trial.parameters)),
            tags=_named(trial.tags),
            metadata={
                name: value
                for name, value in _named(trial.metadata).items()
                if name not in OWN_METADATA
            },
            status=status,
            is_over=is_over(status),
            started_ns=started,
            ended_ns=ended if is_over(status) else None,
        )


def span_of(known: Known) -> tuple[int | None, int | None]:
    """Return when a trial started, and when it ended if it has ended.

    Without a recorded start and end, these are its creation and its last change.
    """
    attempts = [] if known.attempts is None else known.attempts.found
    started = attempts[0].started_at if attempts else known.created
    ended = attempts[-1].finished_at if attempts else None
    changed = changed_at(known.trial)
    if ended is None and changed is not None:
        ended = round(changed * 1e6) * 1000
    return started, ended


def is_over(status: AnyStatus | None) -> bool:
    """Return whether a trial with this status has ended; it may still be resumed."""
    return status is not None and status.value >= Status.ErrorGroup.value


def _group_name(objects: Objects, uid: Any) -> str | None:
    group = objects.groups.get(uid)
    return None if uid is None else cell(uid if group is None else group.name or uid)


def _named(values: Any) -> dict[str, Any]:
    """Return plain values by name; tags of old trackers may be a list."""
    plain = to_plain(values)
    if isinstance(plain, Mapping):
        return {cell(name): value for name, value in plain.items()}
    return {cell(name): "" for name in plain or ()}
