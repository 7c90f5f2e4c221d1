"""Record the runs of another tool in a store, as events with their original times."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from time import time_ns
from typing import Any

from track.attachments.media import media_logged
from track.containers.points import LARGEST
from track.errors import EncodingError
from track.events.codec import MAX_SEQUENCE, Encoder, fields_of, stream_id
from track.events.types import (
    ArgumentsLogged,
    Event,
    MediaLogged,
    MetadataLogged,
    MetricsLogged,
    OutputCaptured,
    StatusChanged,
    SystemSampled,
    TagsAdded,
    TrialArchived,
    TrialFinished,
    TrialStarted,
)
from track.exchange.copying import append_missing, journaled
from track.exchange.source_run import NS, Entry, MediaFound, Source, SourceRun, Unreadable
from track.persistence.journaled import JournaledProtocol
from track.persistence.protocol import Protocol
from track.projections.media import media_stream
from track.projections.output import output_stream
from track.projections.system import system_stream
from track.projections.trials import stream_of
from track.projections.validation import trial_created
from track.structure import Project, Status, Trial, TrialGroup
from track.utils.progress import Progress, no_progress
from track.versioning import file_hash

SOURCE = "source"
"""The metadata key that identifies an imported trial in its original tool."""


@dataclass
class ImportedRuns:
    """What an import added to a store.

    Attributes
    ----------
    projects, groups, trials
        the numbers of objects that were added
    continued
        the number of existing trials to which something was added
    events
        the number of events that were added to the trials: logged values, starts, ends
    files
        the number of files that were imported
    problems
        what could not be imported, in sentences
    """

    projects: int = 0
    groups: int = 0
    trials: int = 0
    continued: int = 0
    events: int = 0
    files: int = 0
    problems: list[str] = field(default_factory=list)


def import_runs(
    store: Protocol, runs: Iterable[Source], *, progress: Progress = no_progress
) -> ImportedRuns:
    """Record runs of another tool in a store, except what the store already has.

    Each run becomes a trial. The key of the run, kept as ``source`` in the trial's metadata, and
    the original position of each value show what was imported before: importing again adds what is
    new, and completes an interrupted import.

    Parameters
    ----------
    store
        an opened backend that has a journal, as all built-in ones do
    runs
        runs as :func:`track.exchange.read_runs` yields them
    progress
        called after each run

    Returns
    -------
    What was added, and what could not be imported.

    Raises
    ------
    JournalError
        the store cannot be read or written; call this again to resume
    BackendError
        the store has no journal

    Notes
    -----
    Values, starts and ends keep the times that the tool recorded, so series, attempts and durations
    are those of the original run. Several values at one step keep their order, and the last one
    counts. A run that cannot be recorded, or that was erased in the store, is left out as a whole
    and listed among the problems.
    """
    store = journaled(store)
    done = ImportedRuns()
    started, touched = set[str](), set[str]()
    for count, run in enumerate(runs, 1):
        if isinstance(run, Unreadable):
            done.problems.append(f"{run.where}: {run.why}")
            continue
        writer = _Writer(store, run)
        try:
            writer.record(done)
        except EncodingError as error:
            run.miss(f"the run was left out: {error}")
        (started if writer.is_new else touched if writer.added else set()).add(writer.uid)
        done.problems += [
            f"{run.key}: {what}" + (f" ({times} times)" if times > 1 else "")
            for what, times in run.problems.items()
        ]
        progress(count, count)
    done.trials, done.continued = len(started), len(touched - started)
    store.commit()
    return done


def _set_metadata(values: dict[str, Any]) -> MetadataLogged:
    return MetadataLogged(values, None)


class _Writer:
    """Records one run."""

    def __init__(self, store: JournaledProtocol, run: SourceRun) -> None:
        self._store, self._journal, self._run = store, store.journal, run
        digest = run.uid or sha256(run.key.encode("utf-8", "surrogatepass")).hexdigest()
        self._trial = Trial(_hash=digest)
        self.uid = self._trial.uid
        self._stream = stream_of(self.uid)
        self._streams: dict[type[Event], int] = {
            MediaLogged: media_stream(self.uid),
            OutputCaptured: output_stream(self.uid),
            SystemSampled: system_stream(self.uid),
        }
        self._encoder = Encoder()
        self.is_new = False
        self.added = 0
        """The number of added events."""

    def record(self, done: ImportedRuns) -> None:
        """Record the parts of the run that the store lacks."""
        found = self._found()
        if found is None and self._journal.last_sequence(self._producer("created")):
            self._run.miss("it was erased in this store, so it is not imported again")
            return
        files = self._keep_files({} if found is None else found.metadata)
        self._describe_trial()
        created = trial_created(self._trial, self._trial.hash, self._trial.revision)
        start = self._run.started_ns or 0
        self._encode(Entry(1, start, created), 0)  # so that nothing is added if this fails
        self._add_parents(done)
        self.is_new = bool(self._append("created", [Entry(1, start, created)]))
        done.files += files
        if self._run.started_ns is not None:
            self._append(f"attempt:{self._run.part}", [Entry(1, start, TrialStarted())])
        for log in self._run.logs:
            self._append(f"log:{self._run.part}:", log.entries, log.name)
        if not self.is_new:
            self._update()
        self._append(f"attempt:{self._run.part}", self._end())
        if self._run.is_archived:
            self._append("archived", [Entry(1, time_ns(), TrialArchived())])
        done.events += self.added - self.is_new

    def _found(self) -> Trial | None:
        """Return the trial from the store, archived or not."""
        query = {"uid": self.uid}
        found = self._store.fetch_trials(query) or self._store.fetch_archived_trials(query)
        return found[0] if found else None

    def _keep_files(self, known: dict[str, Any]) -> int:
        """Import files that are not in the metadata yet, and return their number."""
        kept = 0
        for name, path in self._run.files.items():
            key = f"file:{name}"
            facts = known.get(key)
            with self._run.leave_out(f"the file {name}"):
                if isinstance(facts, dict) and facts.get("sha256") == file_hash(path):
                    self._run.metadata[key] = facts
                    continue
                size, digest = self._store.keep_content(path)
                self._run.metadata[key] = {"name": name, "size": size, "sha256": digest}
                kept += 1
        return kept

    def _describe_trial(self) -> None:
        run, trial = self._run, self._trial
        trial.name, trial.description, trial.version = run.name, run.description, run.version
        trial.project_id = run.project
        trial.parameters, trial.tags = run.parameters, run.tags
        trial.metadata = {SOURCE: run.key, **run.metadata}
        trial.status = run.status if run.ended_ns is None else Status.Running
        if run.group is not None:
            trial.group_id = TrialGroup(name=run.group, project_id=run.project).uid

    def _add_parents(self, done: ImportedRuns) -> None:
        project = Project(name=self._run.project)
        done.projects += self._store.new_project(project) is project
        if self._run.group is not None:
            group = TrialGroup(name=self._run.group, project_id=self._run.project)
            done.groups += self._store.new_trial_group(group) is group

    def _update(self) -> None:
        """Record parameters, tags, metadata and status that changed since the last import."""
        there = self._found()
        if there is None:  # it has just been erased
            return
        described: list[tuple[Callable[[Any], Event], dict[str, Any], dict[str, Any]]] = [
            (ArgumentsLogged, self._trial.parameters, there.parameters),
            (TagsAdded, self._trial.tags, there.tags),
            (_set_metadata, self._trial.metadata, there.metadata),
        ]
        for described_by, now, before in described:
            news = {
                name: value
                for name, value in now.items()
                if name not in before or repr(before[name]) != repr(value)
            }
            if news:
                self._append_now(described_by(news))
        status = self._run.status
        if self._run.ended_ns is None and there.status != status:
            self._append_now(StatusChanged(status.name, status.value, self._run.error))

    def _append_now(self, event: Event) -> None:
        """Append an event that sets a current state, so appending it twice does no harm."""
        producer = int.from_bytes(os.urandom(8), "big") >> 1
        self.added += append_missing(self._journal, [self._payload(event, producer, 1, time_ns())])

    def _end(self) -> Iterator[Entry]:
        start, end = self._run.started_ns, self._run.ended_ns
        if end is None:
            return
        status = self._run.status
        elapsed = None if start is None else max(end - start, 0) / NS
        failure = None
        if self._run.error is not None:
            failure = {"message": self._run.error.strip().rpartition("\n")[2]}
            failure["traceback"] = self._run.error
        yield Entry(2, end, StatusChanged(status.name, status.value, self._run.error))
        yield Entry(3, end, TrialFinished(elapsed, None, failure))

    def _producer(self, log: str) -> int:
        return stream_id("import", f"{self.uid}:{log}")

    def _append(self, kind: str, entries: Iterable[Entry], log: str = "") -> int:
        """Append the events of a log that the journal lacks, and return their number."""
        # Each log is the producer of its events, so the journal knows the last one it has.
        producer_of = cache(lambda name: self._producer(f"{kind}{log if name is None else name}"))
        payloads = (
            payload for entry in entries for payload in self._encode(entry, producer_of(entry.log))
        )
        added = append_missing(self._journal, payloads)
        self.added += added
        return added

    def _encode(self, entry: Entry, producer: int) -> list[bytes]:
        """Return the payload of an event, without the values that cannot be logged.

        Raises
        ------
        EncodingError
            the event cannot be recorded even without some of its values
        """
        sequence, at_ns, event, _ = entry
        if not 0 < sequence <= MAX_SEQUENCE:
            self._run.miss(f"an event beyond position {MAX_SEQUENCE} of a log was left out")
            return []
        if isinstance(event, MediaFound):
            event = self._media_logged(event)
            return [self._payload(event, producer, sequence, at_ns)] if event.values else []
        try:
            return [self._payload(event, producer, sequence, at_ns)]
        except EncodingError:
            if not isinstance(event, MetricsLogged):
                raise
        taken = {}
        for name, value in event.values.items():
            with self._run.leave_out(f"a value of {name!r}", EncodingError):
                self._payload(event._replace(values={name: value}), producer, sequence, at_ns)
                taken[name] = value
        if not taken:
            return []
        return [self._payload(event._replace(values=taken), producer, sequence, at_ns)]

    def _media_logged(self, found: MediaFound) -> MediaLogged:
        """Keep the contents of media; return their event, without those that cannot be kept."""
        logged = MediaLogged(found.step, {})
        for name, media in found.media.items():
            with self._run.leave_out(f"a medium of {name!r}"):
                logged.values.update(media_logged(self._store.content, None, {name: media}).values)
        return logged

    def _payload(self, event: Event, producer: int, sequence: int, at_ns: int) -> bytes:
        at_ns = min(max(at_ns, 0), LARGEST)
        fields = fields_of(event)
        stream = self._streams.get(type(event), self._stream)
        return self._encoder.encode(type(event), fields, stream, producer, sequence, at_ns)
