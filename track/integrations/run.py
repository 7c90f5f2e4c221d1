"""The run of an integration, which logs to a trial without disturbing the training loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from track.client import TrackClient
from track.configuration import options
from track.errors import NotRecordedWarning, TrackError, warn
from track.integrations.parameters import describe, shown, split
from track.loggable import loggable, media_among
from track.logger import TrialLogger
from track.persistence.deferred import anchored
from track.structure import canonical
from track.utils.forking import ForkSafeLock

RUN_ID = "run_id"
"""The metadata key for the id that a run had before its trial was created."""

_MOST_TOLD = 10
"""The most distinct problems that are reported one by one."""


class Run:
    """A trial that is opened when first needed, and whose errors never interrupt the training.

    Parameters
    ----------
    to
        where to log: the URI of a store, by default that of the option ``log.backend.name``
        (``TRACK_LOG_BACKEND_NAME``); or a client or the logger of a trial, to log more to the same
        trial yourself. A trial that is already running is left running.
    project, group, name, tags, parameters
        of the trial
    volatile
        names of settings that do not identify the trial, see :mod:`track.integrations.parameters`
    run_id
        an id for this run. If a trial in the store already has it, that trial is continued, as
        after a restart; processes that use the same id share one trial.
    uid
        the uid of a trial to continue

    Notes
    -----
    With a URI, failed writes wait in memory as with ``log.on_error = warn``. Any other failure to
    record is reported as a :class:`~track.errors.NotRecordedWarning`, when it first occurs and,
    with a count, at the end.

    A run can be pickled and copied; all copies log to the same trial.
    """

    def __init__(
        self,
        to: str | TrackClient | TrialLogger | None = None,
        *,
        project: str | None = None,
        group: str | None = None,
        name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        parameters: Any = None,
        volatile: Collection[str] = (),
        run_id: str | None = None,
        uid: str | None = None,
    ) -> None:
        self.to = settled(to)
        self.project = project
        self.group = group
        self.name = name
        self.tags = dict(tags or {})
        self.volatile = tuple(volatile)
        self.run_id = run_id
        self.uid = uid
        self.error: BaseException | None = None
        """The exception that ended the training, where the library does not pass it on."""
        self.first_step = 0
        """The step to count from when a training continues an earlier one."""
        self.last_step = 0
        """The last step, for libraries that do not report where a training begins."""
        self.thread = 0
        """The identifier of the thread it began in."""
        self.missed: dict[str, int] = {}
        """How often each problem prevented something from being recorded."""
        self._parameters, self._facts = split(parameters, self.volatile)
        self._trial: TrialLogger | None = None
        self._is_unusable = False
        self._ends_here = self._was_started = False
        self._lock = ForkSafeLock(threading.RLock)

    def __getstate__(self) -> dict[str, Any]:
        # Pickling the logger of a trial inserts the trial with the parameters known so far.
        if self._trial is None:
            self.known_as()  # so that all copies find the same trial
        return {**vars(self), "missed": {}, "_ends_here": False, "_was_started": False}

    def known_as(self) -> str:
        """Return the run's id, which exists before the trial and is kept in its metadata."""
        if self.run_id is None:
            self.run_id = uuid4().hex[:12]
            if self._trial is not None and self._trial.is_delayed:
                self._trial.trial.metadata[RUN_ID] = self.run_id
            elif self._trial is not None:
                self.metadata({RUN_ID: self.run_id})
        return self.run_id

    @property
    def is_open(self) -> bool:
        """Return whether the trial exists."""
        return self._trial is not None

    @property
    def trial(self) -> TrialLogger:
        """Return the logger of the trial, which may still be waiting for its parameters.

        Raises
        ------
        TrackError
            the store cannot be used
        """
        with self._lock:
            if self._trial is None:
                self._trial = self._open()
                self._take(self._parameters)
            return self._trial

    def _open(self) -> TrialLogger:
        if isinstance(self.to, TrialLogger):
            return self.to
        client = self.to
        if not isinstance(client, TrackClient):
            client = TrackClient(client)
            client.protocol.forgive_failed_writes()
        if self.uid is None and self.run_id is not None:
            self.uid = _uid_of_run(client, self.run_id)
        if self.uid is not None:
            return client.set_trial(self.uid, force=True)
        if client.logger is not None and not client.logger.is_over:
            return client.logger
        if self.project is not None:
            client.set_project(self.project, force=True)
        if self.group is not None:
            client.set_group(self.group, force=True)
        named: dict[str, Any] = {} if self.name is None else {"name": self.name}
        metadata = {} if self.run_id is None else {RUN_ID: self.run_id}
        return client.new_trial(**named, tags=self.tags, metadata=metadata)

    def _take(self, parameters: dict[str, Any]) -> None:
        """Add parameters to the trial while it waits for them; afterwards, add them as metadata."""
        if self._trial is None:
            self._parameters |= parameters
        elif self._trial.is_delayed:
            trial = self._trial.trial
            trial.parameters = {**trial.parameters, **parameters}
        else:
            known = self._trial.trial.parameters
            self._facts |= {
                name: value
                for name, value in parameters.items()
                if name not in known or canonical(known[name]) != canonical(value)
            }

    def configure(self, settings: Any) -> None:
        """Log settings as parameters or metadata, see :mod:`track.integrations.parameters`."""
        with self.guest("settings"):
            parameters, facts = split(settings, self.volatile)
            self._facts |= facts
            self._take(parameters)
            if self._trial is not None and not self._trial.is_delayed:
                self._ready()

    def describe(self, facts: Mapping[Any, Any]) -> None:
        """Log metadata with secrets masked, as soon as the trial exists."""
        with self.guest("metadata"):
            self._facts |= shown(facts)
            if self._trial is not None and not self._trial.is_delayed:
                self._ready()

    def _ready(self) -> TrialLogger:
        """Insert the trial if necessary, log pending metadata and return its logger."""
        with self._lock:
            trial = self.trial
            trial.insert()
            self.uid = trial.trial.uid
            if self._facts:
                facts, self._facts = self._facts, {}
                trial.log_metadata(facts)
            return trial

    def start(self) -> None:
        """Start the trial unless it is already running.

        Raises
        ------
        TrackError
            the store cannot be used; training has not begun yet
        """
        here = threading.get_ident()
        with self._lock:
            trial = self._ready()
            if not trial.is_running:
                trial.start()
                self._ends_here = self._was_started = True
                self.thread = here
            elif self._ends_here and self.thread != here:
                warn(
                    f"two trainings are logging to trial {self.uid} at once; "
                    "create one callback or logger per training",
                    NotRecordedWarning,
                )

    def start_once(self) -> None:
        """Start the trial if it was not started yet; never raise, as training may be under way."""
        with self._lock:
            if not self._was_started:
                self._was_started = True
                with self.guest("the start"):
                    self._usable()
                    self.start()

    def log(self, values: Mapping[Any, Any], step: Any = None) -> None:
        """Log metrics and media, skipping values that cannot be logged."""
        media, values = media_among(values)
        if media:
            with self.guest("media"):
                self._usable().log_media(media, step)
        with self.guest("metrics"):
            found = loggable(values)
            self._refuse(found.refused)
            if found.taken:
                self._usable().log(found.taken, step)

    def media(self, name: str, make: Callable[[], Any], step: Any = None) -> None:
        """Log the medium or list of media that a function creates; report an error as a warning."""
        with self.guest(repr(name)):
            self._usable().log_media({name: make()}, step)

    def metadata(self, values: Mapping[Any, Any]) -> None:
        """Log metadata; values that cannot be logged are replaced by a description."""
        with self.guest("metadata"):
            found = loggable(values, separator=None, otherwise=describe)
            self._refuse(found.refused)
            if found.taken:
                self._usable().log_metadata(found.taken)

    def call(self, method: str, *args: Any) -> None:
        """Call a method of :class:`~track.logger.TrialLogger`; report an error as a warning."""
        with self.guest(method):
            getattr(self._usable(), method)(*args)

    def finish(self, *exc_info: Any) -> None:
        """Finish the trial if it was started here, and report what could not be recorded.

        Parameters
        ----------
        exc_info
            the exception that ended the training, if any, as from ``sys.exc_info()``
        """
        with self._lock:
            ends, self._ends_here = self._ends_here, False
            self._was_started = self._was_started and not ends
        if ends and self._trial is not None:
            with self.guest("the end"):
                self._trial.finish(*exc_info)
        self.tell()

    def tell(self) -> None:
        """Warn about everything that could not be recorded since the last warning."""
        missed, self.missed = self.missed, {}
        if missed:
            told = "; ".join(f"{count} x {text}" for text, count in missed.items())
            warn(f"training continued, but this was not recorded: {told}", NotRecordedWarning)

    def _usable(self) -> TrialLogger:
        if self._is_unusable:
            raise TrackError("the store could not be opened")
        try:
            return self._ready()
        except Exception:
            self._is_unusable = True  # so that later steps do not wait for it again
            raise

    def _refuse(self, refused: Mapping[str, str]) -> None:
        for name, why in refused.items():
            self.miss(f"{name!r}: {why}")

    @contextmanager
    def guest(self, what: str) -> Iterator[None]:
        """Report exceptions of a block as warnings instead of raising them."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - training matters more than its record
            self.miss(f"{what}: {error or type(error).__name__}")

    def miss(self, text: str) -> None:
        """Count a problem that prevents recording, and warn when it first occurs."""
        is_new = text not in self.missed
        if is_new and len(self.missed) >= _MOST_TOLD:
            text, is_new = "other problems", False
        self.missed[text] = self.missed.get(text, 0) + 1
        if is_new:
            warn(f"cannot log {text}; training continues", NotRecordedWarning)


class LazyRun(Run):
    """A run that starts when something is logged, where the library does not say that it begins."""

    def log(self, values: Mapping[Any, Any], step: Any = None) -> None:
        self.start_once()
        super().log(values, step)

    def media(self, name: str, make: Callable[[], Any], step: Any = None) -> None:
        self.start_once()
        super().media(name, make, step)


def settled(to: Any) -> Any:
    """Return a destination that means the same in other processes and working folders."""
    if to is None:
        to = options("log.backend.name", None)
    return anchored(to) if isinstance(to, str) else to


def _uid_of_run(client: TrackClient, run_id: str) -> str | None:
    """Return the uid of the trial that has a run's id, None if there is none."""
    found = client.protocol.fetch_trials({f"metadata.{RUN_ID}": run_id})
    return found[-1].uid if found else None
