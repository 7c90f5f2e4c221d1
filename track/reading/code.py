"""Read the attempts of a trial and the code that they ran."""

from __future__ import annotations

from typing import Any, NamedTuple

from track.errors import ItemNotFound
from track.events.codec import decode
from track.events.types import ProcessDescribed
from track.journals.journal import Journal
from track.moment import When, to_moment
from track.projections import history as past
from track.provenance.liveness import code_stream
from track.reading.history import decoded, with_facts
from track.reading.lookup import TrialLookup
from track.reading.views import Attempt, attempts_in
from track.structure import Trial


class RanCode(NamedTuple):
    """Describes the code that an attempt of a trial ran; unknown attributes are empty.

    Attributes
    ----------
    attempt
        the number of the attempt, from 1
    command, directory
        the command line, and the folder in which it was run
    commit, modified
        the git commit, and whether files had been changed since
    root
        the folder of the repository
    script, text, sha256
        the path of the script within the repository, its text, and the SHA-256 of the file
    diff
        the changes since the commit, as ``git diff`` writes them
    left_out
        the names of changed files that are not in the diff: binary files, and long ones
    untracked
        the names of files that git did not track
    packages
        the versions of the installed packages by name
    """

    attempt: int
    command: list[str]
    directory: str
    commit: str
    modified: bool
    root: str
    script: str
    text: str
    sha256: str
    diff: str
    left_out: list[str]
    untracked: list[str]
    packages: dict[str, str]


class AttemptReader(TrialLookup):
    """Adds attempts to a :class:`~track.reader.Reader`."""

    def attempts(self, which: str | Trial, *, until: When = None) -> list[Attempt]:
        """Return the attempts of a trial in the order of their start."""
        journal = self.protocol.journal
        if until is not None:
            events = decoded(self.events_of(which)[1], to_moment(until))
            return with_facts(journal, past.attempts(events))
        with self.looking_up([which]) as (objects, trials):
            found = attempts_in(objects, trials[0])
        return with_facts(journal, found)

    def code(
        self, which: str | Trial, attempt: int | None = None, *, until: When = None
    ) -> RanCode:
        """Return the code that an attempt of a trial ran.

        Parameters
        ----------
        which
            the trial
        attempt
            the number of the attempt; by default, the last one
        until
            the time or the position up to which to read; by default, now

        Raises
        ------
        ItemNotFound
            the attempt does not exist
        """
        attempts = self.attempts(which, until=until)
        found = [one for one in attempts if attempt in (None, one.number)]
        if not found:
            missing = "no attempt" if attempt is None else f"no attempt {attempt}"
            raise ItemNotFound(f"the trial {which} has {missing} with code: it has {len(attempts)}")
        return _ran_code(self.protocol.journal, found[-1])


def _ran_code(journal: Journal, attempt: Attempt) -> RanCode:
    facts = dict(attempt.facts)
    if attempt.process is not None:
        for batch in journal.read_stream(code_stream(attempt.process)):
            for recorded in map(decode, *batch):
                if isinstance(recorded.event, ProcessDescribed):
                    facts.update(recorded.event.facts)
    script = _dict(facts.get("script"))
    return RanCode(
        attempt=attempt.number,
        command=_texts(facts.get("command")),
        directory=str(facts.get("directory", "")),
        commit=str(facts.get("commit", "")),
        modified=facts.get("modified") is True,
        root=str(facts.get("root", "")),
        script=str(script.get("name", "")),
        text=str(script.get("text", "")),
        sha256=str(script.get("sha256", "")),
        diff=str(facts.get("diff", "")),
        left_out=_texts(facts.get("left_out")),
        untracked=_texts(facts.get("untracked")),
        packages={str(name): str(value) for name, value in _dict(facts.get("packages")).items()},
    )


def _dict(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> list[str]:
    return [*map(str, value)] if isinstance(value, list) else []
