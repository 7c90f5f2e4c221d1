"""Create a trial from its event, or the part of it that is still readable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import copy
from typing import Any

from track.aggregators.aggregator import StatAggregator
from track.containers.alerts import ALERTS
from track.containers.points import Stamp
from track.containers.series import StepSeries
from track.events.codec import stream_id
from track.events.types import MetricsLogged, Recorded, TrialCreated
from track.projections.artifacts import ARTIFACTS
from track.projections.definitions import DEFINITIONS
from track.projections.runs import known_failure
from track.structure import Trial, get_status

UPDATE_COUNT, LAST_CHANGE = "_update_count", "_last_change"
OWN_METADATA = frozenset({UPDATE_COUNT, LAST_CHANGE, ALERTS, ARTIFACTS, DEFINITIONS})
"""The metadata keys that the storage maintains."""

PART = "partial"
"""The revision of a partial trial."""

_PART_UID = re.compile(f"[0-9a-f]{{16}}_{PART}")


def is_part(trial: Trial) -> bool:
    """Return whether only part of a trial is left, because its creation cannot be read.

    Such a trial has only what was recorded later, and a uid made from its stream.
    """
    return trial.revision == PART


def stream_of(uid: str) -> int:
    """Return the stream of a trial or of a partial trial."""
    return int(uid[:16], 16) if _PART_UID.fullmatch(uid) else stream_id("trial", uid)


def measured_at(recorded: Recorded, event: MetricsLogged) -> int:
    """Return when logged values were measured: the time in the event, or else that of the event."""
    return event.at if isinstance(event.at, int) and event.at >= 0 else recorded.at


def calls_in(recorded: Recorded) -> Iterator[tuple[int, Any, dict[Any, Any]]]:
    """Yield the time, the step and the values of each call that logged metrics to a trial.

    Metrics that the trial had from the start count as a call for each value; steps are counted in
    those without.
    """
    event = recorded.event
    if isinstance(event, MetricsLogged):
        yield measured_at(recorded, event), event.step, event.values
    elif isinstance(event, TrialCreated):
        for name, metric in event.metrics.items():
            values = metric if isinstance(metric, (dict, list)) else [metric]
            steps = values.items() if isinstance(values, dict) else enumerate(values)
            for step, value in steps:
                yield recorded.at, step, {name: value}


def trial_of(event: TrialCreated, stamp: Stamp = Stamp()) -> Trial:  # noqa: B008 - a tuple
    """Return the trial as it was created."""
    # The event has the fields of the trial in order; copies keep it independent of the trial.
    fields: list[Any] = [copy(field) for field in event]
    failure = fields.pop()
    trial = Trial(*fields)
    trial.status = None if event.status is None else get_status(*event.status)
    trial.failure = known_failure(failure)
    if not isinstance(trial.metadata.get(UPDATE_COUNT), int):
        trial.metadata[UPDATE_COUNT] = 0
    trial.metrics = {name: _revive_metric(metric, stamp) for name, metric in trial.metrics.items()}
    trial.chronos = {name: _revive_chrono(chrono) for name, chrono in trial.chronos.items()}
    return trial


def _revive_metric(metric: Any, stamp: Stamp) -> Any:
    return StepSeries(metric.items(), stamp) if isinstance(metric, dict) else copy(metric)


def _revive_chrono(chrono: Any) -> Any:
    stored = isinstance(chrono, dict) and chrono.get("dtype") == "statstream"
    return StatAggregator.from_json(chrono) if stored else chrono
