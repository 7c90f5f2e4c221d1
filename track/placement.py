"""Choose the project and the group in which a client creates its trials."""

from __future__ import annotations

from typing import Any

from track.calls import check_arguments
from track.errors import NotRecordedWarning, warn
from track.logger import TrialLogger
from track.persistence.protocol import Protocol
from track.projections.report import ORPHANS
from track.structure import Project, TrialGroup


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
        if isinstance(project, str):
            project = Project(name=project, **kwargs)
        if self.project is not None and not force:
            name = kwargs.get("name") if project is None else project.name
            self._tell_if_it_stays("project", self.project.name, name)
            return self.project
        wanted = Project(**kwargs) if project is None else project
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
        if name != wanted and not self._is_prepared:
            _warn_that_it_stays(kind, name)


def _project_like(protocol: Protocol, wanted: Project, *, get_only: bool) -> Project:
    """Return a project, creating it if it is missing, unless ``get_only``."""
    if not wanted.name:
        raise AssertionError("a project needs a name: set_project(name=…)")
    if not get_only:
        return protocol.new_project(wanted)
    found = protocol.get_project(wanted)
    if found is None:
        raise RuntimeError(
            f"the project {wanted.name!r} does not exist: create it, or omit get_only"
        )
    return found


def _group_like(protocol: Protocol, wanted: TrialGroup, *, get_only: bool) -> TrialGroup:
    """Return a group, creating it if it is missing, unless ``get_only``."""
    if not get_only:
        found = protocol.new_trial_group(wanted) or protocol.get_trial_group(wanted)
        assert found is not None  # it was inserted, or existed before
        return found
    # The environment may name the group by its uid.
    found = protocol.get_trial_group(wanted) or protocol.get_trial_group(
        TrialGroup(_uid=wanted.name)
    )
    if found is None:
        raise RuntimeError(
            f"the trial group {wanted.name!r} does not exist: create it, or omit get_only"
        )
    return found


def _warn_that_it_stays(kind: str, name: Any) -> None:
    """Warn that the project or group remains another one than the script asked for."""
    why = ", which was used because none was set" if name == ORPHANS else ""
    warn(
        f"the {kind} is still {name!r}{why}: call set_{kind} before anything else, or use "
        "force=True to change it from now on",
        NotRecordedWarning,
    )


def _warn_of_trial_outside(current: TrialLogger | None, group: TrialGroup) -> None:
    """Warn that a group was set too late for the current trial."""
    if current is not None and not current.is_delayed and not current.is_over:
        warn(
            f"the current trial already exists outside the group {group.name!r}: call "
            "set_group before new_trial",
            NotRecordedWarning,
        )
