"""Export trials to TensorBoard (the extra ``tensorboard``)."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any
from urllib.parse import quote

from track.errors import EncodingError
from track.exchange.event_files import EVENT_FILE, Scalar, Writing, write_event_file
from track.exchange.media_summaries import step_of, summary_of
from track.exchange.tables import TimesByUid, cell, chunks_of, flatten, group_names, metric_rows
from track.projections.media import LoggedMedium
from track.projections.report import ORPHANS
from track.projections.times import TrialTimes
from track.projections.trials import LAST_CHANGE
from track.structure import Trial, TrialGroup

_OURS = f"{EVENT_FILE}.0.track"
_LARGEST = 2**63

MediaOf = Callable[[Trial], Iterable[tuple[LoggedMedium, bytes]]]
"""Returns the media of a trial, each with its content."""


def export_tensorboard(
    trials: Iterable[Trial],
    folder: str,
    *,
    groups: Iterable[TrialGroup] = (),
    times: TimesByUid | None = None,
    media: MediaOf | None = None,
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
    media
        returns the media of a trial, each with its content; by default, none are written

    Returns
    -------
    The number of values that were skipped because they are not numbers, and of media that
    TensorBoard cannot show.

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
    are converted to text. Of media, those are written that TensorBoard shows: pictures but SVG,
    sounds, histograms, texts and tables.
    """
    writing = Writing()
    names = group_names(groups)
    left_out = 0
    for trial in trials:
        parts = [trial.project_id, names.get(trial.group_id, trial.group_id), trial.uid]
        parts[0] = ORPHANS if parts[0] is None else parts[0]
        run = os.path.join(folder, *(folder_name(part) for part in parts if part is not None))
        os.makedirs(run, exist_ok=True)
        changed = trial.metadata.get(LAST_CHANGE)
        wall_time = changed if isinstance(changed, float) else time.time()
        scalars = _Scalars(writing, trial, wall_time, (times or {}).get(trial.uid))
        shown = _Media(writing, () if media is None else media(trial))
        records = chain(_head(writing, trial, wall_time), scalars.records(), shown.records())
        write_event_file(os.path.join(run, _OURS), records)
        left_out += scalars.left_out + shown.left_out
    return left_out


def _head(writing: Writing, trial: Trial, wall_time: float) -> Iterator[bytes]:
    yield writing.head(wall_time)
    if parameters := hparams_of(_parameters(trial)):
        yield writing.hparams(parameters, wall_time)


class _Scalars:
    """Encodes the points of a trial, and counts the values that are not numbers."""

    def __init__(
        self, writing: Writing, trial: Trial, wall_time: float, times: TrialTimes | None
    ) -> None:
        self._writing, self._trial, self._wall_time, self._times = writing, trial, wall_time, times
        self.left_out = 0

    def records(self) -> Iterator[bytes]:
        """Yield a record for each point."""
        for metric, values in self._trial.metrics.items():
            tag = cell(metric)
            for step, at, value in self._points(metric, values):
                number = _number(value)
                if number is None:
                    self.left_out += 1
                else:
                    wall_time = self._wall_time if at is None else at * 1e-9
                    yield self._writing.scalar(Scalar(tag, step, wall_time, number))

    def _points(self, metric: str, values: Any) -> Iterator[tuple[int, int | None, Any]]:
        """Yield the step, the time and the value of each point of a metric."""
        if (chunks := chunks_of(values)) is not None:
            for part in chunks:
                times = (at or None for at in part.times)
                yield from zip(part.steps, times, part.values, strict=True)
            return
        alone = Trial(metrics={metric: values})
        rows = [*metric_rows([alone], times={alone.uid: self._times} if self._times else None)]
        steps: list[Any] = [row.place if row.step is None else row.step for row in rows]
        if not all(type(step) is int and -_LARGEST <= step < _LARGEST for step in steps):
            steps = [*range(len(rows))]
        for step, row in zip(steps, rows, strict=True):
            yield step, row.time, row.value


class _Media:
    """Encodes media, and counts those that TensorBoard cannot show."""

    def __init__(self, writing: Writing, media: Iterable[tuple[LoggedMedium, bytes]]) -> None:
        self._writing, self._media = writing, media
        self.left_out = 0

    def records(self) -> Iterator[bytes]:
        """Yield a record for each medium."""
        for medium, content in self._media:
            try:
                summary = summary_of(medium, content)
            except EncodingError:
                summary = None
            if summary is None:
                self.left_out += 1
            else:
                yield self._writing.summary(summary, step_of(medium), medium.at * 1e-9)


def folder_name(part: Any) -> str:
    """Return a valid and unique folder name for a name."""
    escaped = re.sub(
        r"^\.|[%/\\\0\ud800-\udfff]",
        lambda found: "%2E" if found[0] == "." else quote(found[0], "", errors="surrogatepass"),
        cell(part),
    )
    return escaped or "%"


def _number(value: Any) -> float | None:
    if not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _parameters(trial: Trial) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in trial.parameters.items():
        flat.update(flatten(cell(name), value))
    return flat


def hparams_of(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return parameters, by dotted name, as TensorBoard keeps them: other values become text."""
    return {
        name: value if isinstance(value, bool) or _number(value) is not None else cell(value)
        for name, value in parameters.items()
    }
