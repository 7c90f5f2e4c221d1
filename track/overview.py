"""All trials of a store at a glance, now or at a moment, at the cost of what is looked at."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from track.containers.series import StepSeries
from track.errors import TrialDoesNotExist
from track.journals.producer import Producer
from track.moment import Moment, When, to_moment
from track.persistence.journaled import JournaledProtocol
from track.persistence.repository import LocalRepository
from track.projections.copies import to_plain, view_trial
from track.projections.finding import find_trial
from track.projections.objects import Objects
from track.projections.query import check_paths
from track.projections.series import Series
from track.projections.trials import LAST_CHANGE, UPDATE_COUNT, stream_of
from track.structure import AnyStatus, Trial
from track.trial_summary import (
    MetricSummary,
    TrialSummary,
    check_column,
    matching,
    sort_trials,
    summarize_metric,
    to_condition,
)
from track.utils.process import ProcessId
from track.views import View, attempts_in, facts_of_process, process_of, views_of

_FRESH_S = 1.0
"""For so long it is not asked again which trials are lost."""


class Overview:
    """All trials of a store at a glance, kept between calls: a call costs what changed.

    Parameters
    ----------
    protocol
        the backend of the store. Events of a server are folded here, so that only new ones travel
    """

    def __init__(self, protocol: JournaledProtocol) -> None:
        self._protocol = protocol
        repository = protocol.repository
        if not isinstance(repository, LocalRepository):
            repository = LocalRepository(protocol.journal, Producer(protocol.journal))
        self._repository = repository
        self._turn = threading.RLock()
        self._summaries: dict[Any, TrialSummary] = {}
        self._kept: tuple[int, float, list[TrialSummary]] | None = None
        """Position, when it was made, and all trials as they are now."""
        self._facts: dict[ProcessId, dict[str, Any]] = {}

    @contextmanager
    def glance(self, at: When = None) -> Iterator[Glance]:
        """Give all there is now, or at a moment; nobody else touches it meanwhile."""
        moment = to_moment(at)
        with self._turn, self._repository.read_state() as now:
            if moment == Moment():
                yield Glance(self, now, self.summaries_now(now))
                return
            then = self._protocol.as_of(position=moment.position, at_ns=moment.at_ns)
            yield Glance(self, then, self.summaries_in(then), now=self.summaries_now(now))

    def summaries_now(self, objects: Objects) -> list[TrialSummary]:
        """Return all trials as they are now."""
        kept = self._kept
        is_fresh = kept is not None and time.monotonic() - kept[1] < _FRESH_S
        if kept is not None and is_fresh and kept[0] == objects.position:
            return kept[2]
        summaries = self.summaries_in(objects, is_now=True)
        self._kept = objects.position, time.monotonic(), summaries
        return summaries

    def summaries_in(self, objects: Objects, *, is_now: bool = False) -> list[TrialSummary]:
        """Return all trials among some objects, oldest first."""
        names = {group.uid: group.name for group in objects.groups.values()}
        status_in = self._repository.status_in
        found = []
        used: dict[Any, TrialSummary] = {}
        for trial in (*objects.trials.values(), *objects.parts.values()):
            if objects.is_erased(trial.uid):
                continue
            status = status_in(objects, trial) if is_now else trial.status
            group, archived = names.get(trial.group_id), trial.uid in objects.archived
            known = trial.metadata
            changes = known.get(UPDATE_COUNT), known.get(LAST_CHANGE)
            key = (trial.uid, *changes, group, archived, str(status))
            summary = self._summaries.get(key)
            if summary is None:
                summary = summarize(objects, trial, status, group, archived=archived)
            used[key] = summary
            found.append(summary)
        if is_now:
            self._summaries = used
        return found

    def facts_of(self, process: ProcessId) -> dict[str, Any]:
        """Return what a process said of itself."""
        if process not in self._facts:
            self._facts[process] = facts_of_process(self._protocol.journal, process)
        return self._facts[process]


class Glance:
    """All there is in a store at one moment. It is good for as long as it is held.

    Parameters
    ----------
    overview
        whose it is
    objects
        all objects
    trials
        all trials, oldest first, archived ones and parts of others among them
    now
        all trials there are by now: what is asked for must be there now, not then
    """

    def __init__(
        self,
        overview: Overview,
        objects: Objects,
        trials: list[TrialSummary],
        now: list[TrialSummary] | None = None,
    ) -> None:
        self._overview = overview
        self.objects = objects
        self.position = objects.position
        self.all = trials
        self._now = trials if now is None else now

    def trials(
        self,
        where: Iterable[str] = (),
        *,
        sort: str | None = None,
        archived: bool = False,
        project: str | None = None,
        group: str | None = None,
    ) -> list[TrialSummary]:
        """Return the trials for which all conditions hold, oldest first.

        Parameters
        ----------
        where
            conditions, see :func:`track.trial_summary.to_condition`
        sort
            the path to sort by, as ``metrics.loss``; the largest first with ``-`` before it
        archived
            whether those that are archived are meant, and not the others
        project, group
            uid of the one they are in

        Raises
        ------
        QueryError
            a condition makes no sense, or is about what no trial has
        """
        conditions = [*where]
        check_paths([*map(to_condition, conditions)], "trial", self._now)
        chosen = [one for one in self.all if one.archived is archived]
        if project is not None:
            chosen = [one for one in chosen if one.project == project]
        if group is not None:
            chosen = [one for one in chosen if self._is_in(one, group)]
        if conditions:
            chosen = [*matching(chosen, conditions, self._now)]
        if sort:
            path = sort.lstrip("-")
            check_column(path, f"trials cannot be sorted by {path!r}", self._now)
            chosen = sort_trials(chosen, sort)
        return chosen

    def _is_in(self, summary: TrialSummary, group: str) -> bool:
        home = self.objects.groups.get(group)
        return summary.group_id == group or (home is not None and summary.uid in home.trials)

    def find(self, which: str) -> Trial:
        """Return the trial that is meant, which is the projection's own.

        Raises
        ------
        TrialDoesNotExist
            there is no such trial; the message names similar ones
        """
        trial = find_trial(self.objects, which).trial
        if self.objects.is_erased(trial.uid):
            raise TrialDoesNotExist(f"the trial {trial.uid} was erased")
        return trial

    def summary(self, uid: str) -> TrialSummary:
        """Return one trial at a glance."""
        return next(one for one in self.all if one.uid == uid)

    def view(self, which: str) -> View:
        """Return all there is of a trial."""
        trial = self.find(which)
        found = attempts_in(self.objects, trial)
        facts = {
            process: self._overview.facts_of(process)
            for process in map(process_of, found)
            if process is not None
        }
        home = self.objects.groups.get(trial.group_id)
        name = None if home is None else home.name
        status: AnyStatus | None = trial.status
        return View(view_trial(trial), status, name, views_of(found, facts))

    def metrics(self, uid: str) -> dict[str, MetricSummary]:
        """Return what there is to know of the metrics of a trial without their points."""
        trial = find_trial(self.objects, uid).trial
        return {name: summarize_metric(values) for name, values in trial.metrics.items()}

    def series(self, which: str, metric: str) -> Any:
        """Return a metric of a trial: a :class:`Series`, a list or a statistic; None without it."""
        values = self.find(which).metrics.get(metric)
        return Series.of(values) if isinstance(values, StepSeries) else to_plain(values)


def summarize(
    objects: Objects,
    trial: Trial,
    status: AnyStatus | None,
    group: str | None,
    *,
    archived: bool = False,
) -> TrialSummary:
    """Return one of some objects at a glance."""
    folded = objects.attempts.get(stream_of(trial.uid))
    attempts = [] if folded is None else folded.found
    summary = TrialSummary(trial, status, group, archived=archived)
    if attempts:
        summary.start = attempts[0].started_at * 1e-9
        last = attempts[-1].finished_at
        summary.end = None if last is None else last * 1e-9
    return summary
