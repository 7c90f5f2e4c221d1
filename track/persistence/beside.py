"""Implement the calls that record what belongs to a trial beside its values."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from track.events.types import Event, OutputCaptured, SystemSampled
from track.journals.producer import Producer
from track.persistence.commands import Change, TrialCommands
from track.persistence.liveness import Heartbeats
from track.persistence.media import media_logged
from track.persistence.protocol import Protocol
from track.persistence.validation import check_key
from track.projections.media import media_stream
from track.projections.output import output_stream
from track.projections.system import system_stream
from track.structure import Trial

if TYPE_CHECKING:
    from track.media import Medium


class RecordsBeside(Protocol):
    """The part of :class:`~track.persistence.journaled.JournaledProtocol` for such calls."""

    producer: Producer
    _trial_commands: TrialCommands
    _heartbeats: Heartbeats

    def _stream_of(self, trial: Trial) -> int:
        """Return the stream of an existing trial."""
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
