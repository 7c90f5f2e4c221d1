"""Labels of events: the trial, group or project they belong to."""

from __future__ import annotations

from track.display.columns import shortened
from track.display.texts import short_uids, shown, shown_width
from track.events.types import (
    GroupCreated,
    ProcessDescribed,
    ProjectCreated,
    Recorded,
    TrialCreated,
)
from track.projections.objects import Objects
from track.projections.streams import streams_of
from track.projections.trials import trial_of
from track.structure import Trial

_LONGEST = 24
"""The length at which names are truncated, unless more is needed to distinguish them."""


class Subjects:
    """Labels the events of a store, including those that come later.

    Parameters
    ----------
    objects
        the current objects of the store
    only
        the trial that all events belong to, if there is only one
    """

    def __init__(self, objects: Objects, only: Trial | None = None) -> None:
        trials = [*objects.trials.values(), *objects.parts.values()] if only is None else [only]
        self._trials = {each: trial.uid for trial in trials for each in streams_of(trial.uid)}
        self._labels: dict[int, str] = {}
        if only is None:
            for stream, subject in objects.by_stream.items():
                if not isinstance(subject, Trial):
                    self._labels[stream] = _label_of(type(subject).__name__, subject.name)
        names = shortened([shown(trial.name or "", 10**6) for trial in trials], _LONGEST)
        uids = short_uids(trial.uid for trial in (*objects.trials.values(), *trials))
        for trial, name in zip(trials, names, strict=True):
            for each in streams_of(trial.uid):
                self._labels[each] = f"{uids[trial.uid]} {name}".rstrip()
        self._width = max(map(shown_width, self._labels.values()), default=0)

    def trial_of(self, recorded: Recorded) -> str | None:
        """Return the uid of the trial that an event belongs to, None if it belongs to none."""
        self._learn(recorded)
        return self._trials.get(recorded.stream)

    def label(self, recorded: Recorded) -> str:
        """Return the label of an event, padded to the width of the longest known one."""
        self._learn(recorded)
        text = self._labels.get(recorded.stream, f"{recorded.stream:016x}")
        return text + " " * (self._width - shown_width(text))

    def _learn(self, recorded: Recorded) -> None:
        if recorded.stream in self._labels:
            return
        event = recorded.event
        if isinstance(event, TrialCreated):
            uid = trial_of(event).uid
            self._trials.update(dict.fromkeys(streams_of(uid), uid))
            short = short_uids({*self._trials.values()})[uid]
            label = f"{short} {shown(event.name or '', _LONGEST)}".rstrip()
            self._labels.update(dict.fromkeys(streams_of(uid), label))
        elif isinstance(event, (ProjectCreated, GroupCreated)):
            kind = type(event).__name__.removesuffix("Created")
            self._labels[recorded.stream] = _label_of(kind, event.name)
        elif isinstance(event, ProcessDescribed):
            self._labels[recorded.stream] = _label_of("process", f"{event.host} {event.pid}")


def _label_of(kind: str, name: str | None) -> str:
    return f"{kind.removeprefix('Trial').lower()} {shown(name or '', _LONGEST)}".rstrip()
