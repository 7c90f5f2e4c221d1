"""Summarise all trials of a store, now or at some time, reading only what is needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from track.containers.series import StepSeries
from track.errors import JournalClosed, TrialDoesNotExist
from track.journals.producer import Producer
from track.moment import Moment, When, to_moment
from track.persistence.journaled import JournaledProtocol
from track.persistence.local_repository import LocalRepository
from track.projections.checkpoints import Checkpoints
from track.projections.copies import to_plain, view_trial
from track.projections.finding import find_trial
from track.projections.index import Known
from track.projections.objects import Objects
from track.projections.query import check_paths
from track.projections.rows import UnreadTrial, state_of, twin_of
from track.projections.series import Series
from track.projections.timeline import Timeline
from track.projections.trials import stream_of
from track.provenance.liveness import is_running
from track.reading.summary import (
    TrialSummary,
    UnreadSummary,
    detach,
    matching,
    set_times,
    sort_trials,
    to_condition,
)
from track.reading.views import View, attempts_in, facts_of_process, process_of, views_of
from track.structure import AnyStatus, Trial
from track.utils.process import ProcessId

_FRESH_S = 1.0
"""How long the set of lost trials is reused."""

_PART_S = 0.02
_MOST_CHOSEN = 16
"""The number of cached selections of trials."""

_FEWEST_PAST, _PAST_EACH = 20_000, 4
"""The number of cached past summaries: the minimum, and per trial."""


class _Kept(NamedTuple):
    """The trials at a position, the time of the read, and the status of the running ones."""

    position: int
    made_s: float
    summaries: list[TrialSummary]
    running: list[tuple[Trial, str]]


class Overview:
    """Summarises all trials of a store, and caches them so that a call only processes changes.

    Parameters
    ----------
    protocol
        the backend of the store; events of a server are folded here, so only new ones are sent
    """

    def __init__(self, protocol: JournaledProtocol) -> None:
        self._protocol = protocol
        repository = protocol.repository
        if not isinstance(repository, LocalRepository):
            repository = LocalRepository(protocol.journal, Producer(protocol.journal))
        self._repository = repository
        self._turn = threading.RLock()
        self._summaries: dict[str, tuple[Any, TrialSummary]] = {}
        """The state and the summary of each trial by uid."""
        self._kept: _Kept | None = None
        self.chosen: dict[Any, tuple[list[TrialSummary], list[TrialSummary]]] = {}
        """The searched and the matching trials, by conditions."""
        self.counts: tuple[list[TrialSummary], dict[str, int]] | None = None
        """The trials and their number by status."""
        self._past: dict[Any, TrialSummary] = {}
        """Summaries of past states, the most recently used last."""
        self._facts: dict[ProcessId, dict[str, Any]] = {}
        self._now = Objects()
        self._checkpoints = Checkpoints(protocol.journal, self._metric_now)

    @contextmanager
    def glance(self, at: When = None) -> Iterator[Glance]:
        """Yield the state of the store, now or at a moment, for exclusive use."""
        moment = to_moment(at)
        with self._turn, self._repository.read_state() as now:
            if moment == Moment():
                yield Glance(self, now, self._summaries_now(now))
                return
            self._now = now
            self._checkpoints.catch_up(now.position)
            then = self._checkpoints.at(moment)
            yield Glance(self, then, self._summaries_then(then), now=self._summaries_now(now))

    @contextmanager
    def state(self, at: When) -> Iterator[Objects]:
        """Yield all objects as of a moment for exclusive use; views of their series stay valid."""
        with self._turn, self._repository.read_state() as now:
            self._now = now
            self._checkpoints.reach(now.position, to_moment(at))
            yield self._checkpoints.at(to_moment(at))

    def _metric_now(self, owner: tuple[str, str]) -> Any:
        try:
            with self._repository.read_state() as now:
                self._now = now
                return _metric_in(now, *owner)
        except JournalClosed:  # nothing changes any more
            return _metric_in(self._now, *owner)

    @contextmanager
    def timeline(self) -> Iterator[tuple[Timeline, Objects]]:
        """Yield the timeline and the current objects for exclusive use."""
        with self._turn, self._repository.read_state() as now:
            self._now = now
            for _ in self._checkpoints.extending_timeline(now.position):
                pass
            yield self._checkpoints.timeline, now

    def prepare(self) -> Iterator[None]:
        """Prepare reads of the past step by step, so that other callers wait for only one step.

        Otherwise the first :meth:`glance` at a moment does it all at once.
        """
        return self._in_parts(self._checkpoints.catching_up)

    def prepare_timeline(self) -> Iterator[None]:
        """Prepare :meth:`timeline` in the same way, which takes less time."""
        return self._in_parts(self._checkpoints.extending_timeline)

    def _in_parts(self, work: Callable[[int], Iterator[None]]) -> Iterator[None]:
        """Do work up to the current position in steps, and yield between them."""
        while True:
            with self._turn, self._repository.read_state() as now:
                self._now = now
                until_s = time.monotonic() + _PART_S
                if all(time.monotonic() < until_s for _ in work(now.position)):
                    return
            yield

    def _summaries_now(self, objects: Objects) -> list[TrialSummary]:
        """Return all trials as they are now."""
        kept, now = self._kept, time.monotonic()
        if kept is not None and kept.position == objects.position:
            is_fresh = now - kept.made_s < _FRESH_S
            status_in = self._repository.status_in
            if is_fresh or all(str(status_in(objects, t)) == told for t, told in kept.running):
                return kept.summaries
        names = _names_of_groups(objects)
        known, self._summaries = self._summaries, {}
        found, running = list[TrialSummary](), list[tuple[Trial, str]]()
        len(objects.trials)  # reads all trials of the cache at once
        for one in objects.known_trials():
            if one.is_archived is None:
                continue
            trial, status = one.trial, one.trial.status
            if status is not None and is_running(status):
                status = self._repository.status_in(objects, trial)
                running.append((trial, str(status)))
            uid, group = trial.uid, names.get(trial.group_id)
            state = state_of(trial), group, one.is_archived, status
            old = known.get(uid)
            if old is None or old[0] != state:
                old = state, _summarize(one, status, group)
            self._summaries[uid] = old
            found.append(old[1])
        self._kept = _Kept(objects.position, now, found, running)
        return found

    def _summaries_then(self, objects: Objects) -> list[TrialSummary]:
        """Return all trials as they were then; most are unchanged since the last call."""
        names = _names_of_groups(objects)
        past, found = self._past, list[TrialSummary]()
        for one in objects.known_trials():
            if one.is_archived is None:
                continue
            trial, group = one.trial, names.get(one.trial.group_id)
            key = trial.uid, state_of(trial), group, one.is_archived
            summary = past.pop(key, None) or _summarize(one, trial.status, group)
            past[key] = summary  # moves it to the end, as the most recently used
            found.append(summary)
        most = max(_FEWEST_PAST, _PAST_EACH * len(found))
        while len(past) > most:
            del past[next(iter(past))]
        return found

    def facts_of(self, process: ProcessId) -> dict[str, Any]:
        """Return the facts that a process recorded about itself."""
        if process not in self._facts:
            self._facts[process] = facts_of_process(self._protocol.journal, process)
        return self._facts[process]


class Glance:
    """Answers from the state of a store at one moment, only within the block that yielded it.

    Parameters
    ----------
    overview
        the overview that made it
    objects
        all objects
    trials
        all trials, oldest first, including archived and partial ones
    now
        the current trials: a path in a condition must exist in one of these
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
        self._by_uid: dict[str, TrialSummary] | None = None

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
            the conditions, see :func:`track.reading.summary.to_condition`
        sort
            the path to sort by, for example ``metrics.loss``; ``-metrics.loss`` is descending
        archived
            return the archived trials instead of the others
        project, group
            the uid of the project or group of the trials

        Raises
        ------
        QueryError
            a condition is invalid, or its path exists in no trial
        """
        asked = (*where,), sort, archived, project, group
        kept = self._overview.chosen.pop(asked, None)
        if kept is None or kept[0] is not self.all:
            kept = self.all, self._choose(*asked)
        self._overview.chosen[asked] = kept
        while len(self._overview.chosen) > _MOST_CHOSEN:
            del self._overview.chosen[next(iter(self._overview.chosen))]
        return kept[1]

    def _choose(
        self,
        conditions: tuple[str, ...],
        sort: str | None,
        archived: bool,
        project: str | None,
        group: str | None,
    ) -> list[TrialSummary]:
        check_paths([*map(to_condition, conditions)], "trial", self._now)
        chosen = [one for one in self.all if one.archived is archived]
        if project is not None:
            chosen = [one for one in chosen if one.project == project]
        if group is not None:
            chosen = [one for one in chosen if self._is_in(one, group)]
        if conditions:
            chosen = [*matching(chosen, conditions, self._now)]
        if sort:
            chosen = sort_trials(chosen, sort, self._now)
        return chosen

    def _is_in(self, summary: TrialSummary, group: str) -> bool:
        home = self.objects.groups.get(group)
        return summary.group_id == group or (home is not None and summary.uid in home.trials)

    def counts(self) -> dict[str, int]:
        """Return the numbers of trials, of archived trials, and of trials of each status."""
        if self._overview.counts is None or self._overview.counts[0] is not self.all:
            counts = {"trials": 0, "archived": 0}
            for one in self.all:
                counts["archived" if one.archived else "trials"] += 1
                if not one.archived:
                    status = one.status or "none"
                    counts[status] = counts.get(status, 0) + 1
            self._overview.counts = self.all, counts
        return self._overview.counts[1]

    def find(self, which: str) -> Trial:
        """Find a trial by name, uid or uid prefix. It must not be changed.

        Raises
        ------
        TrialDoesNotExist
            the trial does not exist; the message names similar ones
        """
        trial = find_trial(self.objects, which).trial
        if self.objects.is_erased(trial.uid):
            raise TrialDoesNotExist(f"trial {trial.uid} was erased")
        return trial

    def summary(self, uid: str) -> TrialSummary:
        """Return the summary of a trial."""
        if self._by_uid is None:
            self._by_uid = {one.uid: one for one in self.all}
        return self._by_uid[uid]

    def view(self, which: str) -> View:
        """Return everything known about a trial."""
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

    def series(self, which: str, metric: str) -> Any:
        """Return a metric of a trial: a :class:`Series`, a list or a statistic; None if missing."""
        values = self.find(which).metrics.get(metric)
        return Series.of(values) if isinstance(values, StepSeries) else to_plain(values)


def _metric_in(objects: Objects, uid: str, name: str) -> Any:
    trial = objects.trials.get(uid) or objects.parts.get(stream_of(uid))
    return None if trial is None else trial.metrics.get(name)


def _names_of_groups(objects: Objects) -> dict[str, str | None]:
    return {group.uid: group.name for group in objects.groups.values()}


def _summarize(known: Known, status: AnyStatus | None, group: str | None) -> TrialSummary:
    """Return the summary of a trial, independent of the trial because that may change."""
    if isinstance(known.trial, UnreadTrial):  # few of many trials are shown, so few are read
        return UnreadSummary(Known(twin_of(known.trial), *known[1:]), group, lambda: status)
    summary = TrialSummary(known.trial, status, group, archived=bool(known.is_archived))
    set_times(summary, known)
    detach(summary)
    return summary
