"""Find a trial as its store has it."""

from __future__ import annotations

import re

from track.errors import TrialDoesNotExist
from track.persistence.protocol import Protocol
from track.projections.finding import FEWEST_DIGITS
from track.projections.paths import did_you_mean
from track.structure import Trial

_MOST = 3
"""The number of trials to suggest."""


def existing_trial(protocol: Protocol, wanted: Trial) -> Trial:
    """Return a trial as recorded in the store.

    Raises
    ------
    TrialDoesNotExist
        the trial is not in the store, or is archived
    """
    for found in protocol.get_trial(wanted) or ():
        if found.uid == wanted.uid:
            return found
    if similar := _uids_meant(protocol, wanted):
        raise TrialDoesNotExist(f"no trial has the uid {wanted.uid}: {similar}")
    raise TrialDoesNotExist(
        f"no trial {wanted.uid} in this store; if it is archived, restore it first"
    )


def _uids_meant(protocol: Protocol, wanted: Trial) -> str:
    """Return a hint for whoever gave a name, or a short uid as lists show it, instead of a uid."""
    short = str(wanted.hash)
    # The uid of a trial that was given by a single word has a revision behind it.
    found = protocol.fetch_trials({"name": {"$in": [short, wanted.uid]}})
    if not found and len(short) >= FEWEST_DIGITS:
        found = protocol.fetch_trials({"hash": {"$regex": f"^{re.escape(short)}"}})
    return did_you_mean([trial.uid for trial in found[-_MOST:]]) if found else ""
