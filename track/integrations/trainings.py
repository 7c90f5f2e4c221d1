"""Callbacks of libraries that train many models with one callback, in any thread or process."""

from __future__ import annotations

import threading
from typing import Any

from track.client import TrackClient
from track.integrations.run import Run, settled
from track.persistence.protocol import Protocol
from track.utils.forking import ForkSafeLock


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

    def __init__(self, to: Any = None, **settings: Any) -> None:
        self.to = settled(to)
        self.settings = settings
        self._runs: dict[Any, Run] = {}
        """By whatever tells the trainings of a library apart."""
        self._protocol: Protocol | None = None
        self._lock = ForkSafeLock()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_runs": {}, "_protocol": None}

    def begin(self, key: Any, **settings: Any) -> Run:
        """Return a run for what begins. What was known by its key before is over."""
        with self._lock:
            over = self._runs.pop(key, None)
            run = self._runs[key] = Run(self._store(), **{**settings, **self.settings})
        if over is not None:
            over.finish()
        return run

    def _store(self) -> Any:
        """Return a client of its own for a run; its caller holds the lock."""
        if self._protocol is None and isinstance(self.to, TrackClient):
            self._protocol = self.to.protocol
        elif self._protocol is None:
            self._protocol = TrackClient(self.to).protocol
            self._protocol.forgive_failed_writes()
        return TrackClient(self._protocol)

    def run_of(self, key: Any) -> Run | None:
        """Return the run that began with a key, None if none did."""
        return self._runs.get(key)

    def end(self, key: Any, *exc_info: Any) -> None:
        """End the run that began with a key, if one did; with an exception, it failed."""
        with self._lock:
            run = self._runs.pop(key, None)
        if run is not None:
            run.finish(*exc_info)


class Trainings(ManyRuns):
    """What makes a trial for each training; its key is the model.

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

    def begin(self, key: Any, **settings: Any) -> Run:
        """Return a run for the training of a model. What this thread trained before is over."""
        thread = threading.get_ident()
        over = [known for known, run in list(self._runs.items()) if run.thread == thread]
        run = super().begin(key, **settings)
        run.thread = thread
        for known in over:
            if known != key:
                self.end(known)
        return run

    def _store(self) -> Any:
        """Return where to log: a client of one's own, or that which was given, with its trial."""
        return super()._store() if isinstance(self.to, (str, type(None))) else self.to

    def finish(self, *exc_info: Any) -> None:
        """End every training that is still under way; with an exception, they failed."""
        for key in list(self._runs):
            self.end(key, *exc_info)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.finish(*exc_info)
