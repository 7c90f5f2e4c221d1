"""Base classes for libraries that use one callback for many models, in any thread or process."""

from __future__ import annotations

import threading
from typing import Any

from track.client import TrackClient
from track.integrations.run import LazyRun, settled
from track.persistence.protocol import Protocol
from track.utils.forking import ForkSafeLock


class ManyRuns:
    """Concurrent runs that share one open store.

    It takes the parameters of :class:`track.integrations.run.Run`.

    Copies, and instances unpickled in another process, start without runs.
    """

    def __init__(self, to: Any = None, **settings: Any) -> None:
        self.to = settled(to)
        self.settings = settings
        self._runs: dict[Any, LazyRun] = {}
        """The runs by whatever identifies a training in the library."""
        self._protocol: Protocol | None = None
        self._lock = ForkSafeLock()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_runs": {}, "_protocol": None}

    def begin(self, key: Any, **settings: Any) -> LazyRun:
        """Start a run under a key and return it; finish an earlier run under the same key."""
        with self._lock:
            over = self._runs.pop(key, None)
            run = self._runs[key] = LazyRun(self._store(), **{**settings, **self.settings})
        if over is not None:
            over.finish()
        return run

    def _store(self) -> Any:
        """Return a new client for a run; the caller holds the lock."""
        if self._protocol is None and isinstance(self.to, TrackClient):
            self._protocol = self.to.protocol
        elif self._protocol is None:
            self._protocol = TrackClient(self.to).protocol
            self._protocol.forgive_failed_writes()
        return TrackClient(self._protocol)

    def run_of(self, key: Any) -> LazyRun | None:
        """Return the run under a key, None if there is none."""
        return self._runs.get(key)

    def end(self, key: Any, *exc_info: Any) -> None:
        """Finish the run under a key, if any; given an exception, mark it as failed."""
        with self._lock:
            run = self._runs.pop(key, None)
        if run is not None:
            run.finish(*exc_info)


class Trainings(ManyRuns):
    """Creates one trial per training, identified by its model.

    It takes the parameters of :class:`track.integrations.run.Run`.

    As a context manager, it finishes trials that are still running when the block ends, such as
    those of trainings that stopped early or raised an exception.

    Copies, and instances unpickled in another process, create their own trials, because copies of
    an estimator train independently.
    """

    def begin(self, key: Any, **settings: Any) -> LazyRun:
        """Start a run for the training of a model; finish earlier runs of this thread."""
        thread = threading.get_ident()
        over = [known for known, run in list(self._runs.items()) if run.thread == thread]
        run = super().begin(key, **settings)
        run.thread = thread
        for known in over:
            if known != key:
                self.end(known)
        return run

    def _store(self) -> Any:
        """Return a new client, or the client or logger that was given."""
        return super()._store() if isinstance(self.to, (str, type(None))) else self.to

    def finish(self, *exc_info: Any) -> None:
        """Finish all runs that are still open; given an exception, mark them as failed."""
        for key in list(self._runs):
            self.end(key, *exc_info)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.finish(*exc_info)
