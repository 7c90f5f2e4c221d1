"""Sample the machine periodically while a trial runs."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from track.configuration import number
from track.errors import TrackError

if TYPE_CHECKING:
    from track.machine.sources import Source

logger = logging.getLogger(__name__)

SHORTEST_INTERVAL_S = 0.1

_LONGEST_SAMPLE_S = 5.0
"""How long the end of a trial waits for a driver that does not respond."""


class Sampler:
    """Measures the machine in a separate thread and passes each sample to a function.

    The thread ends with the process, and forked children have none. It never holds a lock that a
    log call waits for.

    Parameters
    ----------
    record
        called in the thread with each sample, a dictionary of values
    interval_s
        the time between two samples in seconds

    Raises
    ------
    MissingPackage
        psutil is not installed
    TrackError
        the interval is shorter than :data:`SHORTEST_INTERVAL_S`
    """

    def __init__(self, record: Callable[[dict[str, float]], None], interval_s: float) -> None:
        if not interval_s >= SHORTEST_INTERVAL_S:
            raise TrackError(
                f"an interval of {interval_s} s for system metrics is too short: use at least "
                f"{SHORTEST_INTERVAL_S} s"
            )
        from track.machine.sources import require_psutil  # few runs need what it imports

        require_psutil()
        self._record = record
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="track-sampler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take a last sample and return when it is recorded."""
        if self._pid == os.getpid() and threading.current_thread() is not self._thread:
            self._stop.set()
            self._thread.join(_LONGEST_SAMPLE_S)

    def _run(self) -> None:
        from track.machine.sources import find_sources

        sources = dict(find_sources())
        is_over = False
        while not is_over:
            is_over = self._stop.wait(self._interval_s)
            sample = _measure(sources)
            try:
                self._record(sample)
            except (TrackError, OSError, NotImplementedError) as error:
                logger.warning("system metrics are no longer recorded: %s", error)
                return


class Sampling:
    """Samples the machine for one trial on request.

    Parameters
    ----------
    record
        records a sample, given with ``rank=``, see ``Protocol.log_trial_system_metrics``
    """

    def __init__(self, record: Callable[..., None]) -> None:
        self._record = record
        self._sampler: Sampler | None = None

    def start(self, interval_s: float) -> None:
        """Start sampling at an interval."""
        self.stop()
        self._sampler = Sampler(partial(self._record, rank=rank_of_this_process()), interval_s)

    def start_if_asked(self) -> None:
        """Start sampling if the option ``system.interval`` is set."""
        if interval_s := number("system.interval", 0):
            self.start(interval_s)

    def stop(self) -> None:
        """Take a last sample if sampling was started."""
        if self._sampler is not None:
            self._sampler.stop()
            self._sampler = None


def rank_of_this_process() -> int | None:
    """Return the rank of this process in a distributed training, None outside of one."""
    for variable in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"):
        rank = os.environ.get(variable, "")
        if rank.isdecimal():
            return int(rank)
    return None


def _measure(sources: dict[str, Source]) -> dict[str, float]:
    """Return the measurements of all sources, and remove those that fail."""
    sample: dict[str, float] = {}
    for name, source in list(sources.items()):
        try:
            sample.update(source())
        except Exception:  # noqa: PERF203 - drivers may raise anything
            logger.warning("the %s can no longer be measured", name, exc_info=True)
            del sources[name]
    return sample
