"""Trials <-> TensorBoard's runs (the extra ``tensorboard``)."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from track.errors import ImportFailed, NotRecordedWarning, warn
from track.exchange.event_files import (
    EXTRA,
    Scalar,
    number_of,
    parameters_of,
    read_events,
    write_event_file,
)
from track.exchange.optional import load
from track.exchange.recording import END_TIME, START_TIME
from track.exchange.tables import TimesByUid, cell, flatten, group_names, metric_rows
from track.projections.report import ORPHANS
from track.projections.times import TrialTimes
from track.projections.trials import LAST_CHANGE
from track.structure import Project, Status, Trial, TrialGroup

_EVENT_FILE = "events.out.tfevents"
"""What the names of TensorBoard's files contain."""

_OURS = f"{_EVENT_FILE}.0.track"
_LARGEST = 2**63


def export_tensorboard(
    trials: Iterable[Trial],
    folder: str,
    *,
    groups: Iterable[TrialGroup] = (),
    times: TimesByUid | None = None,
) -> int:
    """Write each trial as a run, in ``<project>/<group>/<uid>`` below a folder.

    Parameters
    ----------
    trials
        as ``fetch_trials`` returns them
    folder
        made if it does not exist; runs that were written there before are replaced
    groups
        to name folders after them, and not after their uids
    times
        uid -> when its values were logged, as :meth:`track.reader.Reader.times` returns it

    Returns
    -------
    The number of values that were left out since they are no numbers.

    Raises
    ------
    MissingPackage
        tensorboardX is not installed

    Notes
    -----
    Scalars are 32-bit floats, and their steps are integers: those of a list are its indexes, and
    those of a metric with any other steps (0.5, ``"first"``) are numbered 0, 1, 2 in the order
    they were logged in. Without ``times`` all have the wall time of the trial's last change, since
    that is the only one a trial keeps. Parameters become hparams, by dotted name; those that are no
    number, text or boolean are written as text.
    """
    load("tensorboardX", EXTRA)
    names = group_names(groups)
    left_out = 0
    for trial in trials:
        parts = [trial.project_id, names.get(trial.group_id, trial.group_id), trial.uid]
        parts[0] = ORPHANS if parts[0] is None else parts[0]
        run = os.path.join(folder, *(_folder_name(part) for part in parts if part is not None))
        os.makedirs(run, exist_ok=True)
        changed = trial.metadata.get(LAST_CHANGE)
        wall_time = changed if isinstance(changed, float) else time.time()
        scalars = [*_scalars(trial, wall_time, (times or {}).get(trial.uid))]
        left_out += sum(scalar is None for scalar in scalars)
        points = (scalar for scalar in scalars if scalar is not None)
        write_event_file(os.path.join(run, _OURS), points, _hparams(trial), wall_time)
    return left_out


def _folder_name(part: Any) -> str:
    """Return a name as a folder can have it, another one for each."""
    escaped = re.sub(
        r"^\.|[%/\\\0\ud800-\udfff]",
        lambda found: "%2E" if found[0] == "." else quote(found[0], "", errors="surrogatepass"),
        cell(part),
    )
    return escaped or "%"


def _scalars(trial: Trial, wall_time: float, times: TrialTimes | None) -> Iterator[Scalar | None]:
    """Yield the points of a trial, None for each value that is no number."""
    for metric, values in trial.metrics.items():
        alone = Trial(metrics={metric: values})
        rows = [*metric_rows([alone], times={alone.uid: times} if times else None)]
        steps: list[Any] = [row.place if row.step is None else row.step for row in rows]
        if not all(type(step) is int and -_LARGEST <= step < _LARGEST for step in steps):
            steps = [*range(len(rows))]
        for step, row in zip(steps, rows, strict=True):
            number = _number(row.value)
            at = wall_time if row.time is None else row.time * 1e-9
            yield None if number is None else Scalar(cell(metric), step, at, number)


def _number(value: Any) -> float | None:
    if not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _hparams(trial: Trial) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in trial.parameters.items():
        flat.update(flatten(cell(name), value))
    return {
        name: value if isinstance(value, bool) or _number(value) is not None else cell(value)
        for name, value in flat.items()
    }


# Reading


def read_tensorboard(folder: str, *, project: str | None = None) -> list[Project]:
    """Read every run below a folder: one project, in which each run is a trial.

    Parameters
    ----------
    folder
        what ``tensorboard --logdir`` is given
    project
        name of the project; the name of the folder when not given

    Returns
    -------
    The project. A run is named by its path below the folder and is in the group of the folder it
    is in; its uid follows from the names of project and run. Runs without any scalar or hparam are
    left out.

    Raises
    ------
    ImportFailed
        there is no such folder, no such run in it, or a damaged file
    MissingPackage
        tensorboardX is not installed

    Notes
    -----
    Metrics are the scalars, by step; a step that was logged again has its last value. Wall times
    of single points are not kept: those of the first and the last one are ``start_time`` and
    ``end_time`` in the metadata, and the time between is the trial's ``runtime``. hparams become
    parameters. How a run ended TensorBoard does not know: the status is ``FinishedGroup``. Texts,
    images and histograms are left out, and counted in a warning.
    """
    load("tensorboardX", EXTRA)
    if not os.path.isdir(folder):
        raise ImportFailed(f"{folder} is no folder: give the one that TensorBoard is given")
    found = Project(name=project or os.path.basename(os.path.abspath(folder)))
    groups: dict[str, TrialGroup] = {}
    for run, files in _runs(folder):
        name = run or found.uid
        trial = Trial(name=name, project_id=found.uid, status=Status.FinishedGroup)
        trial.uid = f"{trial.compute_hash()}_0"
        _read_run(trial, files)
        if not trial.metrics and not trial.parameters:
            continue
        found.trials.add(trial)
        if parent := os.path.dirname(run):
            group = groups.setdefault(parent, TrialGroup(name=parent, project_id=found.uid))
            trial.group_id = group.uid
            group.trials.add(trial.uid)
    if not found.trials:
        raise ImportFailed(f"there are no scalars of TensorBoard below {folder}")
    found.groups = set(groups.values())
    return [found]


def _runs(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the path below a folder, and the files, of each run."""
    for path, folders, names in os.walk(folder):
        folders.sort()
        files = [os.path.join(path, name) for name in sorted(names) if _EVENT_FILE in name]
        if files:
            run = os.path.relpath(path, folder).replace(os.sep, "/")
            yield "" if run == os.curdir else run, files


def _read_run(trial: Trial, files: list[str]) -> None:
    times: list[float] = []
    left_out = 0
    for event in (event for file in files for event in read_events(file)):
        for value in event.summary.value:
            parameters, number = parameters_of(value), number_of(value)
            if parameters is not None:
                trial.parameters.update(parameters)
            elif number is None:
                left_out += 1
            else:
                trial.metrics.setdefault(value.tag, {})[event.step] = number
                times.append(event.wall_time)
    if times:
        start, end = min(times), max(times)
        trial.metadata.update({START_TIME: start, END_TIME: end})
        trial.chronos["runtime"] = end - start
    if left_out:
        warn(
            f"run {trial.name}: {left_out} values that are not scalars are left out",
            NotRecordedWarning,
        )
