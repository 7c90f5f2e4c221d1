"""Divide lists of trials into pages: filtered, sorted and limited."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import NamedTuple

from track.projections.index import Known
from track.projections.objects import Objects
from track.reading.summary import (
    Condition,
    TrialSummary,
    UnreadSummary,
    check_column,
    detach,
    matching,
    sort_trials,
)
from track.structure import AnyStatus

StatusOf = Callable[[Known], AnyStatus | None]


class Page(NamedTuple):
    """Holds a page of the matching trials of a store.

    Attributes
    ----------
    position
        the position of the last event that was read
    total
        the number of matching trials
    trials
        the trials of the page in order
    uids
        the uids of all trials in the store, including archived ones
    """

    position: int
    total: int
    trials: list[TrialSummary]
    uids: list[str]


def page_of(
    objects: Objects,
    status_of: StatusOf,
    where: Iterable[Condition] = (),
    *,
    sort: str | None = None,
    offset: int = 0,
    limit: int | None = None,
    archived: bool | None = False,
    columns: Iterable[str] = (),
) -> Page:
    """Return a page of the trials among some objects, see :meth:`track.reader.Reader.summaries`.

    Parameters
    ----------
    objects
        all objects
    status_of
        returns the status of a trial
    where, sort, offset, limit, archived, columns
        as for that method
    """
    names = {group.uid: group.name for group in objects.groups.values()}
    summaries: list[TrialSummary] = [
        UnreadSummary(known, names.get(known.trial.group_id), partial(status_of, known))
        for known in objects.known_trials()
        if known.is_archived is not None
    ]
    uids = [summary.uid for summary in summaries]
    for path in columns:
        check_column(path, f"no trial in this store has {path!r}", summaries)
    candidates = (one for one in summaries if archived is None or one.archived is archived)
    found = [*matching(candidates, where, summaries)]
    if sort:
        found = sort_trials(found, sort, summaries)
    chosen = [*islice(found, offset, None if limit is None else offset + limit)]
    for summary in chosen:
        detach(summary)
    return Page(objects.position, len(found), chosen, uids)
