"""Copy objects into plain containers that callers may change."""

from __future__ import annotations

from copy import copy, deepcopy
from typing import Any

from track.aggregators.aggregator import Aggregator
from track.containers.series import StepSeries
from track.projections.series import Series
from track.structure import Project, Trial, TrialGroup


def copy_trial(trial: Trial) -> Trial:
    """Return a copy of a trial: metrics become lists and dictionaries, chronos are copied."""
    copied = Trial(
        trial._hash,
        trial.revision,
        trial.name,
        trial.description,
        to_plain(trial.tags),
        trial.version,
        trial.group_id,
        trial.project_id,
        to_plain(trial.parameters),
        to_plain(trial.metadata),
        to_plain(trial.metrics),
        deepcopy(trial.chronos),
        trial.status,
        list(trial.errors),
    )
    copied.failure = to_plain(trial.failure)
    return copied


def view_trial(trial: Trial) -> Trial:
    """Return a copy of a trial whose metrics are views: :class:`~track.projections.series.Series`.

    Points are read when they are used.
    """
    twin = copy(trial)
    metrics, twin.metrics = trial.metrics, {}
    twin = copy_trial(twin)
    twin.metrics = {
        name: Series.of(metric) if isinstance(metric, StepSeries) else to_plain(metric)
        for name, metric in metrics.items()
    }
    return twin


def copy_group(group: TrialGroup) -> TrialGroup:
    """Return a copy of a group with the uids of its trials."""
    return TrialGroup(
        group._uid,
        group.name,
        group.description,
        to_plain(group.metadata),
        set(group.trials),
        group.project_id,
    )


def copy_project(project: Project) -> Project:
    """Return a copy of a project with copies of its groups and trials."""
    return Project(
        name=project.name,
        description=project.description,
        metadata=to_plain(project.metadata),
        groups={copy_group(group) for group in project.groups},
        trials={copy_trial(trial) for trial in project.trials},
    )


def to_plain(value: Any) -> Any:
    """Copy a value into plain containers."""
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        # Metrics without steps are long lists of numbers.
        is_plain = {*map(type, value)} <= {float, int}
        return value.copy() if is_plain else [to_plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(map(to_plain, value))
    if isinstance(value, (StepSeries, Series)):
        return value.to_dict()
    if isinstance(value, Aggregator):
        return value.to_json(short=True)
    return value
