"""Looking at a store: what is in it, how it came about, and what comes next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from glob import glob
from types import TracebackType
from typing import Any, NamedTuple

from track.configuration import options
from track.errors import BackendError, TrialDoesNotExist
from track.events.codec import decode, stream_id
from track.events.journal_on_disk import JournalOnDisk
from track.events.record import Damage
from track.events.types import ProcessDescribed, Recorded
from track.moments import Moment, When, to_moment
from track.persistence.journaled import JournaledProtocol
from track.persistence.liveness import derive_status
from track.persistence.opening import JOURNAL_SUFFIX
from track.persistence.protocol import Query
from track.persistence.reading import open_for_reading
from track.persistence.utils import without_password
from track.projections import history as past
from track.projections.copies import copy_group, copy_project, copy_trial
from track.projections.difference import Difference, differences, differences_of_trials
from track.projections.objects import LAST_CHANGE, Objects
from track.projections.report import render_report
from track.structure import AnyStatus, Project, Trial, TrialGroup
from track.utils.process import ProcessId

_FEWEST_DIGITS = 4
"""Of a uid, for the rest of it to be left out."""

_SIMILAR = 3
"""How many trials are suggested in the place of one that does not exist."""


class Attempt(NamedTuple):
    """One start of a trial.

    Attributes
    ----------
    number
        1 for the first
    started_at, last_at, finished_at
        wall times in nanoseconds since 1970-01-01 UTC: of the start, of the last event, and of the
        end, None if there was none
    status
        how it stands, None if it never said; lost if its process is gone
    events
        how many were recorded in it
    producer
        who recorded its start
    process
        which process it was, None if it did not say
    facts
        what that said of itself: ``command``, ``directory``, ``commit``, ``modified``, ``python``,
        ``platform``, ``cpus``, ``environment``
    """

    number: int
    started_at: int
    last_at: int
    finished_at: int | None
    status: AnyStatus | None
    events: int
    producer: int
    process: ProcessId | None
    facts: dict[str, Any]


class Origin(NamedTuple):
    """Where a value is from.

    Attributes
    ----------
    value, replaced
        what was set, and what was there before, None when there was nothing
    recorded
        the event that set it: its position, time, producer and content
    attempt
        the attempt it was part of, None if that is not known
    """

    value: Any
    replaced: Any
    recorded: Recorded
    attempt: Attempt | None


class Reader:
    """A store, to look at. Nothing in it is ever changed; caches beside it may be written.

    Parameters
    ----------
    protocol
        its backend, which must be one with a journal

    Notes
    -----
    Wherever a trial is asked for by text, its uid can be cut short if no other one begins like it,
    and its name does as well if it is the only one with it. A time or position (``at``) is
    everything that :func:`track.moments.to_moment` takes.
    """

    def __init__(self, protocol: JournaledProtocol) -> None:
        self.protocol = protocol

    def __repr__(self) -> str:
        return f"Reader({without_password(self.protocol.uri or '')!r})"

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the store."""
        self.protocol.close()

    # What there is

    def projects(self, query: Query = None, *, at: When = None) -> list[Project]:
        """Return the projects that match a query, oldest first."""
        if at is None:
            return self.protocol.fetch_projects(query)
        return [*map(copy_project, self.objects(at).find_projects(query))]

    def groups(self, query: Query = None, *, at: When = None) -> list[TrialGroup]:
        """Return the groups that match a query, oldest first."""
        if at is None:
            return self.protocol.fetch_groups(query)
        return [*map(copy_group, self.objects(at).find_groups(query))]

    def trials(
        self, query: Query = None, *, at: When = None, archived: bool = False
    ) -> list[Trial]:
        """Return the trials that match a query, oldest first: those archived, or the others."""
        if at is None:
            fetch = self.protocol.fetch_archived_trials if archived else self.protocol.fetch_trials
            return fetch(query)
        objects = self.objects(at)
        find = objects.find_archived if archived else objects.find_trials
        return [*map(copy_trial, find(query))]

    def trial(self, which: str | Trial, *, at: When = None) -> Trial:
        """Return a trial, as it is or as it stood at a moment.

        Raises
        ------
        TrialDoesNotExist
            there is no such trial; the message names similar ones
        """
        uid = self.find_uid(which)
        if at is None:
            return (*self.trials({"uid": uid}), *self.trials({"uid": uid}, archived=True))[0]
        moment = to_moment(at)
        stream = self.protocol.journal.read_stream(stream_id("trial", uid))
        objects = past.as_of(stream, position=moment.position, at_ns=moment.at_ns)
        if uid not in objects.trials:
            raise TrialDoesNotExist(f"the trial {uid} did not exist yet at {at}")
        return copy_trial(objects.trials[uid])

    def find_uid(self, which: str | Trial) -> str:
        """Return the uid of a trial that exists.

        Raises
        ------
        TrialDoesNotExist
            there is no such trial, or several; the message names them
        """
        wanted = which.uid if isinstance(which, Trial) else which
        # Its events are found without knowing anything about the other trials.
        if any(self.protocol.journal.read_stream(stream_id("trial", wanted))):
            return wanted
        with self.protocol.current() as objects:  # not copies: they may be large
            trials = objects.trials.values()
            found = [trial.uid for trial in trials if trial.name == wanted]
            if not found and len(wanted) >= _FEWEST_DIGITS:
                found = [trial.uid for trial in trials if _is_short_for(wanted, trial)]
            # Each once: revisions have the same name.
            names = dict.fromkeys(name for one in trials for name in (one.uid, one.name) if name)
        if len(found) == 1:
            return found[0]
        if found:
            raise TrialDoesNotExist(f"{wanted!r} may be any of {', '.join(found)}: say which")
        similar = get_close_matches(wanted, names, _SIMILAR)
        hint = f"did you mean {' or '.join(similar)}?" if similar else "see what there is"
        raise TrialDoesNotExist(f"there is no trial {wanted!r} in this store: {hint}")

    def damage(self) -> list[Damage]:
        """Return the damaged ranges of a journal on this machine that were passed over so far."""
        journal = self.protocol.journal
        return journal.lost() if isinstance(journal, JournalOnDisk) else []

    def status(self, trial: Trial) -> AnyStatus | None:
        """Return the status of a trial: lost, if it is said to run and its process is gone."""
        return self.protocol.status_of(trial)

    # How it came about

    def objects(self, at: When = None) -> Objects:
        """Return every object as it stood at a moment."""
        moment = to_moment(at)
        return self.protocol.as_of(position=moment.position, at_ns=moment.at_ns)

    def report(self, *, at: When = None) -> Iterator[str]:
        """Yield the text of the report, of now or of a moment, in pieces."""
        return render_report(self.objects(at))

    def events(self, after: int = 0, *, until: When = None) -> Iterator[Recorded]:
        """Yield the events of the store behind a position, up to a moment."""
        return _decoded(self.protocol.journal.read_batches(after), to_moment(until))

    def recent(self, count: int, which: str | Trial | None = None) -> list[Recorded]:
        """Return the last events of the store, or of a trial, oldest first."""
        journal = self.protocol.journal
        if which is None:
            batches = journal.read_batches()
        else:
            batches = journal.read_stream(stream_id("trial", self.find_uid(which)))
        last: deque[tuple[int, bytes]] = deque(maxlen=count)
        for batch in batches:
            last.extend(zip(*batch, strict=True))
        return [decode(*place) for place in last]  # the others nobody wants to see

    def history(self, which: str | Trial, *, until: When = None) -> Iterator[Recorded]:
        """Yield the events of a trial, up to a moment."""
        stream = stream_id("trial", self.find_uid(which))
        return _decoded(self.protocol.journal.read_stream(stream), to_moment(until))

    def follow(self, after: int | None = None) -> Iterator[Recorded]:
        """Yield the events behind a position (by default: the last one), and wait for more."""
        journal = self.protocol.journal
        return journal.tail(journal.head() if after is None else after)

    def attempts(self, which: str | Trial, *, until: When = None) -> list[Attempt]:
        """Return the attempts at a trial, in the order in which they started."""
        uid = self.find_uid(which)
        found = past.attempts(self.history(uid, until=until))
        return [self._attempt(number, attempt, uid) for number, attempt in enumerate(found, 1)]

    def _attempt(self, number: int, attempt: past.Attempt, uid: str) -> Attempt:
        process = None if attempt.process is None else ProcessId(*attempt.process)
        return Attempt(
            number,
            attempt.started_at,
            attempt.last_at,
            attempt.finished_at,
            _status(attempt),
            attempt.events,
            attempt.producer,
            process,
            {} if process is None else self._facts(process),
        )

    def _facts(self, process: ProcessId) -> dict[str, Any]:
        stream = stream_id("process", process.name())
        facts: dict[str, Any] = {}
        for recorded in _decoded(self.protocol.journal.read_stream(stream), Moment()):
            if isinstance(recorded.event, ProcessDescribed):
                facts.update(recorded.event.facts)
        return facts

    def provenance(self, which: str | Trial, path: str) -> list[Origin]:
        """Return who set a value of a trial, and to what, the last one last.

        Parameters
        ----------
        which
            the trial
        path
            as in queries: ``status``, ``parameters.lr``, ``metadata.code``, ``metrics.loss`` or, at
            step 3, ``metrics.loss.3``
        """
        events = list(self.history(which))
        attempts = self.attempts(which)
        return [
            Origin(*setting, _attempt_at(attempts, setting.recorded))
            for setting in past.settings_of(events, path)
        ]

    def diff(
        self,
        left: str | Trial,
        right: str | Trial,
        *,
        left_at: When = None,
        right_at: When = None,
    ) -> list[Difference]:
        """Return what tells two trials apart, or one at two moments.

        Parameters
        ----------
        left, right
            the trials, maybe the same
        left_at, right_at
            the moments to look at them
        """
        found = list(differences(self._code(left, left_at), self._code(right, right_at)))
        ours, theirs = self.trial(left, at=left_at), self.trial(right, at=right_at)
        return [*found, *differences_of_trials(ours, theirs)]

    def _code(self, which: str | Trial, until: When) -> dict[str, Any]:
        """Return the code that the last attempt at a trial ran."""
        attempts = self.attempts(which, until=until)
        facts = attempts[-1].facts if attempts else {}
        return {"code": {name: facts.get(name) for name in ("commit", "modified")}}

    # Tables

    def to_pandas(self, trials: Iterable[Trial] | None = None, *, metrics: bool = False) -> Any:
        """Return a ``pandas.DataFrame``: a row per trial, or per value of their metrics.

        Raises
        ------
        TrackError
            pandas is not installed
        """
        from track.exchange.optional import load
        from track.exchange.tables import METRIC_COLUMNS, metric_rows, trial_rows

        pandas = load("pandas", "pandas")
        trials = self.trials() if trials is None else trials
        if metrics:
            rows = metric_rows(trials, self.groups())
            return pandas.DataFrame(list(rows), columns=METRIC_COLUMNS)
        names, table = trial_rows(trials, self.groups())
        return pandas.DataFrame(table, columns=names)

    def to_arrow(self, trials: Iterable[Trial] | None = None, *, metrics: bool = False) -> Any:
        """Return a ``pyarrow.Table``: a row per trial, or per value of their metrics.

        Raises
        ------
        TrackError
            pyarrow is not installed
        """
        from track.exchange.parquet import metrics_table, trials_table

        table = metrics_table if metrics else trials_table
        return table(self.trials() if trials is None else [*trials], self.groups())


def open_store(uri: str | None = None) -> Reader:
    """Open a store to look at it.

    Parameters
    ----------
    uri
        of any backend with a journal; by default the option ``log.backend.name``
        (``TRACK_LOG_BACKEND_NAME``), else the only store in this folder

    Raises
    ------
    StoreNotFound
        there is no such file, or no such log in a database
    BackendError
        the URI cannot be used, or none is given
    """
    return Reader(open_for_reading(store_uri(uri)))


def store_uri(uri: str | None = None, *, made: bool = False) -> str:
    """Return the URI of the store that is meant, see :func:`open_store`.

    Parameters
    ----------
    uri
        if one was named
    made
        whether the store need not exist, so that one in this folder is not meant by chance

    Raises
    ------
    BackendError
        none is named, and there is not just one here
    """
    uri = uri or options("log.backend.name", None) or (None if made else _only_store())
    if not uri:
        raise BackendError(
            "which store? name one, as file:report.json, or set TRACK_LOG_BACKEND_NAME"
        )
    return str(uri)


def _only_store() -> str | None:
    """Return the URI of the store in the working folder, if there is just one."""
    found = [f"file:{path[: -len(JOURNAL_SUFFIX)]}" for path in glob(f"*{JOURNAL_SUFFIX}")]
    found += [f"lmdb:{path}" for path in glob("*.lmdb")]
    return found[0] if len(found) == 1 else None


def _decoded(batches: Iterable[Any], until: Moment) -> Iterator[Recorded]:
    wanted = past.until(batches, position=until.position, at_ns=until.at_ns)
    return (recorded for batch in wanted for recorded in map(decode, *batch))


def _is_short_for(text: str, trial: Trial) -> bool:
    """Whether a text is how the uid of a trial begins, or its hash does, with the revision."""
    start, _, revision = text.rpartition("_")
    begins = bool(start) and trial.hash.startswith(start) and str(trial.revision) == revision
    return begins or trial.uid.startswith(text)


def _status(attempt: past.Attempt) -> AnyStatus | None:
    if attempt.process is None or attempt.finished_at is not None:
        return attempt.status
    trial = Trial(status=attempt.status, metadata={LAST_CHANGE: attempt.last_at * 1e-9})
    return derive_status(trial, {attempt.process: attempt.last_at})


def _attempt_at(attempts: list[Attempt], recorded: Recorded) -> Attempt | None:
    mine = [one for one in attempts if one.started_at <= recorded.at]
    by_producer = [one for one in mine if one.producer == recorded.producer]
    return next(reversed(by_producer or mine), None)
