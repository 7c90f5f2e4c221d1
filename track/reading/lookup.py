"""Find a trial and its events by name, uid or uid prefix."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from track.errors import DamageWarning, TrialDoesNotExist, warn
from track.events.codec import decode
from track.events.types import TrialCreated
from track.journals.journal import Batch
from track.persistence.journaled import JournaledProtocol
from track.persistence.local_repository import LocalRepository
from track.projections.finding import Found, find_trial
from track.projections.objects import Objects
from track.projections.trials import stream_of
from track.structure import Trial

logger = logging.getLogger(__name__)

_WHOLE_UID = re.compile("[0-9a-f]{64}_.+")
"""A complete uid, whose events can be found without reading other trials."""


class TrialLookup:
    """Finds trials in a store; the base of :class:`~track.reader.Reader`.

    Parameters
    ----------
    protocol, tell
        see :class:`~track.reader.Reader`
    """

    def __init__(
        self, protocol: JournaledProtocol, tell: Callable[[str], None] | None = None
    ) -> None:
        self.protocol = protocol
        self.tell = tell

    def is_local(self) -> bool:
        """Return whether queries are answered from this process's own objects."""
        return isinstance(self.protocol.repository, LocalRepository)

    @contextmanager
    def looking_up(
        self, several: Sequence[str | Trial], *, latest: bool = True
    ) -> Iterator[tuple[Objects, list[Trial]]]:
        """Yield objects that include the given trials, and possibly no others, and these trials.

        Parameters
        ----------
        several
            the trials
        latest
            see :meth:`find_uid`
        """
        texts = [*map(text_of, several)]
        with self.protocol.repository.looking_up(texts) as (objects, found):
            pairs = zip(several, found, strict=True)
            yield objects, [self._meant(objects, *pair, latest=latest) for pair in pairs]

    def find_uid(self, which: str | Trial, *, latest: bool = True) -> str:
        """Return the uid of an existing trial.

        Parameters
        ----------
        which
            the trial
        latest
            choose the latest of several revisions instead of raising an error

        Raises
        ------
        TrialDoesNotExist
            no trial or several trials match; the message names them
        """
        with self.looking_up([which], latest=latest) as (_, found):
            return found[0].uid

    def find_in(self, objects: Objects, which: str | Trial) -> Trial:
        """Find a trial among some objects; it belongs to the projection, so do not change it.

        A note tells if it is the latest of several revisions, or if only part of it is left.
        """
        return self._meant(objects, which, find_trial(objects, text_of(which)))

    def _meant(
        self, objects: Objects, which: str | Trial, found: Found, *, latest: bool = True
    ) -> Trial:
        if found.note is not None and not latest:
            uids = ", ".join(found.revisions)
            raise TrialDoesNotExist(
                f"{which!r} is ambiguous: it matches {uids}; give more of the uid"
            )
        if found.note is not None:
            self._tell(found.note)
        if found.trial.uid not in objects.trials:
            self.tell_of_parts([found.trial.uid])
        return found.trial

    def tell_of_parts(self, uids: Iterable[str]) -> None:
        """Give a note for each trial of which only part is left."""
        for uid in uids:
            self._tell(
                f"only part of trial {uid} is left: the event that created it, with its name, "
                "project and parameters, is damaged",
                DamageWarning,
            )

    def _tell(self, text: str, category: type[DamageWarning] | None = None) -> None:
        if self.tell is not None:
            self.tell(text)
        elif category is not None:
            warn(text, category)
        else:
            logger.info(text)

    def batches_of(self, uid: str) -> list[Batch]:
        return list(self.protocol.journal.read_stream(stream_of(uid)))

    def events_of(self, which: str | Trial) -> tuple[str, Iterator[Batch]]:
        """Return the uid and the events of a trial, if possible without reading other trials."""
        uid = text_of(which) if is_exact(which) else self.find_uid(which)
        batches = iter(self.protocol.journal.read_stream(stream_of(uid)))
        first = next(batches, None)
        if first is None:  # the search raises an error that suggests other trials
            uid = self.find_uid(uid)
            return uid, iter(self.batches_of(uid))
        if not isinstance(decode(0, first[1][0]).event, TrialCreated):
            self.tell_of_parts([uid])
        return uid, chain([first], batches)


def text_of(which: str | Trial) -> str:
    """Return the text with which to search for a trial."""
    return which.uid if isinstance(which, Trial) else which


def is_exact(which: str | Trial) -> bool:
    """Return whether a trial can be found without knowing the others."""
    return isinstance(which, Trial) or _WHOLE_UID.fullmatch(which) is not None
