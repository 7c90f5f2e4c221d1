"""Read the history of trials: views, attempts, and the origins of values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from track.errors import TrialDoesNotExist
from track.events.codec import decode
from track.events.types import Recorded
from track.journals.journal import Batch, Journal
from track.moment import NOW, Moment, When, moment_text, to_moment
from track.projections import history as past
from track.projections.copies import view_trial
from track.projections.paths import parse_path
from track.reading.lookup import TrialLookup
from track.reading.views import (
    Attempt,
    Origin,
    View,
    attempt_at,
    attempts_in,
    facts_of_process,
    process_of,
    views_of,
)
from track.structure import Trial
from track.utils.process import ProcessId


def views_at(store: TrialLookup, *sides: tuple[str | Trial, When]) -> list[View]:
    """Return views of trials, each now or at a moment, from one read of the store."""
    several = [*dict.fromkeys(which for which, _ in sides)]
    with store.looking_up(several) as (objects, trials):
        found = dict(zip(several, trials, strict=True))
        groups = {group.uid: group.name for group in objects.groups.values()}
        status_in = store.protocol.repository.status_in
        now = {which: (view_trial(one), status_in(objects, one)) for which, one in found.items()}
        kept = {trial.uid: attempts_in(objects, trial) for trial in trials}
    uids = {now[which][0].uid for which, at in sides if at is not None}
    events = {uid: store.batches_of(uid) for uid in uids}
    views: list[View] = []
    facts: dict[ProcessId, dict[str, Any]] = {}
    for which, at in sides:
        trial, status = now[which]
        if at is not None:
            trial = trial_at(store, trial.uid, events[trial.uid], at)
            status = trial.status
            found_attempts = past.attempts(decoded(events[trial.uid], to_moment(at)))
        else:
            found_attempts = kept[trial.uid]
        attempts = with_facts(store.protocol.journal, found_attempts, facts)
        views.append(View(trial, status, groups.get(trial.group_id), attempts))
    return views


def trial_at(store: TrialLookup, uid: str, batches: Collection[Batch], at: When) -> Trial:
    """Return a trial at a moment, given its events.

    Raises
    ------
    TrialDoesNotExist
        the trial did not exist yet
    """
    moment = to_moment(at)
    objects = past.as_of(batches, position=moment.position, ends=_ends(batches, moment))
    if not (objects.trials or objects.parts):
        raise TrialDoesNotExist(f"trial {uid} did not exist yet {moment_text(at)}")
    return view_trial(store.find_in(objects, uid))


def with_facts(
    journal: Journal,
    attempts: Iterable[past.Attempt],
    facts: dict[ProcessId, dict[str, Any]] | None = None,
) -> list[Attempt]:
    """Return attempts with the facts of their processes, and add the facts to the known ones."""
    attempts, facts = [*attempts], {} if facts is None else facts
    for process in map(process_of, attempts):
        if process is not None and process not in facts:
            facts[process] = facts_of_process(journal, process)
    return views_of(attempts, facts)


def origins(store: TrialLookup, which: str | Trial, path: str) -> list[Origin]:
    """Return the events that set a value of a trial, oldest first."""
    with store.looking_up([which]) as (objects, trials):
        uid, found = trials[0].uid, attempts_in(objects, trials[0])
    _, batches = store.events_of(uid)
    section, *keys = (key.text for key in parse_path(path))
    if section == "metrics":  # nearly all events of a long trial are metrics
        batches = (past.without_other_steps(batch, keys) for batch in batches)
    else:
        batches = map(past.without_metrics, batches)
    attempts = with_facts(store.protocol.journal, found)
    return [
        Origin(*setting, attempt_at(attempts, setting.recorded))
        for setting in past.assignments_of(decoded(batches, NOW), path)
    ]


def decoded(batches: Iterable[Batch], until: Moment) -> Iterator[Recorded]:
    """Yield the events of batches, up to a moment."""
    if until.at_ns is not None:
        batches = [*batches]  # they are read twice
    wanted = past.until(batches, position=until.position, ends=_ends(batches, until))
    return (recorded for batch in wanted for recorded in map(decode, *batch))


def _ends(batches: Iterable[Batch], moment: Moment) -> dict[int, int] | None:
    return None if moment.at_ns is None else past.ends_by(batches, moment.at_ns)
