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
from track.exchange.numbers import float_of, is_int64
from track.exchange.tables import (
    LoggedMetric,
    TimesByUid,
    cell,
    flat_parameters,
    group_names,
    logged_metrics,
)
from track.projections.media import LoggedMedium
from track.projections.report import ORPHANS
from track.projections.trials import LAST_CHANGE
from track.structure import Trial, TrialGroup

_OURS = f"{EVENT_FILE}.0.track"

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
    trials, groups, times
        as for :func:`track.exchange.tables.metric_rows`
    folder
        the target, created if missing; runs written there before are replaced
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
        encoder = _Encoder(writing, wall_time)
        records = chain(
            encoder.head(trial),
            encoder.scalars(logged_metrics([trial], times=times)),
            encoder.media(() if media is None else media(trial)),
        )
        write_event_file(os.path.join(run, _OURS), records)
        left_out += encoder.left_out
    return left_out


class _Encoder:
    """Encodes a trial, and counts what TensorBoard cannot show."""

    def __init__(self, writing: Writing, wall_time: float) -> None:
        self._writing, self._wall_time = writing, wall_time
        self.left_out = 0

    def head(self, trial: Trial) -> Iterator[bytes]:
        """Yield the first records, with the parameters."""
        yield self._writing.head(self._wall_time)
        if parameters := hparams_of(flat_parameters(trial.parameters)):
            yield self._writing.hparams(parameters, self._wall_time)

    def scalars(self, metrics: Iterable[LoggedMetric]) -> Iterator[bytes]:
        """Yield a record for each number."""
        for metric in metrics:
            tag = cell(metric.labels[-1])
            for step, at, value in _points(metric):
                number = float_of(value)
                if number is None:
                    self.left_out += 1
                else:
                    wall_time = self._wall_time if at is None else at * 1e-9
                    yield self._writing.scalar(Scalar(tag, step, wall_time, number))

    def media(self, media: Iterable[tuple[LoggedMedium, bytes]]) -> Iterator[bytes]:
        """Yield a record for each medium."""
        for medium, content in media:
            try:
                summary = summary_of(medium, content)
            except EncodingError:
                summary = None
            if summary is None:
                self.left_out += 1
            else:
                yield self._writing.summary(summary, step_of(medium), medium.at * 1e-9)


def _points(metric: LoggedMetric) -> Iterator[tuple[int, int | None, Any]]:
    """Yield the step, the time and the value of each point; points without steps are numbered."""
    if (chunks := metric.chunks()) is not None:
        for part in chunks:
            yield from zip(part.steps, (at or None for at in part.times), part.values, strict=True)
        return
    rows = [*metric.rows()]
    steps: list[Any] = [row.place if row.step is None else row.step for row in rows]
    if not all(map(is_int64, steps)):
        steps = [*range(len(rows))]
    for step, row in zip(steps, rows, strict=True):
        yield step, row.time, row.value


def folder_name(part: Any) -> str:
    """Return a valid and unique folder name for a name."""
    escaped = re.sub(
        r"^\.|[%/\\\0\ud800-\udfff]",
        lambda found: "%2E" if found[0] == "." else quote(found[0], "", errors="surrogatepass"),
        cell(part),
    )
    return escaped or "%"


def hparams_of(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return parameters, by dotted name, as TensorBoard keeps them: other values become text."""
    return {
        name: value if isinstance(value, bool) or float_of(value) is not None else cell(value)
        for name, value in parameters.items()
    }
