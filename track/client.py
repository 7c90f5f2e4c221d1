"""Define the client, with which a training script begins."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from track.calls import check_arguments, read_arguments, unknown_attribute
from track.configuration import choose, options
from track.errors import NotRecordedWarning, TrialDoesNotExist, warn
from track.logger import TrialLogger
from track.persistence import get_protocol
from track.persistence.protocol import Protocol
from track.placement import (
    Placement,
    check_that_none_runs,
    insert_trial,
    trial_from,
    trial_named,
)
from track.projections.report import dumps
from track.recording.existing import existing_trial
from track.structure import Trial
from track.utils.device import get_device
from track.versioning import default_version_hash

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Mapping
    from types import TracebackType


class TrackClient(Placement):
    """A client that tracks one trial at a time.

    Parameters
    ----------
    backend
        the storage backend: a URI such as ``file:report.json``, a path, or a
        :class:`~track.persistence.protocol.Protocol`. The default is the option
        ``log.backend.name`` (``TRACK_LOG_BACKEND_NAME``), else ``none``, which keeps everything in
        memory only.

    Raises
    ------
    BackendError
        the backend is unknown or cannot be used
    RuntimeError
        the environment (``ORION_PROJECT``, ``ORION_EXPERIMENT``) names a missing project or group
    TrialDoesNotExist
        the environment (``ORION_TRIAL_ID``) names a trial that does not exist

    Notes
    -----
    All methods of the current trial's :class:`~track.logger.TrialLogger` also work on the client.
    """

    def __init__(self, backend: str | os.PathLike[str] | Protocol | None = None) -> None:
        if backend is None:
            backend = str(options("log.backend.name", "none"))
        elif isinstance(backend, os.PathLike):
            backend = os.fspath(backend)
        on_error = choose("log.on_error", "raise", "warn")
        self.protocol = backend if not isinstance(backend, str) else get_protocol(backend)
        if on_error == "warn":
            self.protocol.forgive_failed_writes()
        self.project = self.group = self.logger = None
        self._version: str | None = None
        self._is_prepared = False
        """Whether a hyper-parameter search, and not the script, chose project, group or trial."""
        self._adopt_environment()

    def _adopt_environment(self) -> None:
        """Use the project, group and trial that a hyper-parameter search prepared."""
        if project := os.environ.get("ORION_PROJECT"):
            self.set_project(name=project, get_only=True)
        if group := os.environ.get("ORION_EXPERIMENT"):
            self.set_group(name=group, get_only=True)
        if trial := os.environ.get("ORION_TRIAL_ID"):
            self.set_trial(uid=trial)
        self._is_prepared = any((self.project, self.group, self.logger))

    def __getattr__(self, name: str) -> Any:
        # Only called for attributes that the client itself lacks.
        if name.startswith("__") or name == "logger":
            raise AttributeError(name)
        if self.logger is None:
            if hasattr(TrialLogger, name):
                return getattr(self.new_trial(), name)
        elif hasattr(self.logger, name):
            return getattr(self.logger, name)
        message = unknown_attribute("TrackClient", name, "client")
        raise AttributeError(message, name=name, obj=self)

    def __getstate__(self) -> dict[str, Any]:
        if self.logger is not None:
            self.logger.insert()  # so that copies of the client log to the same trial
        return dict(vars(self))

    @property
    def trial(self) -> Trial | None:
        """Return the current trial, None before there is one."""
        return None if self.logger is None else self.logger.trial

    # The trial

    def new_trial(self, name: str | None = None, force: bool = False, **kwargs: Any) -> TrialLogger:
        """Create a new trial.

        The trial is recorded once its arguments are known: at once with ``parameters=`` or
        ``arguments=``, else with :meth:`log_arguments`, or without arguments when the first value
        is logged. If one like it exists (same name, version, project and parameters), it becomes
        the next revision.

        If the current trial has not finished and is the same, its logger is returned again. Another
        trial replaces the current one, unless that is running.

        Parameters
        ----------
        name
            name of the trial
        force
            create another trial regardless of the current one
        kwargs
            the arguments of :class:`~track.structure.Trial`

        Returns
        -------
        The logger of the trial.

        Raises
        ------
        TrackError
            another trial is running, and ``force`` is not given
        TypeError
            an argument is unknown
        """
        if isinstance(name, bool):  # force used to be the first parameter
            name, force = None, name
        check_arguments("new_trial", Trial, kwargs, "arguments")
        kwargs |= {} if name is None else {"name": name}
        if "arguments" in kwargs or kwargs.get("parameters") is not None:
            given = (kwargs.pop(key, None) for key in ("parameters", "arguments"))
            parameters, arguments = (read_arguments(one)[1] for one in given)
            kwargs["parameters"] = {**parameters, **arguments}
        current = self._current(force)
        if current is not None and (self._is_prepared or not kwargs):
            return current
        if current is not None and current.may_be(kwargs):
            if current.is_delayed:
                current.complete(kwargs)
            else:
                warn(
                    "the previous trial is still open, so new_trial was ignored: finish it first, "
                    "or use new_trial(force=True, …)",
                    NotRecordedWarning,
                )
            return current
        check_that_none_runs(current)
        parameters = kwargs.pop("parameters", None)
        trial = Trial(**{"version": self._version, **kwargs})
        created = TrialLogger(trial, self.protocol, partial(self._insert, trial))
        if parameters is not None:
            created.insert(parameters)
        self.logger = created  # only now, since the insertion may fail
        return created

    def _current(self, force: bool) -> TrialLogger | None:
        """Return the logger of the current trial if it may continue."""
        over = self.logger is None or self.logger.is_over
        return None if over or force else self.logger

    def _insert(self, trial: Trial, parameters: Mapping[str, Any] | None = None) -> None:
        if trial.project_id is None:
            trial.project_id = self._project_uid()
        if trial.group_id is None and self.group is not None:
            trial.group_id = self.group.uid
        insert_trial(self.protocol, trial, parameters)

    def set_trial(
        self, trial: Trial | str | None = None, force: bool = False, **kwargs: Any
    ) -> TrialLogger:
        """Continue an existing trial.

        Parameters
        ----------
        trial
            the trial to find, or its uid
        force
            continue that trial even if the current one is running
        kwargs
            without a trial: ``uid``, ``hash`` and ``revision``, or ``name`` for the latest revision
            of the trial with that name, in the current project if one is set

        Returns
        -------
        The logger of the trial.

        Raises
        ------
        TrialDoesNotExist
            the trial does not exist, or several share the name; the message lists them
        TrackError
            another trial is running, and ``force`` is not given
        """
        check_arguments("set_trial", Trial, kwargs, "uid", "hash")
        if isinstance(trial, str):
            trial = trial_from({"uid": trial})
        elif [*kwargs] == ["name"] and trial is None:
            trial = trial_named(self.protocol, kwargs["name"], self.project)
        elif trial is None:
            trial = trial_from(kwargs)
        current = self._current(force)
        if current is not None and (self._is_prepared or trial.uid == current.trial.uid):
            return current
        check_that_none_runs(current)
        self.logger = TrialLogger(existing_trial(self.protocol, trial), self.protocol)
        return self.logger

    def set_version(
        self, version: str | None = None, version_fun: Callable[[], str] | None = None
    ) -> TrackClient:
        """Set the version of the trial, which is part of its identity.

        The default is the hash of the executed file.

        Parameters
        ----------
        version
            the version
        version_fun
            a function that returns the version

        Notes
        -----
        The version of an existing trial cannot change: it is logged as metadata instead.
        """
        self._version = (version_fun or default_version_hash)() if version is None else version
        if self.logger is not None and self.logger.is_delayed:
            self.logger.trial.version = self._version
        elif self.logger is not None:
            self.logger.log_metadata(version=self._version)
            warn(
                "the version is part of the identity of a trial, and this one already exists, so "
                "the version was logged as metadata: call set_version before logging arguments",
                NotRecordedWarning,
            )
        return self

    def get_arguments(
        self,
        args: ArgumentParser | Namespace | dict[str, Any] | None = None,
        show: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Log the arguments of the trial, see :meth:`log_arguments`."""
        return self.log_arguments(args, show, **kwargs)

    def log_arguments(
        self,
        args: ArgumentParser | Namespace | dict[str, Any] | None = None,
        show: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Log the arguments of the trial.

        Parameters
        ----------
        args
            the arguments; a parser parses the command line
        show
            print the arguments
        kwargs
            more arguments

        Returns
        -------
        The arguments as given, or as parsed by the parser.

        Raises
        ------
        EncodingError
            a value cannot be logged
        """
        given, values = read_arguments(args, kwargs)
        values = {**{str(name): value for name, value in values.items()}, **kwargs}
        if show:
            print(dumps(values, indent=2))  # noqa: T201 - documented to print
        if self.logger is None or self.logger.is_over:
            self.new_trial(parameters=values)
        elif self.logger.is_delayed or not self._is_prepared:
            self.logger.log_arguments(**values)
        return given

    def add_tags(self, *args: Any, **kwargs: Any) -> None:
        """Add tags to the current trial, see :meth:`track.logger.TrialLogger.add_tags`."""
        (self.logger or self.new_trial()).add_tags(*args, **kwargs)

    def start(self) -> TrialLogger:
        """Start the current trial, see :meth:`track.logger.TrialLogger.start`."""
        return (self.logger or self.new_trial()).start()

    def finish(self, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None) -> None:
        """Finish the current trial, see :meth:`track.logger.TrialLogger.finish`."""
        (self.logger or self.new_trial()).finish(exc_type, exc_val, exc_tb)

    def __enter__(self) -> TrackClient:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        (self.logger or self.new_trial()).__exit__(exc_type, exc_val, exc_tb)

    # Results

    def report(self, short: bool = True) -> None:
        """Print a digest of the logged metrics.

        Parameters
        ----------
        short
            omit details that only programs need
        """
        (self.logger or self.new_trial()).report(short)

    def save(self, file_name_override: str | None = None) -> None:
        """Save everything that was logged, and write the report JSON.

        Parameters
        ----------
        file_name_override
            write the report to this path instead
        """
        if file_name_override is None:
            self.protocol.commit()
        else:
            self.protocol.commit(file_name_override=file_name_override)

    def close(self) -> None:
        """Save everything, and close the backend."""
        self.protocol.close()

    get_device = staticmethod(get_device)


__all__ = ["TrackClient", "TrialDoesNotExist"]
