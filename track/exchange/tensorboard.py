"""Export trials to TensorBoard, and import its runs (the extra ``tensorboard``)."""

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
"""The text that the names of TensorBoard's files contain."""

_OURS = f"{_EVENT_FILE}.0.track"
_LARGEST = 2**63


def export_tensorboard(
    trials: Iterable[Trial],
    folder: str,
    *,
    groups: Iterable[TrialGroup] = (),
    times: TimesByUid | None = None,
) -> int:
    """Write each trial as a run, to ``<project>/<group>/<uid>`` below a folder.

    Parameters
    ----------
    trials
        as ``fetch_trials`` returns them
    folder
        the target, created if missing; runs written there before are replaced
    groups
        the groups, to name folders after them instead of after their uids
    times
        the times of values by trial uid, as :meth:`track.reader.Reader.times` returns them

    Returns
    -------
    The number of values that were skipped because they are not numbers.

    Raises
    ------
    MissingPackage
        tensorboardX is not installed

    Notes
    -----
    Scalars are 32-bit floats with integer steps: the steps of a list are its indexes, and a metric
    with any other steps (0.5, ``"first"``) is numbered 0, 1, 2 in the order of logging. Without
    ``times``, all points have the wall time of the trial's last change, the only one that a trial
    keeps. Parameters become hparams by dotted name; those that are not a number, text or boolean
    are converted to text.
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
    """Return a valid and unique folder name for a name."""
    escaped = re.sub(
        r"^\.|[%/\\\0\ud800-\udfff]",
        lambda found: "%2E" if found[0] == "." else quote(found[0], "", errors="surrogatepass"),
        cell(part),
    )
    return escaped or "%"


def _scalars(trial: Trial, wall_time: float, times: TrialTimes | None) -> Iterator[Scalar | None]:
    """Yield the points of a trial, None for each value that is not a number."""
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
    """Read every run below a folder as a trial of one project.

    Parameters
    ----------
    folder
        the folder that is given to ``tensorboard --logdir``
    project
        the name of the project; by default the name of the folder

    Returns
    -------
    The project. A run is named by its path below the folder and belongs to the group of its parent
    folder; its uid follows from the names of project and run. Runs without scalars and hparams are
    skipped.

    Raises
    ------
    ImportFailed
        the folder does not exist, has no runs, or has a damaged file
    MissingPackage
        tensorboardX is not installed

    Notes
    -----
    Scalars become metrics by step; if a step was logged again, its last value counts. Wall times of
    single points are dropped: those of the first and the last point become ``start_time`` and
    ``end_time`` in the metadata, and the time between is the trial's ``runtime``. hparams become
    parameters. TensorBoard does not record how a run ended, so the status is ``FinishedGroup``.
    Texts, images and histograms are skipped, and counted in a warning.
    """
    load("tensorboardX", EXTRA)
    if not os.path.isdir(folder):
        raise ImportFailed(f"{folder} is not a folder: give the log folder of TensorBoard")
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
        raise ImportFailed(f"no TensorBoard scalars below {folder}: check the path")
    found.groups = set(groups.values())
    return [found]


def _runs(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the path below a folder and the files of each run."""
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
            f"run {trial.name}: {left_out} values were skipped, as they are not scalars",
            NotRecordedWarning,
        )
