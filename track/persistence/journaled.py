"""Implement the Protocol over any journal: append an event, fold, and answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from track.attachments.file_facts import artifact_logged
from track.attachments.kept_artifacts import KeptArtifact
from track.attachments.media import media_logged
from track.errors import (
    JournalClosed,
    JournalUnreachable,
    ReportWriteError,
    StorageWarning,
    TrialDoesNotExist,
    warn,
)
from track.events.codec import decode, stream_id
from track.events.types import (
    ArtifactUsed,
    Event,
    GroupCreated,
    MetricsLogged,
    OutputCaptured,
    ProjectCreated,
    Recorded,
    SystemSampled,
    TrialAddedToGroup,
    TrialAddedToProject,
    TrialFinished,
)
from track.journals.buffered import BufferedJournal
from track.journals.journal import Journal
from track.journals.producer import Producer
from track.persistence.commands import (
    Change,
    GroupCommands,
    TrialCommands,
    chrono_sink,
    command_named,
    metrics_sink,
)
from track.persistence.deferred import travelling
from track.persistence.local_repository import LocalRepository
from track.persistence.protocol import (
    AggregatorFactory,
    ChronoSink,
    MetricsSink,
    Protocol,
    Query,
)
from track.persistence.repository import (
    Kind,
    Precondition,
    Repository,
    exists_already,
    no_home,
)
from track.persistence.storage import check_report, write_report
from track.projections.artifacts import LATEST, artifacts_in, find_artifact
from track.projections.copies import to_plain
from track.projections.history import as_of, ends_by
from track.projections.media import media_stream
from track.projections.metrics import add_values
from track.projections.objects import Objects
from track.projections.output import output_stream
from track.projections.report import render_report
from track.projections.system import system_stream
from track.projections.trials import UPDATE_COUNT, stream_of
from track.projections.validation import check_dictionaries, check_key, check_uid, trial_created
from track.provenance.liveness import Heartbeats
from track.structure import AnyStatus, Project, Trial, TrialGroup

if TYPE_CHECKING:
    from track.media import Medium


class JournaledProtocol(Protocol):
    """A backend on an event journal.

    Parameters
    ----------
    journal
        the journal of the events
    strict
        refuse trials and groups whose project or group does not exist
    eager
        commit at the end of each trial
    """

    def __init__(
        self, journal: Journal, *, strict: bool = True, eager: bool = False, uri: str | None = None
    ) -> None:
        super().__init__(uri)
        self.journal = journal
        self.strict = strict
        self.eager = eager
        self._buffer_on_error = False
        self.producer = Producer(journal)
        self.repository = self._make_repository(journal)
        self._streams: dict[tuple[str | None, int | str], int] = {}
        """The streams of the trials known to exist, by hash and revision."""
        self._group_commands = GroupCommands()
        self._heartbeats = Heartbeats(self.producer)
        self._trial_commands = TrialCommands(self.producer, self._heartbeats)

    def _make_repository(self, journal: Journal) -> Repository:
        """Return the repository that makes decisions and answers queries."""
        return LocalRepository(journal, self.producer)

    def forgive_failed_writes(self) -> None:
        if not self._buffer_on_error:
            self._buffer_on_error = True
            self.journal = BufferedJournal(self.journal)
            self.producer.write_to(self.journal)
            if isinstance(self.repository, LocalRepository):
                self.repository.journal = self.journal

    def __copy__(self) -> JournaledProtocol:
        return self

    def __deepcopy__(self, memo: Any) -> JournaledProtocol:
        return self  # copies in one process share it, like its threads

    def __reduce__(self) -> tuple[Any, ...]:
        return travelling(self, self._buffer_on_error, self.strict, self.eager)

    def when_idle(self, callback: Callable[[], None]) -> None:
        self.producer.when_idle(callback)

    # Reading and deciding

    def read_state(self) -> AbstractContextManager[Objects]:
        """Give the current objects for exclusive use."""
        return self.repository.read_state()

    def exclusive_state(self) -> AbstractContextManager[Objects]:
        """Give the current objects; no decisions are made elsewhere meanwhile."""
        return self.repository.exclusive_state()

    def status_of(self, trial: Trial) -> AnyStatus | None:
        return self.repository.status_of(trial.uid, stream_of(trial.uid))

    # Projects

    def new_project(self, project: Project) -> Project:
        uid = check_uid("project", project.uid)
        check_dictionaries("project", project, "metadata")
        event = ProjectCreated(uid, project.description, to_plain(project.metadata))
        expected = [Precondition("project", uid, "absent")]
        unmet = self.repository.append_if(stream_id("project", uid), event, expected)
        return project if unmet is None else self.repository.home("project", uid)

    def get_project(self, project: Project) -> Project | None:
        found: Project | None = self.repository.home("project", project.uid)
        return found

    def fetch_projects(self, query: Query = None) -> list[Project]:
        return self.repository.find("project", query)

    def add_project_trial(self, project: Project, trial: Trial) -> None:
        self._stream_of(trial)
        self.producer.record(self._home("project", project.uid), TrialAddedToProject(trial.uid))

    # Groups

    def new_trial_group(self, group: TrialGroup) -> TrialGroup | None:
        uid = check_uid("trial group", group.uid)
        check_dictionaries("trial group", group, "metadata")
        event = GroupCreated(
            uid, group.name, group.description, to_plain(group.metadata), group.project_id
        )
        expected = [Precondition("group", uid, "absent"), *self._project_of(group)]
        unmet = self.repository.append_if(stream_id("group", uid), event, expected)
        return None if exists_already(unmet) else group

    def get_trial_group(self, group: TrialGroup) -> TrialGroup | None:
        found: TrialGroup | None = self.repository.home("group", group.uid)
        return found

    def fetch_groups(self, query: Query = None) -> list[TrialGroup]:
        return self.repository.find("group", query)

    def fetch_and_update_group(
        self, query: Query, attr: str, *args: Any, **kwargs: Any
    ) -> TrialGroup:
        updated: TrialGroup = self._fetch_and_update(
            "group", query, command_named(self._group_commands, attr)(*args, **kwargs)
        )
        return updated

    def set_group_metadata(self, group: TrialGroup, **kwargs: Any) -> None:
        stream = self._home("group", group.uid)
        self._record(stream, self._group_commands.set_group_metadata(**kwargs))

    def add_group_trial(self, group: TrialGroup, trial: Trial) -> None:
        self._stream_of(trial)
        self.producer.record(self._home("group", group.uid), TrialAddedToGroup(trial.uid))

    def _home(self, kind: Kind, uid: Any) -> int:
        """Return the stream of an existing project or group."""
        if not self.repository.knows(kind, uid):
            raise no_home(kind, uid)
        return stream_id(kind, uid)

    # Making and finding trials

    def new_trial(self, trial: Trial, auto_increment: bool = False) -> Trial | None:
        digest, revision = trial.hash, trial.revision
        parents = self._project_of(trial)
        if self.strict and trial.group_id is not None:
            parents.append(Precondition("group", trial.group_id, "present"))
        while True:
            uid = f"{digest}_{revision}"
            event, stream = trial_created(trial, digest, revision), stream_id("trial", uid)
            expected = [Precondition("trial", uid, "absent"), *parents]
            unmet = self.repository.append_if(stream, event, expected)
            if not exists_already(unmet):
                break
            if not auto_increment:
                return None
            revision = self.repository.next_revision(digest)
        trial._hash, trial.revision = digest, revision
        trial.metadata[UPDATE_COUNT] = 0
        self._streams[digest, revision] = stream
        return trial

    def get_trial(self, trial: Trial) -> list[Trial] | None:
        return self.repository.revisions(trial.uid)

    def fetch_trials(self, query: Query = None) -> list[Trial]:
        return self.repository.find("trial", query)

    def fetch_archived_trials(self, query: Query = None) -> list[Trial]:
        return self.repository.find("archived", query)

    def fetch_and_update_trial(self, query: Query, attr: str, *args: Any, **kwargs: Any) -> Trial:
        updated: Trial = self._fetch_and_update(
            "trial", query, command_named(self._trial_commands, attr)(*args, **kwargs)
        )
        return updated

    def _fetch_and_update(self, kind: Kind, query: Query, change: Change) -> Any:
        updated = self.repository.update(kind, query, change.event_of)
        self._follow_up(stream_id(kind, updated.uid), change)
        return updated

    def _record(self, stream: int, change: Change) -> Event:
        event = change.event_of(stream)
        self.producer.record(stream, event)
        self._follow_up(stream, change)
        return event

    def _follow_up(self, stream: int, change: Change) -> None:
        if change.then is not None:
            change.then(stream)
        if change.ends_trial and self.eager:
            self._commit_at_end()

    def _project_of(self, child: TrialGroup | Trial) -> list[Precondition]:
        """Return the precondition that the project of a new object exists."""
        if not self.strict or child.project_id is None:
            return []
        return [Precondition("project", child.project_id, "present")]

    def _stream_of(self, trial: Trial) -> int:
        """Return the stream of an existing trial.

        Raises
        ------
        TrialDoesNotExist
            the trial was never inserted
        """
        key = trial._hash, trial.revision
        return self._streams.get(key) or self._find_stream(key, trial.uid)

    def _find_stream(self, key: tuple[str | None, int | str], uid: str) -> int:
        if not self.repository.knows("trial", uid):
            raise TrialDoesNotExist(
                f"the trial {uid} is not in this store: insert it with new_trial first"
            )
        stream = self._streams[key] = stream_id("trial", uid)
        return stream

    # Recording what happens to a trial

    def log_trial_metrics(
        self,
        trial: Trial,
        step: Any = None,
        aggregator: AggregatorFactory | None = None,
        **kwargs: Any,
    ) -> None:
        change = self._trial_commands.log_trial_metrics(step, aggregator, **kwargs)
        event = self._record(self._stream_of(trial), change)
        assert isinstance(event, MetricsLogged)  # by construction
        if step is not None and aggregator is None:
            # Metrics of the given trial are plain dictionaries, like those of fetched trials.
            for name in kwargs:
                trial.metrics.setdefault(name, {})
        add_values(trial.metrics, step, kwargs, event.aggregator)

    def metrics_sink(self, trial: Trial) -> MetricsSink:
        stream = self._stream_of(trial)
        trial.read_metrics_from(partial(self.repository.metrics, trial.uid))
        return metrics_sink(self.producer, stream)

    def set_trial_status(self, trial: Trial, status: AnyStatus, error: Any = None) -> None:
        self._record(self._stream_of(trial), self._trial_commands.set_trial_status(status, error))
        trial.status = status
        if error is not None:
            trial.errors.append(str(error))

    def log_late_start(self, trial: Trial, waited_s: float) -> None:
        self._trial_commands.waited_s[self._stream_of(trial)] = waited_s
        self.log_trial_start(trial)  # which users' subclasses may extend

    def log_trial_finish(
        self, trial: Trial, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None
    ) -> None:
        change = self._trial_commands.log_trial_finish(exc_type, exc_val, exc_tb)
        event = self._record(self._stream_of(trial), change)
        assert isinstance(event, TrialFinished)  # by construction
        trial.failure = event.failure

    def _commit_at_end(self) -> None:
        try:
            self.commit()
        except (JournalUnreachable, ReportWriteError) as error:
            if not self._buffer_on_error:
                raise
            warn(str(error), StorageWarning)

    def chrono_sink(self, trial: Trial, **options: Any) -> ChronoSink:
        if options:
            return super().chrono_sink(trial, **options)
        return chrono_sink(self.producer, self._stream_of(trial))

    # Recording beside a trial

    def log_trial_system_metrics(
        self, trial: Trial, values: dict[str, float], rank: int | None = None
    ) -> None:
        self._stream_of(trial)
        event = SystemSampled(os.uname().nodename, os.getpid(), rank, values)
        self.producer.record(system_stream(trial.uid), event)

    def log_trial_output(
        self, trial: Trial, lines: list[list[Any]], rank: int | None = None
    ) -> None:
        self._stream_of(trial)
        event = OutputCaptured(os.uname().nodename, os.getpid(), rank, lines)
        self.producer.record(output_stream(trial.uid), event)

    def log_trial_artifact(
        self, trial: Trial, path: str | Mapping[str, str], name: str | None = None
    ) -> str:
        stream = self._stream_of(trial)
        event = artifact_logged(path, name, self.keep_content)
        self.producer.record(stream, event)
        return event.sha256

    def use_trial_artifact(self, trial: Trial, name: str, version: Any = LATEST) -> KeptArtifact:
        stream = self._stream_of(trial)
        with self.read_state() as objects:
            known = artifacts_in(one.trial for one in objects.known_trials())
        found = find_artifact(known, name, version)
        self.producer.record(stream, ArtifactUsed(found.name, found.sha256))
        return KeptArtifact(found, self.journal, self.content)

    def log_process_code(self) -> None:
        self._heartbeats.describe_code()

    def log_trial_media(
        self, trial: Trial, step: Any, media: Mapping[str, Sequence[Medium]]
    ) -> None:
        check_key("the step", step)
        self._stream_of(trial)
        event = media_logged(self.content, step, media)
        self.producer.record(media_stream(trial.uid), event)

    # The journal as a whole

    def events(self, after: int = 0) -> Iterator[Recorded]:
        """Yield every event after a position of the journal."""
        with self.producer.busy():  # a signal handler that ends a trial must wait
            batches = self.journal.read_batches(after)
        for positions, payloads in batches:
            yield from map(decode, positions, payloads)

    def trial_history(self, trial: Trial) -> list[Recorded]:
        """Return the events of a trial, in order."""
        with self.producer.busy():
            batches = self.journal.read_stream(stream_of(trial.uid))
        return [recorded for batch in batches for recorded in map(decode, *batch)]

    def as_of(self, *, position: int | None = None, at_ns: int | None = None) -> Objects:
        """Return all objects as of a position or a time, see :mod:`track.projections`."""
        ends = None if at_ns is None else ends_by(self.journal.read_batches(), at_ns)
        return as_of(self.journal.read_batches(), position=position, ends=ends)

    def commit(self, file_name_override: str | None = None, **kwargs: Any) -> None:
        """Sync everything recorded to stable storage, and write the report if a file is named."""
        self.journal.sync()
        if file_name_override is not None:
            self.write_report(os.path.abspath(file_name_override))

    def write_report(self, path: str) -> None:
        """Write the report to a file, which must be a report or not exist."""
        check_report(path)
        with self.read_state() as objects:
            write_report(path, render_report(objects))

    def close(self) -> None:
        """Commit and release the journal."""
        try:
            self.repository.close()
        except JournalClosed:
            return
        finally:
            self.journal.close()


def _recording(name: str) -> Callable[..., None]:
    """Make a method that records the event of the command with its name."""

    @wraps(getattr(Protocol, name))
    def record(self: JournaledProtocol, trial: Trial, *args: Any, **kwargs: Any) -> None:
        change = getattr(self._trial_commands, name)(*args, **kwargs)
        self._record(self._stream_of(trial), change)

    return record


for _name in vars(TrialCommands):
    if not _name.startswith("_") and _name not in vars(JournaledProtocol):
        setattr(JournaledProtocol, _name, _recording(_name))
