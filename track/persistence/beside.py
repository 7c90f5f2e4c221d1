"""Implement the calls that record output, media, artifacts, alerts and code of a trial."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from track.attachments.file_facts import artifact_files
from track.attachments.kept_artifacts import KeptArtifact
from track.attachments.media import media_logged
from track.events.types import ArtifactLogged, ArtifactUsed, Event, OutputCaptured, SystemSampled
from track.journals.journal import Journal
from track.journals.producer import Producer
from track.persistence.commands import Change, TrialCommands
from track.persistence.protocol import Protocol
from track.projections.artifacts import (
    LATEST,
    artifacts_in,
    check_name,
    digest_of,
    find_artifact,
    id_of,
)
from track.projections.media import media_stream
from track.projections.objects import Objects
from track.projections.output import output_stream
from track.projections.system import system_stream
from track.projections.validation import check_key
from track.provenance.liveness import Heartbeats
from track.structure import Trial

if TYPE_CHECKING:
    from track.media import Medium


class RecordsBeside(Protocol):
    """The part of :class:`~track.persistence.journaled.JournaledProtocol` for such calls."""

    producer: Producer
    journal: Journal
    _trial_commands: TrialCommands
    _heartbeats: Heartbeats

    def _stream_of(self, trial: Trial) -> int:
        """Return the stream of an existing trial."""
        raise NotImplementedError

    def read_state(self) -> AbstractContextManager[Objects]:
        """Give the current objects for exclusive use."""
        raise NotImplementedError

    def _record(self, stream: int, change: Change) -> Event:
        """Record the event of a change."""
        raise NotImplementedError

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
        if name is None and isinstance(path, str):
            name = os.path.basename(os.path.abspath(path))
        name = check_name(name)
        files = artifact_files(path, self.keep_content)
        event = ArtifactLogged(id_of(name), digest_of(files), name, files)
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

    def raise_trial_alert(
        self, trial: Trial, title: str, text: str = "", level: Any = "warning"
    ) -> None:
        stream = self._stream_of(trial)
        self._record(stream, self._trial_commands.raise_trial_alert(title, text, level))

    def define_trial_metric(
        self, trial: Trial, name: str, summary: str | None = None, goal: str | None = None
    ) -> None:
        stream = self._stream_of(trial)
        self._record(stream, self._trial_commands.define_trial_metric(name, summary, goal))
