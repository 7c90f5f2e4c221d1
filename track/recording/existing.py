"""Find a trial as its store has it."""

from __future__ import annotations

from track.errors import TrialDoesNotExist
from track.persistence.protocol import Protocol
from track.structure import Trial


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
    raise TrialDoesNotExist(
        f"no trial {wanted.uid} in this store; if it is archived, restore it first"
    )
