"""Time the blocks of a trial, and estimate the remaining time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from track.persistence.protocol import DEFAULT_CHRONO, AggregatorFactory, ChronoSink, Protocol
from track.recording.running import LoggerChronoContext
from track.structure import Trial
from track.utils.stat import StatStream

if TYPE_CHECKING:
    from track.utils.eta import EstimatedTime


class BlockTimer:
    """Adds timers to a :class:`~track.logger.TrialLogger`."""

    trial: Trial
    protocol: Protocol
    _chronos: ChronoSink | None = None
    _eta: EstimatedTime | None = None
    _show_eta: Callable[..., Any] | None = None

    def insert(self, parameters: dict[str, Any] | None = None) -> None:
        """Insert the trial if it is still waiting for its arguments."""
        raise NotImplementedError

    def chrono(
        self,
        name: str,
        aggregator: AggregatorFactory = DEFAULT_CHRONO,
        start_callback: Callable[[], Any] | None = None,
        end_callback: Callable[[], Any] | None = None,
    ) -> LoggerChronoContext:
        """Start a timer to measure the time spent in a block.

        Parameters
        ----------
        name
            name of the timer
        aggregator
            how to save the values; by default only their mean, deviation, minimum, maximum and
            count are kept
        start_callback
            function that is called once the timer starts
        end_callback
            function that is called once the timer ends

        Returns
        -------
        A context manager that times its block; its ``as`` value holds the statistics of all
        times measured under that name, and can be passed to :meth:`show_eta`.
        """
        sink = self._chronos or self._open_chronos()
        if aggregator is not DEFAULT_CHRONO or start_callback or end_callback:
            sink = self.protocol.chrono_sink(
                self.trial,
                aggregator=aggregator,
                start_callback=start_callback,
                end_callback=end_callback,
            )
        acc = self.trial.chronos.get(name)
        if not isinstance(acc, StatStream):
            acc = self.trial.chronos[name] = StatStream(0)
        return LoggerChronoContext(sink, name, acc)

    def _open_chronos(self) -> ChronoSink:
        self.insert()
        self._chronos = self.protocol.chrono_sink(self.trial)
        return self._chronos

    def set_eta_total(self, total: int | list[int] | tuple[int, ...]) -> None:
        """Set the number of iterations, or one number per nested loop."""
        from track.utils.eta import EstimatedTime

        self._eta = EstimatedTime(StatStream(0), total)
        self._show_eta = None

    def show_eta(
        self,
        step: Any,
        timer: Any,
        msg: str = "",
        throttle: int | None = None,
        every: float | None = None,
    ) -> None:
        """Print the estimated time until the processing is done.

        Parameters
        ----------
        step
            the index, from 0, of the iteration just completed, or one index per nested loop
        timer
            the ``as`` value of the chrono around one iteration
        msg
            the text to print before the estimate
        throttle
            print only on every n-th call
        every
            print at most once per this many seconds

        Raises
        ------
        RuntimeError
            :meth:`set_eta_total` was not called
        """
        if self._eta is None:
            raise RuntimeError("call set_eta_total with the number of iterations before show_eta")
        if self._show_eta is None:
            from track.utils.throttle import throttled

            self._show_eta = throttled(self._eta.show_eta, throttle, every)
        self._eta.timer = timer
        self._show_eta(step, msg)
