"""Copy projects and groups whose members are read on demand.

A script that begins to log asks for its project, but needs none of its thousands of trials.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from track.projections.copies import to_plain
from track.structure import Project, TrialGroup


class _LaterProject(Project):
    """A project whose groups and trials are read on first use; then it becomes an ordinary one."""

    def __getattr__(self, name: str) -> Any:
        if "_read" not in self.__dict__ or name not in ("groups", "trials"):
            raise AttributeError(f"a project has no attribute {name!r}")
        whole = self.__dict__["_read"]()
        del self.__dict__["_read"]
        self.groups, self.trials = whole.groups, whole.trials
        self.__class__ = Project  # type: ignore[assignment]
        return getattr(self, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _whole(self).__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return repr(_whole(self))


class _LaterGroup(TrialGroup):
    """A group whose trial uids are read on first use; then it becomes an ordinary one."""

    def __getattr__(self, name: str) -> Any:
        if "_read" not in self.__dict__ or name != "trials":
            raise AttributeError(f"a trial group has no attribute {name!r}")
        whole = self.__dict__["_read"]()
        del self.__dict__["_read"]
        self.trials = whole.trials
        self.__class__ = TrialGroup  # type: ignore[assignment]
        return self.trials

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _whole(self).__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return repr(_whole(self))


def _whole(home: Any) -> Any:
    """Return a project or group after reading its members."""
    getattr(home, "trials")  # noqa: B009 - for its effect
    return home


def copy_project_later(project: Project, read: Callable[[], Project]) -> Project:
    """Return a copy of a project whose members are read on demand.

    Parameters
    ----------
    project
        the project to copy
    read
        returns a copy with all members
    """
    metadata = to_plain(project.metadata)
    later = _LaterProject(name=project.name, description=project.description, metadata=metadata)
    del later.groups, later.trials
    later.__dict__["_read"] = read
    return later


def copy_group_later(group: TrialGroup, read: Callable[[], TrialGroup]) -> TrialGroup:
    """Return a copy of a group in the same way."""
    fields = group._uid, group.name, group.description, to_plain(group.metadata)
    later = _LaterGroup(*fields, project_id=group.project_id)
    del later.trials
    later.__dict__["_read"] = read
    return later
