"""Record the output and the resource usage of the process that runs a trial."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from track.machine.sampler import Sampling
from track.output.capture import OutputCapture
from track.persistence.protocol import Protocol
from track.structure import Trial

if TYPE_CHECKING:
    from track.utils.out import RingOutputDecorator


class ProcessLogger:
    """Adds recordings of the running process to a :class:`~track.logger.TrialLogger`.

    Parameters
    ----------
    trial, protocol
        see :class:`~track.logger.TrialLogger`
    """

    def __init__(self, trial: Trial, protocol: Protocol) -> None:
        self.stdout: RingOutputDecorator | None = None
        self._output = OutputCapture(partial(protocol.log_trial_output, trial))
        self._sampling = Sampling(partial(protocol.log_trial_system_metrics, trial))

    def insert(self, parameters: dict[str, Any] | None = None) -> None:
        """Insert the trial if it is still waiting for its arguments."""
        raise NotImplementedError

    def log_metadata(self, values: Any = None, /, aggregator: Any = None, **kwargs: Any) -> None:
        """Log arbitrary data about the trial."""
        raise NotImplementedError

    def _start_requested(self) -> None:
        """Start the recordings that options request."""
        self._output.start_if_asked()
        self._sampling.start_if_asked()

    def _stop_all(self) -> None:
        """Record what is left and stop."""
        self._release_output()
        self._output.stop()
        self._release_output()  # it may have been wrapped by the other capture
        self._sampling.stop()

    def log_system_metrics(self, interval: float = 15.0) -> None:
        """Sample this process and its machine from now until the trial finishes.

        ``track.open(…).system_metrics(trial)``, ``track show`` and ``track ui`` show the samples:
        processor, memory, disks, network and GPUs. They are stored separately from its metrics.
        With the option ``system.interval`` (``TRACK_SYSTEM_INTERVAL``), each trial is sampled from
        its start.

        Parameters
        ----------
        interval
            the time between two samples in seconds, at least 0.1

        Raises
        ------
        MissingPackage
            psutil is not installed
        """
        self.insert()
        self._sampling.start(interval)

    def log_output(self, limit: int | None = None) -> None:
        """Record everything this process and its children print until the trial finishes.

        ``track.open(…).output(trial)``, ``track output`` and ``track ui`` show the lines of stdout
        and stderr with their times. The output still appears as usual, and is stored separately
        from the events of the trial. With the option ``output.capture = yes``
        (``TRACK_OUTPUT_CAPTURE``), the output of each trial is recorded from its start.

        Parameters
        ----------
        limit
            the bytes to record at once, and again in each day; beyond it, lines are left out and
            counted, but never the last ones. By default, the option ``output.limit``
            (``TRACK_OUTPUT_LIMIT``), or 16 MiB. If several trials run in this process at once,
            the limit of the first applies to all

        Raises
        ------
        TrackError
            the limit is not positive
        """
        self.insert()
        self._output.start(limit)

    def capture_output(self, output_size: int = 50) -> None:
        """Keep the last writes to ``sys.stdout`` until the trial finishes.

        :meth:`log_output` records all output, including that of child processes.

        Parameters
        ----------
        output_size
            the number of writes to keep: :attr:`stdout` returns them, and at the end they become
            the metadata ``stdout``
        """
        from track.utils.out import Nowhere, RingOutputDecorator

        self._release_output()
        self.stdout = RingOutputDecorator(sys.stdout or Nowhere(), output_size)
        sys.stdout = self.stdout

    def _release_output(self) -> None:
        """Restore standard output, unless something else captures it by now."""
        if self.stdout is not None and sys.stdout is self.stdout:
            sys.stdout = self.stdout.stream
            self.log_metadata(stdout=self.stdout.output())
