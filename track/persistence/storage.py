"""Create, recognise, replace and read report files, and import old ones."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from track.errors import NotAReport, ReportWriteError, TrackError
from track.journals.journal import DEFAULT_LOCK_TIMEOUT
from track.projections.report import dumps
from track.projections.trials import UPDATE_COUNT
from track.serialization import SerializerProject, to_json
from track.structure import Project, Trial, TrialGroup
from track.utils.files import fresh_path, link_or_copy, replacing

_OURS = re.compile(rb'\s*(\[\s*(\]|\{\s*"dtype"\s*:\s*"project"|$)|$)')
_HEAD = 4096


def check_report(path: str) -> None:
    """Check that a report may be written to a path.

    Raises
    ------
    NotAReport
        the path is a folder, or a file that does not begin like a report
    """
    if os.path.isdir(path):
        raise NotAReport(f"{path} is a folder: choose the path of a file for the report")
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError:
        return
    except OSError as error:
        raise NotAReport(f"cannot read {path}: {error.strerror}") from error
    if not _OURS.match(head) and not _lists_projects(path):
        raise NotAReport(
            f"{path} exists and is not a Track report, so it was not changed: choose another path"
        )


def _lists_projects(path: str) -> bool:
    """Return whether a file holds a list of projects with keys in another order."""
    try:
        load_report(path)
    except NotAReport:
        return False
    return True


def load_report(path: str) -> list[dict[str, Any]]:
    """Read the JSON of a report file.

    Raises
    ------
    NotAReport
        the file is not a list of projects
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        projects = json.loads(text) if text.strip() else []
    except OSError as error:
        raise NotAReport(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise NotAReport(f"{path} is not a Track report: {error}") from error
    if not isinstance(projects, list) or not all(
        isinstance(project, dict) and project.get("dtype") == SerializerProject.dtype
        for project in projects
    ):
        raise NotAReport(
            f"{path} is not a Track report (a list of projects), so it was not changed: choose "
            "another path"
        )
    return projects


def read_projects(path: str) -> list[Project]:
    """Read a report file.

    Raises
    ------
    NotAReport
        the file is not a list of projects
    """
    try:
        return [SerializerProject().from_json(project) for project in load_report(path)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAReport(f"{path} is not a Track report: {error}") from error


def create_report(path: str) -> None:
    """Create an empty report atomically, unless a file exists.

    Raises
    ------
    NotAReport
        the folder is missing or cannot be written
    """
    try:
        with fresh_path(path) as fresh:
            with open(fresh, "x", encoding="ascii") as file:
                file.write("[]\n")
            with suppress(FileExistsError):
                link_or_copy(fresh, path)
    except OSError as error:
        folder = os.path.dirname(path)
        remedy = "create the folder first" if not os.path.isdir(folder) else "choose another path"
        raise NotAReport(f"cannot create {path}: {error.strerror}; {remedy}") from error


@contextmanager
def replacing_report(
    path: str, timeout_s: float = DEFAULT_LOCK_TIMEOUT, *, unless_done: bool = False
) -> Iterator[Any]:
    """Give a text file that replaces the report if the block ends without an error.

    Only one process at a time is inside the block for a path, so a report rendered there never
    replaces a newer one. The mode of the replaced file is kept. With ``unless_done``, give None if
    another process has replaced the report meanwhile, see :func:`~track.utils.files.replacing`.

    Raises
    ------
    NotAReport
        the folder is missing
    ReportWriteError
        writing failed, for example because the disk is full; the old report is unchanged
    LockTimeout
        another process stayed inside for too long
    """
    path = os.path.realpath(path)
    if not os.path.isdir(os.path.dirname(path)):
        raise NotAReport(f"cannot write {path}: create the folder first")
    try:
        with replacing(path, timeout_s, encoding="ascii", unless_done=unless_done) as file:
            yield file
    except TrackError:
        raise
    except OSError as error:
        raise ReportWriteError(
            error.errno,
            f"cannot write the report {path}: {error.strerror}. Everything logged is in its "
            "journal: save again once this is corrected",
        ) from error


def write_report(path: str, pieces: Iterable[str]) -> None:
    """Replace the report at a path by the pieces of a text, atomically."""
    with replacing_report(path) as file:
        file.writelines(pieces)


_NAMESPACE = uuid5(NAMESPACE_URL, "track")


@dataclass
class LocalStorage:
    """The objects of a report file by UUID, to read, change and write back.

    Parameters
    ----------
    target_file
        the report file
    """

    target_file: str | None = None
    _objects: dict[UUID, Any] = field(default_factory=dict)
    _projects: set[UUID] = field(default_factory=set)
    _groups: set[UUID] = field(default_factory=set)
    _trials: set[UUID] = field(default_factory=set)
    _project_names: dict[str, UUID] = field(default_factory=dict)
    _group_names: dict[str, UUID] = field(default_factory=dict)
    _trial_names: dict[str, UUID] = field(default_factory=dict)
    _old_rev_tags: dict[str, int] = field(default_factory=dict)

    @property
    def objects(self) -> dict[UUID, Any]:
        """Return every project, group and trial."""
        return self._objects

    @property
    def projects(self) -> set[UUID]:
        """Return the uids of the projects."""
        return self._projects

    @property
    def groups(self) -> set[UUID]:
        """Return the uids of the groups."""
        return self._groups

    @property
    def trials(self) -> set[UUID]:
        """Return the uids of the trials."""
        return self._trials

    @property
    def project_names(self) -> dict[str, UUID]:
        """Return the projects by name."""
        return self._project_names

    @property
    def group_names(self) -> dict[str, UUID]:
        """Return the groups by name."""
        return self._group_names

    def get_current_version_tag(self, obj: Any) -> int:
        """Return the number of changes of an object."""
        count: int = obj.metadata.get(UPDATE_COUNT, 0)
        return count

    def get_previous_version_tag(self, obj: Any) -> int:
        """Return the number of changes of an object when it was last read."""
        return self._old_rev_tags.get(obj.uid, 0)

    def reload(self, filename: str | None = None) -> None:
        """Read the file and discard the current objects. A missing file holds none."""
        for kept in (self._objects, self._project_names, self._group_names, self._trial_names):
            kept.clear()
        for uids in (self._projects, self._groups, self._trials):
            uids.clear()
        self._old_rev_tags.clear()
        self.smart_reload(filename)

    def smart_reload(self, filename: str | None = None) -> None:
        """Read the file and update the current objects, which keep their identity."""
        path = self._path(filename)
        for project in read_projects(path) if os.path.exists(path) else []:
            project.trials = {self._merge(trial) for trial in project.trials}
            project.groups = {self._merge(group) for group in project.groups}
            self._merge(project)

    def _merge(self, fresh: Any) -> Any:
        key = uuid5(_NAMESPACE, f"{type(fresh).__name__}:{fresh.uid}")
        current = self._objects.setdefault(key, fresh)
        vars(current).update(vars(fresh))
        uids, names = {
            Project: (self._projects, self._project_names),
            TrialGroup: (self._groups, self._group_names),
            Trial: (self._trials, self._trial_names),
        }[type(fresh)]
        uids.add(key)
        if fresh.name is not None:
            names[fresh.name] = key
        self._old_rev_tags[fresh.uid] = self.get_current_version_tag(fresh)
        return current

    def commit(self, file_name_override: str | None = None) -> None:
        """Write every project to the file, or to another one, atomically."""
        path = self._path(file_name_override)
        check_report(path)
        projects = [self._objects[key] for key in self._projects]
        projects.sort(key=lambda project: project.uid)
        write_report(path, [dumps([to_json(project) for project in projects]), "\n"])

    def _path(self, override: str | None) -> str:
        path = override or self.target_file
        if path is None:
            raise ValueError("this storage has no target_file: name a file")
        return path


def load_database(json_name: str) -> LocalStorage:
    """Return the storage of a report file."""
    storage = LocalStorage(target_file=json_name)
    storage.reload()
    return storage
