"""The objects of an old tracker's report -> the events that make them."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, nan
from typing import Any

from track.events.codec import stream_id
from track.events.types import (
    Event,
    GroupCreated,
    ProjectCreated,
    TrialAddedToGroup,
    TrialAddedToProject,
    TrialCreated,
)
from track.persistence.checks import trial_created
from track.structure import Project, Trial

_NUMBERS = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}


def import_events(projects: list[Project]) -> Iterator[tuple[int, Event]]:
    """Yield the events, with their streams, of which the given objects are the result."""
    seen: set[str] = set()
    for project in projects:
        stream = stream_id("project", project.uid)
        yield stream, ProjectCreated(project.uid, project.description, project.metadata)
        groups = sorted(project.groups, key=lambda group: group.uid)
        for group in groups:
            yield (
                stream_id("group", group.uid),
                GroupCreated(
                    group.uid, group.name, group.description, group.metadata, group.project_id
                ),
            )
        for trial in sorted(project.trials, key=_age):
            if trial.uid not in seen:
                seen.add(trial.uid)
                yield stream_id("trial", trial.uid), _trial_event(trial)
            if trial.project_id != project.uid:
                yield stream, TrialAddedToProject(trial.uid)
        for group in groups:
            for uid in sorted(group.trials):
                yield stream_id("group", group.uid), TrialAddedToGroup(uid)


def _age(trial: Trial) -> tuple[str, int]:
    return trial.hash, int(trial.revision) if str(trial.revision).isdecimal() else 0


def _trial_event(trial: Trial) -> TrialCreated:
    trial.metrics = {name: _revive_metric(metric) for name, metric in trial.metrics.items()}
    event = trial_created(trial, trial.hash, trial.revision)
    return event._replace(metadata=trial.metadata)


def _revive_metric(metric: Any) -> Any:
    """Undo what JSON did to a metric: steps became text, and so did numbers that are not finite."""
    if isinstance(metric, list):
        return [_revive_number(value) for value in metric]
    if isinstance(metric, dict):
        steps = list(metric)
        if all(map(_is_integer, steps)):
            steps = [int(step) for step in steps]
        return {
            step: _revive_number(value) for step, value in zip(steps, metric.values(), strict=True)
        }
    return metric


def _is_integer(step: Any) -> bool:
    """Whether a step is the text of an integer."""
    return isinstance(step, str) and step.lstrip("-").isdecimal() and str(int(step)) == step


def _revive_number(value: Any) -> Any:
    return _NUMBERS.get(value, value) if isinstance(value, str) else value
