"""What a training script begins with."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from track.calls import read_arguments, unknown_attribute
from track.configuration import choose, options
from track.errors import NotRecordedWarning, TrackError, TrackWarning, TrialDoesNotExist, warn
from track.logger import TrialLogger
from track.persistence import get_protocol
from track.persistence.protocol import Protocol
from track.projections.finding import latest_revision
from track.projections.report import ORPHANS, dumps
from track.serialization import to_json
from track.structure import Project, Trial, TrialGroup
from track.utils.device import get_device
from track.versioning import default_version_hash

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Mapping
    from types import TracebackType


class TrackClient:
    """TrackClient. A client tracks a single trial being run.

    Parameters
    ----------
    backend
        storage backend to use: a URI as ``file:report.json``, or a
        :class:`~track.persistence.protocol.Protocol`. By default the option ``log.backend.name``
        (``TRACK_LOG_BACKEND_NAME``), else ``none``, which keeps things in memory only.

    Raises
    ------
    BackendError
        the backend is unknown or cannot be used
    RuntimeError
        the environment (``ORION_PROJECT``, ``ORION_EXPERIMENT``) names what does not exist
    TrialDoesNotExist
        the environment (``ORION_TRIAL_ID``) names a trial that does not exist

    Notes
    -----
    The methods of the current trial's :class:`~track.logger.TrialLogger` are methods of its client.
    """

    def __init__(self, backend: str | Protocol | None = None) -> None:
        if backend is None:
            backend = str(options("log.backend.name", "none"))
        on_error = choose("log.on_error", "raise", "warn")
        self.protocol = backend if not isinstance(backend, str) else get_protocol(backend)
        if on_error == "warn":
            self.protocol.forgive_failed_writes()
        self.project: Project | None = None
        self.group: TrialGroup | None = None
        self.logger: TrialLogger | None = None
        self._version: str | None = None
        self._is_prepared = False
        """Whether a search chose project, group or trial, and not the script."""
        self._adopt_environment()

    def _adopt_environment(self) -> None:
        """Take up what a hyper-parameter search prepared for this process."""
        if project := os.environ.get("ORION_PROJECT"):
            self.set_project(name=project, get_only=True)
        if group := os.environ.get("ORION_EXPERIMENT"):
            self.set_group(name=group, get_only=True)
        if trial := os.environ.get("ORION_TRIAL_ID"):
            self.set_trial(uid=trial)
        self._is_prepared = any((self.project, self.group, self.logger))

    def __getattr__(self, name: str) -> Any:
        # Only called for what the client itself does not have.
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
            self.logger.insert()  # so that it is one trial, whoever logs to it
        return dict(vars(self))

    @property
    def trial(self) -> Trial | None:
        """The current trial, None before there is one."""
        return None if self.logger is None else self.logger.trial

    # Where things belong

    def set_project(
        self,
        project: Project | str | None = None,
        force: bool = False,
        get_only: bool = False,
        **kwargs: Any,
    ) -> Project:
        """Set or create a new project.

        Parameters
        ----------
        project
            project definition you can use to create or set the project, or its name
        force
            by default once the project is set it cannot be changed; use force to override this
        get_only
            if true does not insert the project if missing
        kwargs
            arguments used to create a :class:`~track.structure.Project` if none was provided

        Returns
        -------
        The project that is set.

        Raises
        ------
        AssertionError
            the project has no name
        RuntimeError
            ``get_only``, and it is missing
        """
        if isinstance(project, str):
            project = Project(name=project, **kwargs)
        if self.project is not None and not force:
            name = kwargs.get("name") if project is None else project.name
            self._tell_if_it_stays("project", self.project.name, name)
            return self.project
        wanted = Project(**kwargs) if project is None else project
        if not wanted.name:
            raise AssertionError("a project needs a name: set_project(name=…)")
        if get_only:
            found = self.protocol.get_project(wanted)
            if found is None:
                raise RuntimeError(f"the project {wanted.name!r} does not exist")
            self.project = found
        else:
            self.project = self.protocol.new_project(wanted)
        self.group = None
        return self.project

    def set_group(
        self,
        group: TrialGroup | str | None = None,
        force: bool = False,
        get_only: bool = False,
        **kwargs: Any,
    ) -> TrialGroup:
        """Set or create a new group.

        Parameters
        ----------
        group
            group definition you can use to create or set the group, or its name
        force
            by default once the group is set it cannot be changed; use force to override this
        get_only
            if true does not insert the group if missing
        kwargs
            arguments used to create a :class:`~track.structure.TrialGroup` if none was provided

        Returns
        -------
        The group that is set.

        Raises
        ------
        AssertionError
            the group has no name
        RuntimeError
            ``get_only``, and it is missing
        """
        if isinstance(group, str):
            group = TrialGroup(name=group, **kwargs)
        if self.group is not None and not force:
            name = kwargs.get("name") if group is None else group.name
            self._tell_if_it_stays("group", self.group.name, name)
            return self.group
        wanted = TrialGroup(**kwargs) if group is None else group
        if not (wanted.name or wanted._uid):
            raise AssertionError("a trial group needs a name: set_group(name=…)")
        if wanted.project_id is None and wanted._uid is None:
            wanted.project_id = self._project_uid(get_only)
        found = self.protocol.get_trial_group(wanted) if get_only else None
        if get_only and found is None:
            # Whoever starts this process may have named the group by its uid.
            found = self.protocol.get_trial_group(TrialGroup(_uid=wanted.name))
            if found is None:
                raise RuntimeError(f"the trial group {wanted.name!r} does not exist")
        if found is None:
            found = self.protocol.new_trial_group(wanted) or self.protocol.get_trial_group(wanted)
        assert found is not None  # it was inserted, or was there before
        current = self.logger
        if current is not None and not current.is_delayed and not current.is_over:
            warn(
                f"the current trial exists already and stays outside of group {found.name!r}: call "
                "set_group before new_trial",
                NotRecordedWarning,
            )
        self.group = found
        return found

    def _project_uid(self, get_only: bool = False) -> str:
        """Return the project's uid; a trial or group without a project goes to a common one."""
        if self.project is not None:
            return self.project.uid
        if get_only:
            return ORPHANS
        return self.set_project(name=ORPHANS).uid

    def _tell_if_it_stays(self, kind: str, name: Any, wanted: Any) -> None:
        if name == wanted or self._is_prepared:
            return
        why = ", where something was put because none was set" if name == ORPHANS else ""
        warn(
            f"the {kind} stays {name!r}{why}: call set_{kind} before anything else, or with "
            "force=True for what comes",
            NotRecordedWarning,
        )

    # The trial

    def new_trial(self, name: str | None = None, force: bool = False, **kwargs: Any) -> TrialLogger:
        """Create a new trial.

        The trial comes into being once its arguments are known: at once with ``parameters=`` or
        ``arguments=``, else with :meth:`log_arguments`, or without any with the first thing logged.
        If one like it exists (same name, version, project and parameters) it is the next revision.

        Until the current trial has finished, asking for one like it gives its logger again; asking
        for another one begins that, unless the current trial is running.

        Parameters
        ----------
        name
            name of the trial
        force
            begin another trial, whatever became of the current one
        kwargs
            see :class:`~track.structure.Trial` for possible arguments

        Returns
        -------
        The logger of the trial.

        Raises
        ------
        TrackError
            the current trial is running, and another one is asked for without ``force``
        """
        if isinstance(name, bool):  # force used to be the first
            name, force = None, name
        kwargs |= {} if name is None else {"name": name}
        if "arguments" in kwargs:
            given = read_arguments(kwargs.pop("arguments"))[1]
            kwargs["parameters"] = {**(kwargs.get("parameters") or {}), **given}
        current = self._current(force)
        if current is not None and (self._is_prepared or not kwargs):
            return current
        if current is not None and current.may_be(kwargs):
            if current.is_delayed:
                current.complete(kwargs)
            else:
                warn(
                    "the current trial goes on, as it has not finished and is the same: finish it "
                    "first, or use new_trial(force=True, …)",
                    NotRecordedWarning,
                )
            return current
        self._check_that_none_runs(current)
        parameters = kwargs.pop("parameters", None)
        trial = Trial(**{"version": self._version, **kwargs})
        created = TrialLogger(trial, self.protocol, partial(self._insert, trial))
        if parameters is not None:
            created.insert(dict(parameters))
        self.logger = created  # not before: the insertion may have failed
        return created

    def _current(self, force: bool) -> TrialLogger | None:
        """Return the logger of the current trial, if it is to go on."""
        over = self.logger is None or self.logger.is_over
        return None if over or force else self.logger

    @staticmethod
    def _check_that_none_runs(current: TrialLogger | None) -> None:
        if current is not None and current.is_running:
            raise TrackError(
                f"the trial {current.uid} is running: call finish() or leave its block before "
                "another one, or use force=True to have both"
            )

    def _insert(self, trial: Trial, parameters: Mapping[str, Any] | None = None) -> None:
        if trial.project_id is None:
            trial.project_id = self._project_uid()
        if trial.group_id is None and self.group is not None:
            trial.group_id = self.group.uid
        before, trial.parameters = trial.parameters, {**trial.parameters, **(parameters or {})}
        try:
            self.protocol.new_trial(trial, auto_increment=True)
        except Exception:
            trial.parameters = before  # as if it had not been tried
            raise

    def set_trial(
        self, trial: Trial | str | None = None, force: bool = False, **kwargs: Any
    ) -> TrialLogger:
        """Continue a trial that exists.

        Parameters
        ----------
        trial
            trial definition you can use to find the trial, or its uid
        force
            continue that trial although the current one is running
        kwargs
            if no trial was provided: ``uid``, the pair ``hash`` and ``revision``, or ``name``: the
            latest revision of the trial of that name, in the current project if there is one

        Returns
        -------
        The logger of the trial.

        Raises
        ------
        TrialDoesNotExist
            there is no such trial, or the name is that of several; the message names them
        TrackError
            the current trial is running, and another one is asked for without ``force``
        """
        if isinstance(trial, str):
            trial = _wanted_trial({"uid": trial})
        elif trial is None:
            trial = self._named(**kwargs) if [*kwargs] == ["name"] else _wanted_trial(kwargs)
        current = self._current(force)
        if current is not None and (self._is_prepared or trial.uid == current.trial.uid):
            return current
        self._check_that_none_runs(current)
        self.logger = TrialLogger(self._fetch(trial), self.protocol)
        return self.logger

    def _named(self, name: str) -> Trial:
        project = {} if self.project is None else {"project_id": self.project.uid}
        found = latest_revision(name, self.protocol.fetch_trials({"name": name, **project}))
        if found.note:
            warn(found.note, TrackWarning)
        return found.trial

    def _fetch(self, wanted: Trial) -> Trial:
        for found in self.protocol.get_trial(wanted) or ():
            if found.uid == wanted.uid:
                return found
        raise TrialDoesNotExist(f"there is no trial {wanted.uid} in this store, or it is archived")

    def set_version(
        self, version: str | None = None, version_fun: Callable[[], str] | None = None
    ) -> TrackClient:
        """Set the version tag of the trial; it is part of what identifies one.

        Defaults to the hash of the executed file.

        Parameters
        ----------
        version
            version string you want to use for the trial
        version_fun
            function to call for the trial version

        Notes
        -----
        Of a trial that exists already the version cannot change: it is logged as metadata instead.
        """
        self._version = (version_fun or default_version_hash)() if version is None else version
        if self.logger is not None and self.logger.is_delayed:
            self.logger.trial.version = self._version
        elif self.logger is not None:
            self.logger.log_metadata(version=self._version)
            warn(
                "the version is part of what identifies a trial, and this one exists already, so "
                "it is logged as metadata: call set_version before the arguments are logged",
                NotRecordedWarning,
            )
        return self

    def get_arguments(
        self,
        args: ArgumentParser | Namespace | dict[str, Any] | None = None,
        show: bool = False,
        **kwargs: Any,
    ) -> Any:
        """See :meth:`log_arguments` for possible arguments."""
        return self.log_arguments(args, show, **kwargs)

    def log_arguments(
        self,
        args: ArgumentParser | Namespace | dict[str, Any] | None = None,
        show: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Store the arguments that were used to run the trial.

        Parameters
        ----------
        args
            the trial's arguments; a parser parses the command line
        show
            print the arguments on the command line
        kwargs
            more trial's arguments

        Returns
        -------
        The arguments as they were given; of a parser, those it parsed.

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
            leave out what only machines need
        """
        current = self.logger or self.new_trial()
        trial = current.trial if current.is_delayed else self._fetch(current.trial)
        print(dumps(to_json(trial, short), indent=2))  # noqa: T201 - documented to print

    def save(self, file_name_override: str | None = None) -> None:
        """Save everything logged, and write the report JSON.

        Parameters
        ----------
        file_name_override
            write the report there
        """
        if file_name_override is None:
            self.protocol.commit()
        else:
            self.protocol.commit(file_name_override=file_name_override)

    def close(self) -> None:
        """Save everything and release the backend."""
        self.protocol.close()

    get_device = staticmethod(get_device)


def _wanted_trial(kwargs: dict[str, Any]) -> Trial:
    names = {"hash": "_hash"}
    uid = kwargs.pop("uid", None)
    trial = Trial(**{names.get(name, name): value for name, value in kwargs.items()})
    if uid is not None:
        trial.uid = uid
    return trial


__all__ = ["TrackClient", "TrialDoesNotExist"]
