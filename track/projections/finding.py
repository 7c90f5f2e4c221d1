"""Find a trial by its name, uid or uid prefix."""

from __future__ import annotations

from typing import NamedTuple

from track.errors import TrialDoesNotExist
from track.projections.copies import copy_trial
from track.projections.objects import Objects
from track.projections.paths import did_you_mean
from track.projections.trials import stream_of
from track.structure import Trial

FEWEST_DIGITS = 4
"""The least length of a uid prefix."""

_SIMILAR = 3
"""The number of suggestions for a missing trial."""


class Found(NamedTuple):
    """Holds the result of a search for a trial.

    Attributes
    ----------
    trial
        the trial, or what is left of it; it belongs to the projection
    revisions
        the uids of all matches; several matches are revisions, of which ``trial`` is the latest
    note
        a sentence about further revisions, None without any
    """

    trial: Trial
    revisions: list[str]
    note: str | None = None


def find_trial(objects: Objects, wanted: str) -> Found:
    """Find a trial; among revisions of one trial, choose the latest.

    Raises
    ------
    TrialDoesNotExist
        no trial or several trials match; the message names them
    """
    if wanted in objects.trials:
        return Found(objects.trials[wanted], [wanted])
    if (part := objects.parts.get(stream_of(wanted))) is not None:
        known = copy_trial(part)
        known.uid = wanted  # only the caller still knows the uid
        return Found(known, [wanted])
    everything = [*objects.trials.values(), *objects.parts.values()]
    trials = [trial for trial in everything if not objects.is_erased(trial.uid)]
    found = [trial for trial in trials if trial.name == wanted]
    if not found and len(wanted) >= FEWEST_DIGITS:
        found = [trial for trial in trials if _is_short_for(wanted, trial)]
        found = found or [trial for trial in everything if _is_short_for(wanted, trial)]
    if found:
        return latest_revision(wanted, found)
    from difflib import get_close_matches

    # Without duplicates, since revisions have the same name.
    names = dict.fromkeys(name for one in trials for name in (one.uid, one.name) if name)
    similar = get_close_matches(wanted, names, _SIMILAR)
    hint = did_you_mean(similar) if similar else "run `track ls` to list the trials"
    if not similar and any(one.uid.startswith(wanted) for one in trials):
        hint = f"give at least {FEWEST_DIGITS} characters of a uid"
    raise TrialDoesNotExist(f"no trial {wanted!r} in this store: {hint}")


def latest_revision(wanted: str, found: list[Trial]) -> Found:
    """Return the latest of the trials that match a text, given oldest first.

    Raises
    ------
    TrialDoesNotExist
        there are none, or they are not revisions of one trial
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
