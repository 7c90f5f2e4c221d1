"""Callbacks of libraries that train many models with one callback, in any thread or process."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

from track.client import TrackClient
from track.integrations.run import Run, settled
from track.persistence.protocol import Protocol


class ManyRuns:
    """Runs that are under way at once, on a store that is opened once for all of them.

    Parameters
    ----------
    to
        where to log, see :class:`track.integrations.run.Run`
    settings
        further arguments of :class:`~track.integrations.run.Run`

    Notes
    -----
    A copy, and what arrives in another process, has no runs yet.
    """

    def __init__(self, to: Any, settings: dict[str, Any]) -> None:
        self.to = settled(to)
        self.settings = settings
        self._runs: dict[Any, Any] = {}
        self._protocol: Protocol | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        own = ("_runs", "_protocol", "_lock")
        return {name: value for name, value in vars(self).items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _runs={}, _protocol=None, _lock=threading.Lock())

    def _client(self) -> TrackClient:
        """Return a client of its own for a run; its caller holds the lock."""
        if self._protocol is None and isinstance(self.to, TrackClient):
            self._protocol = self.to.protocol
        elif self._protocol is None:
            self._protocol = TrackClient(self.to).protocol
            self._protocol.forgive_failed_writes()
        return TrackClient(self._protocol)


class Trainings(ManyRuns):
    """What makes a trial for each training.

    Parameters
    ----------
    to
        where to log, see :class:`track.integrations.run.Run`
    settings
        further arguments of :class:`~track.integrations.run.Run`

    Notes
    -----
    As a context manager, it ends what a training leaves running: one that was stopped early, or
    by an exception.

    A copy, and what arrives in another process, makes trials of its own, as the copies of an
    estimator train by themselves.
    """

    def __init__(self, to: Any = None, **settings: Any) -> None:
        super().__init__(to, settings)
        self._runs: dict[int, tuple[Any, Run]]
        """By model, which is kept so that no other one has its identity."""

    def begin(self, model: Any) -> Run:
        """Return a run for the training of a model. What this thread trained before is over."""
        thread = threading.get_ident()
        with self._lock:
            run = Run(self._store(), **self.settings)
            run.thread = thread
            over = [key for key, (_, other) in self._runs.items() if other.thread == thread]
            ended = [self._runs.pop(key)[1] for key in over]
            self._runs[id(model)] = model, run
        for other in ended:
            other.finish()
        return run

    def _store(self) -> Any:
        """Return where to log: a client of one's own, or that which was given, with its trial."""
        return self._client() if isinstance(self.to, (str, type(None))) else self.to

    def run_of(self, model: Any) -> Run | None:
        """Return the run of the training of a model, None if that was not begun."""
        known = self._runs.get(id(model))
        return None if known is None else known[1]

    def end(self, model: Any) -> None:
        """End the training of a model, if it was begun."""
        with self._lock:
            known = self._runs.pop(id(model), None)
        if known is not None:
            known[1].finish()

    def finish(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """End every training that is still under way."""
        with self._lock:
            runs = [run for _, run in self._runs.values()]
            self._runs.clear()
        for run in runs:
            run.finish(exc_type, exc_val, exc_tb)

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.finish(exc_type, exc_val, exc_tb)
