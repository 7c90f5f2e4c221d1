"""Divide lists of trials into pages: filtered, sorted and limited."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, NamedTuple

from track.projections.index import Known
from track.projections.objects import Objects
from track.projections.rows import summed_up
from track.projections.trials import is_part
from track.reading.summary import (
    FIELDS,
    Condition,
    TrialSummary,
    check_column,
    detach,
    matching,
    set_times,
    sort_trials,
    summarize_metric,
    sums_of,
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
        _UnreadSummary(known, names.get(known.trial.group_id), status_of)
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


class _UnreadSummary(TrialSummary):
    """A summary of a trial whose parts are read on demand.

    It becomes an ordinary summary as soon as a part of the trial's body is used.
    """

    def __init__(self, known: Known, group: str | None, status_of: StatusOf) -> None:
        trial = known.trial
        self._known, self._group, self._status_of = known, group, status_of
        self.uid, self.name, self.revision = trial.uid, trial.name, trial.revision
        self.project, self.group = trial.project_id, group or trial.group_id
        self.group_id = trial.group_id
        self.archived, self.partial = bool(known.is_archived), is_part(trial)

    def __getattr__(self, name: str) -> Any:
        if name not in FIELDS:
            raise AttributeError(f"a trial has no attribute {name!r}")
        known, own = self._known, self.__dict__
        if name == "status":
            status = self._status_of(known)
            own["status"] = None if status is None else str(status)
        elif name == "metrics":
            trial, found = known.trial, summed_up(known.trial)
            if found is None:
                found = sums_of(trial)
            own["metrics"] = found
        elif name == "curves":
            metrics = known.trial.metrics.items()
            own["curves"] = {name: summarize_metric(item) for name, item in metrics}
        else:
            self._read()
        return getattr(self, name)

    def _read(self) -> None:
        known, group, status = self._known, self._group, self._status_of(self._known)
        self.__dict__.clear()
        self.__class__ = TrialSummary  # type: ignore[assignment]
        self.__init__(known.trial, status, group, archived=bool(known.is_archived))  # type: ignore[misc]
        set_times(self, known)
