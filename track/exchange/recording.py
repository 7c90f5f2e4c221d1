"""Record projects of another tool in a store, except what the store already has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from typing import Any, NamedTuple

from track.errors import ImportFailed, TrackError
from track.events.codec import MAX_BODY
from track.events.types import Event, GroupCreated, ProjectCreated, TrialCreated
from track.events.values import check_depth, pack_values
from track.persistence.protocol import Protocol
from track.projections.copies import to_plain
from track.projections.validation import check_dictionaries, check_uid, trial_created
from track.structure import Project, Trial, TrialGroup
from track.utils.progress import Progress, no_progress, with_progress

_START_TIME = "start_time"
"""The metadata key of an imported trial's start, in seconds since 1970-01-01."""


class Added(NamedTuple):
    """The numbers of objects that an import added to a store."""

    projects: int
    groups: int
    trials: int


def import_projects(
    store: Protocol, projects: Iterable[Project], *, progress: Progress = no_progress
) -> Added:
    """Record projects, with their groups and trials, in a store.

    Objects whose uid is already in the store are skipped, so nothing is added twice and repeating
    an interrupted import completes it.

    Parameters
    ----------
    store
        an opened backend
    projects
        projects as the reading functions of this package return them
    progress
        called after each trial

    Returns
    -------
    The numbers of projects, groups and trials that were added.

    Raises
    ------
    ImportFailed
        something cannot be recorded; nothing was recorded at all
    """
    projects = [*projects]
    large = _check(store, projects)
    new_projects = new_groups = 0
    new_trials = set()
    for project in projects:
        fresh = Project(
            name=project.uid, description=project.description, metadata=to_plain(project.metadata)
        )
        new_projects += store.new_project(fresh) is fresh
    for group in _groups(projects):
        new_groups += store.new_trial_group(group) is not None
    for trial in with_progress(_trials(projects), progress):
        if _add_trial(store, trial, large=trial.uid in large):
            new_trials.add(trial.uid)
    _add_members(store, projects, new_trials)
    store.commit()
    return Added(new_projects, new_groups, len(new_trials))


# Before anything is recorded


def _check(store: Protocol, projects: list[Project]) -> set[str]:
    """Check that everything can be recorded, and return the uids of trials that are too large.

    Such trials fit into one event only if their metrics are logged separately.
    """
    large = set()
    try:
        for event in _events(projects):
            if isinstance(event, TrialCreated) and _packed_size(event) > MAX_BODY:
                large.add(f"{event.hash}_{event.revision}")
                _check_size(event._replace(metrics=_bare(event.metrics)))
            else:
                _check_size(event)
        _check_parents(store, projects)
    except ImportFailed:
        raise
    except (TrackError, AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ImportFailed(f"these projects cannot be imported: {error}") from error
    return large


def _events(projects: list[Project]) -> Iterator[Event]:
    """Yield the events that create the given objects."""
    for project in projects:
        check_dictionaries("project", project, "metadata")
        yield ProjectCreated(project.uid, project.description, project.metadata)
    for group in _groups(projects):
        check_dictionaries("trial group", group, "metadata")
        yield GroupCreated(
            group.uid, group.name, group.description, group.metadata, group.project_id
        )
    for trial in _trials(projects):
        yield trial_created(trial, trial.hash, trial.revision)


def _check_size(event: Event) -> None:
    size = _packed_size(event)
    if size > MAX_BODY:
        raise ImportFailed(
            f"{type(event).__name__} has {size} bytes even without its metrics, more than the "
            f"limit of {MAX_BODY}: shorten its metadata or parameters"
        )


def _packed_size(event: Event) -> int:
    fields, names = [*event], type(event)._fields
    size = len(pack_values(fields, names))
    check_depth(fields, names)
    return size


def _check_parents(store: Protocol, projects: list[Project]) -> None:
    known = {check_uid("project", project.uid) for project in projects}
    groups = {check_uid("trial group", group.uid) for group in _groups(projects)}
    children: list[Trial | TrialGroup] = [*_groups(projects), *_trials(projects)]
    for name in dict.fromkeys(child.project_id for child in children):
        if name not in {None, *known} and store.get_project(Project(name=name)) is None:
            raise _no_parent("project", name)
    for uid in dict.fromkeys(trial.group_id for trial in _trials(projects)):
        if uid not in {None, *groups} and store.get_trial_group(TrialGroup(_uid=uid)) is None:
            raise _no_parent("trial group", uid)


def _no_parent(kind: str, uid: Any) -> ImportFailed:
    return ImportFailed(
        f"the {kind} {uid!r} is referred to, but neither in the store nor among the imported "
        "objects: create it first"
    )


# One by one


def _groups(projects: list[Project]) -> list[TrialGroup]:
    return [
        group for project in projects for group in sorted(project.groups, key=lambda one: one.uid)
    ]


def _trials(projects: list[Project]) -> list[Trial]:
    """Return each trial once, oldest first as far as their ages are known."""
    trials = {trial.uid: trial for project in projects for trial in project.trials}
    return sorted(trials.values(), key=_age)


def _age(trial: Trial) -> tuple[float, str, int]:
    start, revision = trial.metadata.get(_START_TIME), str(trial.revision)
    return (
        start if isinstance(start, (int, float)) else 0.0,
        trial.hash,
        int(revision) if revision.isdecimal() else 0,
    )


def _add_trial(store: Protocol, trial: Trial, *, large: bool) -> bool:
    """Record a trial unless it exists; return whether it was recorded."""
    fresh = copy(trial)
    fresh.metadata = to_plain(trial.metadata)
    if large:
        fresh.metrics = _bare(trial.metrics)
    is_new = store.new_trial(fresh) is not None
    if large:
        _log_what_is_missing(store, trial)
    return is_new


def _bare(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics that cannot be logged value by value."""
    return {
        name: values for name, values in metrics.items() if not isinstance(values, (dict, list))
    }


def _log_what_is_missing(store: Protocol, trial: Trial) -> None:
    (stored,) = store.fetch_trials({"uid": trial.uid})
    sink = store.metrics_sink(stored)
    for name, values in trial.metrics.items():
        for step, value in _missing(values, stored.metrics.get(name, ())):
            sink(step, None, {name: value})


def _missing(values: Any, there: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(values, dict):
        yield from ((step, value) for step, value in values.items() if step not in there)
    elif isinstance(values, list):
        yield from ((None, value) for value in values[len(there) :])


def _add_members(store: Protocol, projects: list[Project], new: set[str]) -> None:
    """Add trials to further projects and groups than those in which they were created."""
    trials = {trial.uid: trial for trial in _trials(projects)}
    for project in projects:
        guests = {
            trial.uid
            for trial in project.trials
            if trial.uid not in new or trial.project_id != project.uid
        }
        found = store.get_project(project) if guests else None
        if found is not None:
            for uid in sorted(guests - {trial.uid for trial in found.trials}):
                store.add_project_trial(project, trials[uid])
    for group in _groups(projects):
        members = trials.keys() & group.trials  # a report may refer to missing trials
        in_store = store.get_trial_group(group) if members else None
        if in_store is not None:
            for uid in sorted(members - in_store.trials):
                store.add_group_trial(group, trials[uid])
