"""Read a store: its objects, their history, and new events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from os import PathLike
from types import TracebackType
from typing import Any, BinaryIO

from track.attachments.logged_files import LoggedFile, files_of, find_file, open_content
from track.display.gallery import Gallery
from track.display.listings import html_of, list_files, list_groups, list_projects, list_trials
from track.events.codec import decode
from track.events.scan import Damage
from track.events.types import Recorded
from track.journals.local import JournalOnDisk
from track.moment import When, to_moment
from track.persistence.protocol import Query
from track.persistence.registry import load
from track.persistence.repository import Kind, table
from track.persistence.utils import without_password
from track.projections.copies import copy_group, copy_project, view_trial
from track.projections.diff import Difference, differences, differences_of_trials
from track.projections.media import LoggedMedium
from track.projections.objects import Objects
from track.projections.query import check_paths
from track.projections.report import render_report
from track.projections.times import TrialTimes, has_all_times, times_in, times_of
from track.provenance.liveness import derive_status
from track.reading.artifacts import ArtifactReader
from track.reading.code import AttemptReader
from track.reading.history import decoded, origins, trial_at, views_at
from track.reading.media import MediaReader
from track.reading.overview import Overview
from track.reading.page import Page, StatusOf, page_of
from track.reading.summary import Condition
from track.reading.views import Attempt as Attempt  # noqa: PLC0414 - is public here
from track.reading.views import Origin, View, code_of
from track.stores.readonly import open_for_reading
from track.stores.which_store import store_uri
from track.structure import AnyStatus, Project, Trial, TrialGroup


class Reader(ArtifactReader, MediaReader, AttemptReader):
    """Reads a store. It never changes the store, but may write caches beside it.

    Parameters
    ----------
    protocol
        the backend of the store, which must have a journal
    tell
        called with notes about an answer, one sentence at a time; by default they are logged, and
        notes about damage are raised as a :class:`~track.errors.DamageWarning`

    Notes
    -----
    The metrics of the returned trials are views (:class:`track.projections.series.Series`), which
    read points only when they are used.

    Trials can be given by uid, by a unique prefix of the uid, or by a unique name. Among several
    revisions of one trial, the latest is used. A time or position (``at``) is anything that
    :func:`track.moment.to_moment` accepts.

    If the event that created a trial is damaged, the trial has what was recorded later, and is
    found by its uid and in lists of all trials.
    """

    @cached_property
    def overview(self) -> Overview:
        """Return an overview of all trials, see :class:`track.reading.overview.Overview`."""
        return Overview(self.protocol)

    def __reduce__(self) -> tuple[Any, ...]:
        return Reader, (self.protocol, self.tell)

    def ui(self, host: str = "127.0.0.1", port: int = 0) -> Any:
        """Show the store in a browser, live, and return the page, whose repr is its address.

        A thread of this process serves the page until its ``close`` is called, with the content of
        ``track ui``. See :class:`track.ui.server.Page`.

        Raises
        ------
        MissingPackage
            starlette or uvicorn is not installed
        """
        return load("track.ui:open_page")(self, host, port)

    def __repr__(self) -> str:
        return f"Reader({without_password(self.protocol.uri or '')!r})"

    def _repr_html_(self) -> str | None:
        return html_of(repr(self), self.projects)

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

    # Objects

    def projects(self, query: Query = None, *, at: When = None) -> list[Project]:
        """Return the projects that match a query, oldest first.

        Raises
        ------
        QueryError
            the query is invalid, or one of its paths exists in no project
        """
        with self._queried("project", query, at) as (objects, checked):
            return list_projects(map(copy_project, objects.find_projects(checked)))

    def groups(self, query: Query = None, *, at: When = None) -> list[TrialGroup]:
        """Return the groups that match a query, oldest first.

        Raises
        ------
        QueryError
            the query is invalid, or one of its paths exists in no group
        """
        with self._queried("group", query, at) as (objects, checked):
            return list_groups(map(copy_group, objects.find_groups(checked)))

    def trials(
        self, query: Query = None, *, at: When = None, archived: bool = False
    ) -> list[Trial]:
        """Return the trials that match a query, oldest first, either archived ones or the others.

        Raises
        ------
        QueryError
            the query is invalid, or one of its paths exists in no trial
        """
        with self._queried("trial", query, at) as (objects, checked):
            find = objects.find_archived if archived else objects.find_trials
            parts = {part.uid: part for part in objects.find_parts(checked, archived=archived)}
            self.tell_of_parts(parts)
            found = [*find(checked), *parts.values()]
            status_in = self.protocol.repository.status_in
            now = {} if at is not None else {one.uid: status_in(objects, one) for one in found}
            return list_trials(map(view_trial, found), objects, now)

    def summaries(
        self,
        where: Iterable[Condition] = (),
        *,
        sort: str | None = None,
        offset: int = 0,
        limit: int | None = None,
        archived: bool | None = False,
        columns: Iterable[str] = (),
        at: When = None,
    ) -> Page:
        """Return a page of the list of trials: summaries as in ``track ls``, without series.

        Parameters
        ----------
        where
            conditions that must all hold: texts as for ``track ls --where``
            (``metrics.loss<0.1``: :func:`track.reading.summary.to_condition`), or pairs of a path
            and a condition of the query language
        sort
            a path such as ``metrics.loss``, or ``-created`` for descending order; by default the
            oldest trial comes first
        offset, limit
            the range of matching trials to return; by default all
        archived
            return archived trials instead of the others; None returns both
        columns
            further paths that must exist in some trial
        at
            the time or position of the state to read

        Raises
        ------
        QueryError
            a condition is invalid, or a path exists in no trial
        """
        with self._state(at) as objects:
            page = page_of(
                objects,
                self.status_in(objects, at),
                where,
                sort=sort,
                offset=offset,
                limit=limit,
                archived=archived,
                columns=columns,
            )
            parts = objects.parts.values()
            self.tell_of_parts(part.uid for part in parts if not objects.is_erased(part.uid))
            return page

    @contextmanager
    def _state(self, at: When) -> Iterator[Objects]:
        """Give all objects, now or as of a moment."""
        read = self.protocol.read_state() if at is None else self.overview.state(at)
        with read as objects:
            yield objects

    def status_in(self, objects: Objects, at: When = None) -> StatusOf:
        """Return the function that computes the status of a trial, now or at a moment."""
        if at is not None:
            return lambda known: known.trial.status
        if self.is_local():
            return lambda known: derive_status(known.trial, known.heartbeats)
        return lambda known: self.protocol.repository.status_in(objects, known.trial)

    def trial(self, which: str | Trial, *, at: When = None) -> Trial:
        """Return a trial, now or at a moment.

        Raises
        ------
        TrialDoesNotExist
            the trial does not exist; the message names similar ones
        """
        if at is not None:
            uid, batches = self.events_of(which)
            return trial_at(self, uid, [*batches], at)
        with self.looking_up([which]) as (_, found):
            return view_trial(found[0])

    def named(self, several: Iterable[str]) -> list[Trial]:
        """Return the given trials without duplicates."""
        with self.looking_up([*several]) as (_, found):
            return [view_trial(trial) for trial in dict.fromkeys(found)]

    def view(self, which: str | Trial, *, at: When = None) -> View:
        """Return everything known about a trial, now or at a moment."""
        return views_at(self, (which, at))[0]

    @contextmanager
    def _queried(self, kind: Kind, query: Query, at: When) -> Iterator[tuple[Objects, Query]]:
        """Give all objects as of a moment, and a query whose paths have been checked."""
        if query is not None and not isinstance(query, Mapping):
            query = list(query)
        with self.protocol.read_state() as now:
            # A path may be missing at that moment if it exists now.
            parts = now.parts.values() if kind == "trial" else ()
            check_paths(query, kind, [*table(now, kind).values(), *parts])
            if at is None:
                yield now, query
                return
        with self.overview.state(at) as then:
            yield then, query

    def media(
        self, which: str | Trial, name: str | None = None, *, at: When = None
    ) -> list[LoggedMedium]:
        return Gallery(super().media(which, name, at=at), self.content_of)

    def files(self, which: str | Trial, *, at: When = None) -> list[LoggedFile]:
        """Return the logged files of a trial, including those in logged folders."""
        return list_files(files_of(self.trial(which, at=at)))

    def open_file(self, which: str | Trial, name: str | LoggedFile, *, at: When = None) -> BinaryIO:
        """Open a logged file of a trial to read its bytes.

        Parameters
        ----------
        which
            the trial
        name
            one of :meth:`files`, its name, the end of its name, or a prefix of its SHA-256
        at
            the moment of the trial

        Raises
        ------
        ItemNotFound
            no file matches, several match, or the content was not kept
        FileDamaged
            the kept content differs from what was logged
        """
        named = name if isinstance(name, LoggedFile) else find_file(self.files(which, at=at), name)
        return open_content(self.protocol.content, named)

    def damage(self) -> list[Damage]:
        """Return the damaged ranges that were skipped so far in a journal on this machine."""
        journal = self.protocol.journal
        return journal.lost() if isinstance(journal, JournalOnDisk) else []

    def status(self, trial: Trial) -> AnyStatus | None:
        """Return the status of a trial: lost if recorded as running while its process is gone."""
        return self.protocol.status_of(trial)

    # History

    def objects(self, at: When = None) -> Objects:
        """Return all objects as of a moment."""
        moment = to_moment(at)
        return self.protocol.as_of(position=moment.position, at_ns=moment.at_ns)

    def report(self, *, at: When = None) -> Iterator[str]:
        """Yield the text of the report, now or at a moment, in pieces."""
        objects = self.objects(at)
        self.tell_of_parts(part.uid for part in objects.parts.values())
        return render_report(objects)

    def events(self, after: int = 0, *, until: When = None) -> Iterator[Recorded]:
        """Yield the events of the store after a position, up to a moment."""
        return decoded(self.protocol.journal.read_batches(after), to_moment(until))

    def recent(self, count: int, which: str | Trial | None = None) -> list[Recorded]:
        """Return the last events of the store, or of a trial, oldest first."""
        journal = self.protocol.journal
        batches = journal.read_last(count) if which is None else self.events_of(which)[1]
        last: deque[tuple[int, bytes]] = deque(maxlen=count)
        for batch in batches:
            last.extend(zip(*batch, strict=True))
        return [decode(*place) for place in last]  # only these need decoding

    def history(self, which: str | Trial, *, until: When = None) -> Iterator[Recorded]:
        """Yield the events of a trial, up to a moment."""
        return decoded(self.events_of(which)[1], to_moment(until))

    def follow(self, after: int | None = None) -> Iterator[Recorded]:
        """Yield the events after a position, by default the last one, and wait for more."""
        journal = self.protocol.journal
        return journal.tail(journal.head() if after is None else after)

    def provenance(self, which: str | Trial, path: str) -> list[Origin]:
        """Return the events that set a value of a trial, oldest first.

        Parameters
        ----------
        which
            the trial
        path
            as in queries: ``status``, ``parameters.lr``, ``metadata.code``, ``metrics.loss`` or, at
            step 3, ``metrics.loss.3``
        """
        return origins(self, which, path)

    def diff(
        self,
        left: str | Trial,
        right: str | Trial,
        *,
        left_at: When = None,
        right_at: When = None,
    ) -> list[Difference]:
        """Return the differences between two trials, or between two moments of one trial.

        Parameters
        ----------
        left, right
            the trials, which may be the same one
        left_at, right_at
            the moments of the two trials
        """
        ours, theirs = views_at(self, (left, left_at), (right, right_at))
        found = list(differences(code_of(ours.attempts), code_of(theirs.attempts)))
        return [*found, *differences_of_trials(ours.trial, theirs.trial)]

    # Tables

    def to_pandas(self, trials: Iterable[Trial] | None = None, *, metrics: bool = False) -> Any:
        """Return a ``pandas.DataFrame``: a row per trial, or per value of their metrics.

        Its columns are those of :func:`track.exchange.tables.trial_rows`, or of
        :class:`track.exchange.tables.MetricRow`; times (``start``, ``end``, ``time``) are
        ``datetime64[ns, UTC]``.

        Raises
        ------
        TrackError
            pandas is not installed
        """
        from track.exchange.frames import metrics_frame, trials_frame

        return (metrics_frame if metrics else trials_frame)(
            *self._for_table(trials, metrics=metrics)
        )

    def to_arrow(self, trials: Iterable[Trial] | None = None, *, metrics: bool = False) -> Any:
        """Return a ``pyarrow.Table``: a row per trial, or per value of their metrics.

        Raises
        ------
        TrackError
            pyarrow is not installed
        """
        from track.exchange.parquet import metrics_table, trials_table

        return (metrics_table if metrics else trials_table)(
            *self._for_table(trials, metrics=metrics)
        )

    def _for_table(
        self, trials: Iterable[Trial] | None, *, metrics: bool
    ) -> tuple[list[Trial], list[TrialGroup], dict[str, TrialTimes]]:
        chosen = self.trials() if trials is None else [*trials]
        with self.protocol.read_state() as objects:
            groups = [*map(copy_group, objects.groups.values())]
            times = {} if metrics else {one.uid: times_in(objects, one) for one in chosen}
        return chosen, groups, self.times_beside(chosen) if metrics else times

    def times(self, trials: Iterable[Trial]) -> dict[str, TrialTimes]:
        """Return the start, end and logging times of trials by uid."""
        return times_of(self.protocol.journal, [trial.uid for trial in trials])

    def times_beside(self, trials: Iterable[Trial]) -> dict[str, TrialTimes]:
        """Return the times of those trials whose metrics lack the times of their values.

        Other metrics are series, which hold the times themselves.
        """
        return self.times(trial for trial in trials if not has_all_times(trial))


def open_store(uri: str | PathLike[str] | None = None) -> Reader:
    """Open a store to read it.

    Parameters
    ----------
    uri
        of any backend with a journal, or a path; by default the option ``log.backend.name``
        (``TRACK_LOG_BACKEND_NAME``), else the only store in this folder

    Raises
    ------
    StoreNotFound
        the file, or the log in a database, does not exist
    BackendError
        the URI cannot be used, or none is given
    """
    return Reader(open_for_reading(store_uri(uri)))
