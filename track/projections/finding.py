"""Find a trial by its name, uid or uid prefix."""

from __future__ import annotations

from difflib import get_close_matches
from typing import NamedTuple

from track.errors import TrialDoesNotExist
from track.projections.copies import copy_trial
from track.projections.objects import Objects
from track.projections.trials import stream_of
from track.structure import Trial

_FEWEST_DIGITS = 4
"""Of a uid, for the rest of it to be left out."""

_SIMILAR = 3
"""How many trials are suggested in the place of one that does not exist."""


class Found(NamedTuple):
    """A trial that was meant.

    Attributes
    ----------
    trial
        the projection's own, or what is left of it
    revisions
        uids of all that fit: if there are several, they are revisions, and this is the latest one
    note
        says that, None if there is nothing to say
    """

    trial: Trial
    revisions: list[str]
    note: str | None = None


def find_trial(objects: Objects, wanted: str) -> Found:
    """Return the trial that is meant: of the revisions of one, the latest.

    Raises
    ------
    TrialDoesNotExist
        there is no such trial, or several; the message names them
    """
    if wanted in objects.trials:
        return Found(objects.trials[wanted], [wanted])
    if (part := objects.parts.get(stream_of(wanted))) is not None:
        known = copy_trial(part)
        known.uid = wanted  # nobody else knows it any more
        return Found(known, [wanted])
    everything = [*objects.trials.values(), *objects.parts.values()]
    trials = [trial for trial in everything if not objects.is_erased(trial.uid)]
    found = [trial for trial in trials if trial.name == wanted]
    if not found and len(wanted) >= _FEWEST_DIGITS:
        found = [trial for trial in trials if _is_short_for(wanted, trial)]
        found = found or [trial for trial in everything if _is_short_for(wanted, trial)]
    if found:
        return latest_revision(wanted, found)
    # Each once: revisions have the same name.
    names = dict.fromkeys(name for one in trials for name in (one.uid, one.name) if name)
    similar = get_close_matches(wanted, names, _SIMILAR)
    hint = (
        f"did you mean {' or '.join(similar)}?" if similar else "run `track ls` to list the trials"
    )
    raise TrialDoesNotExist(f"no trial {wanted!r} in this store: {hint}")


def latest_revision(wanted: str, found: list[Trial]) -> Found:
    """Return the latest of some trials that were all called the same, the oldest first.

    Raises
    ------
    TrialDoesNotExist
        there are none, or they are not revisions of one
    """
    if not found:
        raise TrialDoesNotExist(
            f"no trial {wanted!r} in this store; if it is archived, restore it first"
        )
    uids = [trial.uid for trial in found]
    if len({trial.hash for trial in found}) > 1:
        raise TrialDoesNotExist(
            f"{wanted!r} is ambiguous: it may be {', '.join(uids)}; give more of the uid"
        )
    if len(uids) == 1:
        return Found(found[-1], uids)
    note = (
        f"{wanted!r} has {len(uids)} revisions: this is the latest one, {uids[-1]}; the one before "
        f"it is {uids[-2]}"
    )
    return Found(found[-1], uids, note)


def _is_short_for(text: str, trial: Trial) -> bool:
    """Return whether a text is a prefix of a uid, or of its hash followed by the revision."""
    start, _, revision = text.rpartition("_")
    begins = bool(start) and trial.hash.startswith(start) and str(trial.revision) == revision
    return begins or trial.uid.startswith(text)
