"""Find or create the project, the group and the trials of a client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from track.calls import check_arguments
from track.errors import NotRecordedWarning, TrackError, TrackWarning, warn
from track.logger import TrialLogger
from track.persistence.protocol import Protocol
from track.projections.finding import latest_revision
from track.projections.report import ORPHANS
from track.structure import Project, Trial, TrialGroup

_Kind = TypeVar("_Kind", Project, TrialGroup)


class Placement:
    """Adds the choice of project and group to a :class:`~track.client.TrackClient`."""

    protocol: Protocol
    project: Project | None
    group: TrialGroup | None
    logger: TrialLogger | None
    _is_prepared: bool

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
            the project to set or create, or its name
        force
            change the project even if one was set before
        get_only
            raise an error instead of creating a missing project
        kwargs
            the arguments of a :class:`~track.structure.Project`, if none is given

        Returns
        -------
        The current project.

        Raises
        ------
        AssertionError
            the project has no name
        RuntimeError
            the project is missing, and ``get_only`` is true
        """
        check_arguments("set_project", Project, kwargs)
        wanted = _described(Project, project, kwargs)
        if self.project is not None and not force:
            self._tell_if_it_stays("project", self.project.name, wanted.name)
            return self.project
        self.project = _project_like(self.protocol, wanted, get_only=get_only)
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
            the group to set or create, or its name
        force
            change the group even if one was set before
        get_only
            raise an error instead of creating a missing group
        kwargs
            the arguments of a :class:`~track.structure.TrialGroup`, if none is given

        Returns
        -------
        The current group.

        Raises
        ------
        AssertionError
            the group has no name
        RuntimeError
            the group is missing, and ``get_only`` is true
        """
        check_arguments("set_group", TrialGroup, kwargs)
        wanted = _described(TrialGroup, group, kwargs)
        if self.group is not None and not force:
            self._tell_if_it_stays("group", self.group.name, wanted.name)
            return self.group
        if not (wanted.name or wanted._uid):
            raise AssertionError("a trial group needs a name: set_group(name=…)")
        if wanted.project_id is None and wanted._uid is None:
            wanted.project_id = self._project_uid(get_only)
        found = _group_like(self.protocol, wanted, get_only=get_only)
        _warn_of_trial_outside(self.logger, found)
        self.group = found
        return found

    def _project_uid(self, get_only: bool = False) -> str:
        """Return the uid of the project; without one, trials and groups go to a common project."""
        if self.project is not None:
            return self.project.uid
        if get_only:
            return ORPHANS
        return self.set_project(name=ORPHANS).uid

    def _tell_if_it_stays(self, kind: str, name: Any, wanted: Any) -> None:
        """Warn if the project or group remains another one than the script asks for."""
        if name != wanted and not self._is_prepared:
            why = ", which was used because none was set" if name == ORPHANS else ""
            warn(
                f"the {kind} is still {name!r}{why}: call set_{kind} before anything else, or use "
                "force=True to change it from now on",
                NotRecordedWarning,
            )


def _described(kind: type[_Kind], given: _Kind | str | None, kwargs: dict[str, Any]) -> _Kind:
    """Return the given project or group, or one with the given name and attributes."""
    if isinstance(given, str):
        return kind(name=given, **kwargs)
    return kind(**kwargs) if given is None else given


def _project_like(protocol: Protocol, wanted: Project, *, get_only: bool) -> Project:
    """Return a project, creating it if it is missing, unless ``get_only``."""
    if not wanted.name:
        raise AssertionError("a project needs a name: set_project(name=…)")
    if not get_only:
        return protocol.new_project(wanted)
    return _existing("project", wanted.name, protocol.get_project(wanted))


def _group_like(protocol: Protocol, wanted: TrialGroup, *, get_only: bool) -> TrialGroup:
    """Return a group, creating it if it is missing, unless ``get_only``."""
    if not get_only:
        found = protocol.new_trial_group(wanted) or protocol.get_trial_group(wanted)
        assert found is not None  # it was inserted, or existed before
        return found
    # The environment may name the group by its uid.
    by_uid = TrialGroup(_uid=wanted.name)
    found = protocol.get_trial_group(wanted) or protocol.get_trial_group(by_uid)
    return _existing("trial group", wanted.name, found)


def _existing(kind: str, name: str | None, found: _Kind | None) -> _Kind:
    if found is None:
        raise RuntimeError(f"the {kind} {name!r} does not exist: create it, or omit get_only")
    return found


def _warn_of_trial_outside(current: TrialLogger | None, group: TrialGroup) -> None:
    """Warn that a group was set too late for the current trial."""
    if current is not None and not current.is_delayed and not current.is_over:
        warn(
            f"the current trial already exists outside the group {group.name!r}: call "
            "set_group before new_trial",
            NotRecordedWarning,
        )


# Trials


def insert_trial(protocol: Protocol, trial: Trial, parameters: Mapping[str, Any] | None) -> None:
    """Record a new trial with more parameters, and set its revision."""
    before, trial.parameters = trial.parameters, {**trial.parameters, **(parameters or {})}
    try:
        protocol.new_trial(trial, auto_increment=True)
    except Exception:
        trial.parameters = before  # the trial is as before the failed call
        raise


def trial_from(kwargs: dict[str, Any]) -> Trial:
    """Return a trial with the given identity: ``uid``, or ``hash`` and ``revision``."""
    names = {"hash": "_hash"}
    uid = kwargs.pop("uid", None)
    trial = Trial(**{names.get(name, name): value for name, value in kwargs.items()})
    if uid is not None:
        trial.uid = uid
    return trial


def trial_named(protocol: Protocol, name: str, project: Project | None) -> Trial:
    """Return the latest revision of the trial with a name, in the given project if any."""
    among = {} if project is None else {"project_id": project.uid}
    found = latest_revision(name, protocol.fetch_trials({"name": name, **among}))
    if found.note:
        warn(found.note, TrackWarning)
    return found.trial


def check_that_none_runs(current: TrialLogger | None) -> None:
    """Raise an error if the current trial is running."""
    if current is not None and current.is_running:
        raise TrackError(
            f"the trial {current.uid} is still running: call finish() or leave its block, "
            "or use force=True to have both"
        )
