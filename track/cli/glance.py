"""The contents of the verb top: rows and columns of the current store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from track.cli.listing import POINTS, attempt_lines, points_of, sampled
from track.cli.plots import plot
from track.display.columns import Column, choose_columns
from track.display.texts import UNCUT, short_uids, shown
from track.projections.trials import OWN_METADATA
from track.reader import Reader
from track.reading.summary import last_value
from track.reading.views import View
from track.structure import Trial

_HEIGHT = 8
"""The height of a plot in lines."""

_NARROWEST = 36
"""The least width of a plot including its labels, in characters."""

_LABELS = 12
"""The width of the labels beside a plot."""


class Glance(NamedTuple):
    """The trials of a store that match some conditions, as a table."""

    position: int
    """The position of the last event that was read."""
    uids: list[str]
    statuses: list[str | None]
    columns: list[Column]
    matching: int
    """The number of matching trials, including those beyond the table."""
    counts: dict[str, int]
    """The number of trials by status, without archived ones."""


def look(reader: Reader, where: Sequence[str], sort: str, count: int, width: int) -> Glance:
    """Return the current trials of a store.

    Parameters
    ----------
    reader
        the store
    where, sort, count
        as for ``track ls``
    width
        the width of the table in characters

    Raises
    ------
    QueryError
        a condition or the path to sort by is invalid
    """
    with reader.overview.glance() as now:  # it costs what changed since the last one
        chosen = now.trials(where, sort=sort if now.all else None)
        known = [summary for summary in now.all if not summary.archived]
        position = now.position
    counts = Counter(summary.status or "new" for summary in known)
    shown_ones = chosen[:count]
    uids = short_uids(summary.uid for summary in known)
    columns, _, _ = choose_columns(shown_ones, uids, width, [sort.lstrip("-")])
    return Glance(
        position,
        [summary.uid for summary in shown_ones],
        [summary.status for summary in shown_ones],
        columns,
        len(chosen),
        dict(counts),
    )


def curves(trial: Trial, width: int) -> list[str]:
    """Return plots of all metrics of a trial, side by side if they fit.

    Parameters
    ----------
    trial
        from a :class:`~track.reader.Reader`
    width
        the available width in characters
    """
    beside = max(1, min(len(trial.metrics), width // _NARROWEST))
    each = max(10, width // beside - 2)
    blocks = [_block(name, values, each) for name, values in trial.metrics.items()]
    lines: list[str] = []
    for first in range(0, len(blocks), beside):
        row = zip_longest(*blocks[first : first + beside], fillvalue="")
        lines += ["  ".join(part.ljust(each) for part in parts).rstrip() for parts in row]
        lines.append("")
    return lines


def _block(name: str, values: object, width: int) -> list[str]:
    area = max(1, width - _LABELS)
    points = points_of(sampled(values, POINTS * area))
    title = f"{shown(name, width // 2)}  {shown(last_value(values), width // 2 - 2)}"
    return [title, *(plot([points], area, _HEIGHT) if points else [])]


def facts(view: View, width: int) -> list[str]:
    """Return the other values of a trial, one per line."""
    trial = view.trial
    lines = [trial.uid, f"{view.status or 'new'}  {shown(trial.description or '', width)}".rstrip()]
    for section in ("parameters", "tags", "metadata", "chronos"):
        values = getattr(trial, section)
        if isinstance(values, Mapping):
            lines += [
                f"{section}.{shown(name, UNCUT)} = {shown(last_value(value), width)}"
                for name, value in values.items()
                if name not in OWN_METADATA
            ]
    if view.attempts:
        lines += ["attempts:", *attempt_lines(view.attempts)]
    return lines
