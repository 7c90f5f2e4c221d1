"""Find out which trials still run, from their heartbeats."""

from __future__ import annotations

import time
from collections.abc import Mapping

from track.configuration import choose, number
from track.events.codec import stream_id
from track.events.types import Heartbeat, ProcessDescribed
from track.journals.producer import Producer
from track.projections.rows import changed_at
from track.provenance.code import code_of_this_process
from track.provenance.process import facts_of_this_process
from track.structure import LOST, AnyStatus, Status, Trial
from track.utils.forking import renew_in_children
from track.utils.process import ProcessId, is_alive, this_process

INTERVAL_NS = 30 * 10**9
"""The least time between heartbeats, which are recorded by log calls."""

LOST_AFTER_S = 600.0
"""The silence after which a trial on another machine is lost."""


class Heartbeats:
    """Records heartbeats of this process in each trial that it runs.

    Parameters
    ----------
    producer
        records the heartbeats
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._heartbeat: Heartbeat | None = None
        """The heartbeat of this process, None before it has run a trial."""
        self._has_code = False
        """Whether the code of this process is recorded."""
        self._running: set[int] = set()
        """The streams of the trials that this process runs."""
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        # The trials are run by the parent, even if the child logs to them.
        self._running, self._heartbeat, self._has_code = set(), None, False

    def start(self, stream: int) -> None:
        """Record the first heartbeat of a trial, and further ones from now on."""
        if self._heartbeat is None:
            self._introduce(this_process())
        if not self._running:
            self._remind_later()
        self._running.add(stream)
        self._record(stream)

    def _introduce(self, process: ProcessId) -> None:
        """Record the facts about this process, once."""
        self._heartbeat = Heartbeat(*process)
        if choose("process.facts", "yes", "no") == "yes":
            described = ProcessDescribed(*process, facts_of_this_process())
            self._producer.record(stream_id("process", process.name()), described)
        if choose("process.code", "no", "yes") == "yes":
            self.describe_code()

    def describe_code(self) -> None:
        """Record the code that this process runs, once."""
        if not self._has_code:
            self._has_code = True
            process = this_process()
            described = ProcessDescribed(*process, code_of_this_process())
            self._producer.record(code_stream(process), described)

    def stop(self, stream: int) -> None:
        """Stop recording heartbeats of a trial."""
        self._running.discard(stream)
        if not self._running:
            self._producer.stop_reminding()

    def beat(self) -> None:
        """Record a heartbeat of each running trial."""
        self._remind_later()
        for stream in list(self._running):
            self._record(stream)

    def _record(self, stream: int) -> None:
        assert self._heartbeat is not None  # set when a trial starts
        self._producer.record(stream, self._heartbeat)

    def _remind_later(self) -> None:
        self._producer.remind(time.time_ns() + INTERVAL_NS, self.beat)


def code_stream(process: ProcessId) -> int:
    """Return the stream of the code that a process runs."""
    return stream_id("code", process.name())


def derive_status(trial: Trial, heartbeats: Mapping[Heartbeat, int]) -> AnyStatus | None:
    """Return the status of a trial: lost, or the recorded one.

    Parameters
    ----------
    trial
        the recorded trial
    heartbeats
        the wall time of the last heartbeat of each process in nanoseconds

    Returns
    -------
    :data:`~track.structure.LOST` for a running trial whose processes all died. A process on another
    machine counts as dead after a silence of ``trial.lost_after`` seconds.
    """
    status = trial.status
    if status is None or not heartbeats or not is_running(status):
        return status
    silent_since_s = time.time() - number("trial.lost_after", LOST_AFTER_S)
    recently = (changed_at(trial) or 0.0) > silent_since_s
    for beat, at in heartbeats.items():
        alive = is_alive(ProcessId(*beat))
        if alive or (alive is None and (recently or at * 1e-9 > silent_since_s)):
            return status
    return LOST


_RUNNING, _ENDED = Status.RunningGroup.value, Status.ErrorGroup.value


def is_running(status: AnyStatus) -> bool:
    """Return whether a status means that the trial is running."""
    return _RUNNING <= status.value < _ENDED
