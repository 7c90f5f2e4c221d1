"""Export trials as CSV, objects as JSON and events as JSON lines, and read a report back.

Pass files opened in text mode; for CSV with ``newline=""``, as :mod:`csv` requires.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from typing import Any, TextIO

from track.containers.points import Points
from track.events.types import Recorded
from track.exchange.tables import (
    METRIC_COLUMNS,
    TIMES,
    TimesByUid,
    cell,
    logged_metrics,
    trial_rows,
)
from track.moment import time_text
from track.projections.copies import copy_project
from track.projections.objects import Objects
from track.projections.projection import catch_up
from track.projections.report import dumps, render_trial
from track.serialization import to_json
from track.stores.readonly import journal_of_report
from track.structure import Project, Trial, TrialGroup

_NO_NUMBERS = {"nan", "inf", "-inf"}


def export_csv(
    trials: Iterable[Trial],
    file: TextIO,
    *,
    groups: Iterable[TrialGroup] = (),
    times: TimesByUid | None = None,
) -> int:
    """Write each value of each metric as a row.

    The columns are trial, project, group, metric, step, index, value and time.

    Parameters
    ----------
    trials, groups, times
        as for :func:`track.exchange.tables.metric_rows`
    file
        the file to write to

    Returns
    -------
    The number of values.

    Notes
    -----
    A value logged with a step has no index, a value of a list has no step, and a statistic has its
    name as step. Times are ISO 8601 in UTC, empty without ``times``. Cells are written by
    :func:`track.exchange.tables.cell`.
    """
    writer = csv.writer(file)
    writer.writerow(METRIC_COLUMNS)
    count = 0
    for metric in logged_metrics(trials, groups, times):
        chunks = metric.chunks()
        if chunks is None:
            for row in metric.rows():
                writer.writerow(map(cell, (*row[:-1], _time(row.time))))
                count += 1
            continue
        begin = _line(metric.labels)
        for points in chunks:
            file.writelines(_lines(begin, points))
            count += len(points.steps)
    return count


def _line(cells: Iterable[Any]) -> str:
    """Return the first cells of a line, quoted where they have to be."""
    line = StringIO(newline="")
    csv.writer(line, lineterminator=",").writerow(map(cell, cells))
    return line.getvalue()


def _lines(begin: str, points: Points) -> Iterator[str]:
    """Yield a line for each point of a series, which is ten times as fast as from its row."""
    exact = points.exact_values()
    values = [*map(repr, exact)]
    if not _NO_NUMBERS.isdisjoint(values):
        values = [*map(cell, exact)]
    for step, value, at in zip(points.steps, values, points.times, strict=True):
        yield f"{begin}{step},,{value},{time_text(at) if at else ''}\r\n"


def export_trials_csv(
    trials: Iterable[Trial],
    file: TextIO,
    *,
    groups: Iterable[TrialGroup] = (),
    times: TimesByUid | None = None,
) -> int:
    """Write each trial as a row, see :func:`track.exchange.tables.trial_rows` for its columns.

    Returns
    -------
    The number of trials.
    """
    columns, rows = trial_rows(trials, groups, times)
    for row in rows:
        row.update((name, _time(row[name])) for name in TIMES)
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows([cell(row.get(column)) for column in columns] for row in rows)
    return len(rows)


def _time(at_ns: int | None) -> str | None:
    return None if at_ns is None else time_text(at_ns)


def export_json(objects: Iterable[Project | TrialGroup | Trial], file: TextIO) -> int:
    """Write objects as a JSON list, in the form of the report.

    A list of projects is a report: :func:`read_report` reads it, and Track opens it.

    Returns
    -------
    The number of objects in the list.
    """
    count = 0
    file.write("[")
    for count, obj in enumerate(objects, 1):
        file.write(",\n" if count > 1 else "\n")
        file.writelines(render_trial(obj) if isinstance(obj, Trial) else [dumps(to_json(obj))])
    file.write("\n]\n" if count else "]\n")
    return count


def export_events(
    events: Iterable[Recorded],
    file: TextIO,
    *,
    trial_of: Callable[[Recorded], str | None] | None = None,
) -> int:
    """Write each event as a line of JSON.

    Its keys are ``position``; ``at``, ISO 8601 in UTC with nanoseconds; ``producer``, 16
    hexadecimal digits; ``sequence``; ``stream``, 16 hexadecimal digits; ``type``, the name of its
    class in :mod:`track.events.types`; and ``fields``, by name. Values are written as in the report
    (:func:`track.projections.report.plain`): NaN and the infinities as ``"NaN"``, ``"Infinity"``
    and ``"-Infinity"``, bytes in base64, datetimes as seconds since 1970-01-01, dates and UUIDs as
    text, tuples as lists, and keys as text.

    Parameters
    ----------
    events
        the events to write
    file
        the file to write to
    trial_of
        returns the uid of the trial that an event belongs to, None if it belongs to none;
        it adds a ``trial`` to each line

    Returns
    -------
    The number of events.
    """
    count = 0
    for recorded in events:
        line = {
            "position": recorded.position,
            "at": time_text(recorded.at),
            "producer": f"{recorded.producer:016x}",
            "sequence": recorded.sequence,
            "stream": f"{recorded.stream:016x}",
            "type": type(recorded.event).__name__,
            "fields": recorded.event._asdict(),
        }
        if trial_of is not None:
            line["trial"] = trial_of(recorded)
        file.write(dumps(line) + "\n")
        count += 1
    return count


def read_report(path: str) -> list[Project]:
    """Read a report of Track, or of an old tracker whose report has the same form.

    Raises
    ------
    NotAReport
        the file cannot be read, is not a report, or is inconsistent
    """
    objects = Objects()
    catch_up(objects, journal_of_report(path))
    return [*map(copy_project, objects.projects.values())]
