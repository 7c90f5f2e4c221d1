"""Define lists that are displayed as tables which fit a screen."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple, TypeVar

from track.attachments.logged_files import LoggedFile
from track.display.columns import choose_columns, shortened
from track.display.texts import UNCUT, short_uids, shown, shown_width, text_table
from track.errors import TrackError
from track.projections.objects import Objects
from track.reading.summary import TrialSummary
from track.structure import AnyStatus, Project, Trial, TrialGroup

T = TypeVar("T")

_ROWS = 20
"""The most rows shown, since a screen has 24 lines; longer lists lose their middle."""

_DIGITS = 12
"""The number of digits of a SHA-256 that are shown."""

_HTML_ROOM = 120
"""The width of a notebook in characters."""


class Table(NamedTuple):
    """A table: column names and rows of cells."""

    names: list[str]
    rows: list[list[str]]


class Listing(list[T]):
    """A list that is displayed as a table in a prompt or a notebook.

    Parameters
    ----------
    items
        the items of the list
    tabulate
        returns a table of some items that fits a given width in characters
    """

    def __init__(self, items: Iterable[T], tabulate: Callable[[Sequence[T], int], Table]) -> None:
        super().__init__(items)
        self._tabulate = tabulate

    def __reduce__(self) -> tuple[Any, ...]:
        return list, ([*self],)  # a pickled list does not depend on its store

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Listing(found, self._tabulate) if isinstance(index, slice) else found

    def __repr__(self) -> str:
        if not self:
            return "[]"
        room = shutil.get_terminal_size().columns
        names, rows = self._table(room)
        return "\n".join(_cut(line, room) for line in text_table(names, rows))

    def _repr_html_(self) -> str:
        names, rows = self._table(_HTML_ROOM) if self else Table([], [])
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in rows)
        return (
            f"<table><caption>{len(self)} in all</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )

    def _table(self, room: int) -> Table:
        left_out = len(self) - _ROWS
        if left_out <= 1:  # the line "… 1 more" would take as much room
            return self._tabulate(self, room)
        half = _ROWS // 2
        names, rows = self._tabulate([*self[:half], *self[-half:]], room)
        gap = [f"… {left_out} more", *("" for _ in names[1:])]
        return Table(names, [*rows[:half], gap, *rows[half:]])


def html_of(title: str, items: Callable[[], Any]) -> str | None:
    """Return a list as HTML below a title, or None to have a notebook show the plain repr.

    The latter happens if the store of the list is closed.
    """
    try:
        listing = items()
    except TrackError:
        return None
    return f"<p>{escape(title)}</p>{listing._repr_html_()}"


def _html_cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _cut(line: str, room: int) -> str:
    """Cut a line to a width, counting wide characters twice."""
    if shown_width(line) <= room:
        return line
    while shown_width(line) >= room:
        line = line[:-1]
    return f"{line}…"


def list_trials(
    trials: Iterable[Trial], objects: Objects, statuses: Mapping[str, AnyStatus | None]
) -> list[Trial]:
    """Return a list of trials that is displayed as ``track ls`` prints it.

    Parameters
    ----------
    trials
        the items of the list
    objects
        all objects of the store, so that short uids are unique among them
    statuses
        the status of a trial by uid, where it is not the recorded one
    """
    uids = [*objects.trials]
    groups = {group.uid: group.name for group in objects.groups.values()}

    def tabulate(some: Sequence[Trial], room: int) -> Table:
        summaries = [
            TrialSummary(trial, statuses.get(trial.uid, trial.status), groups.get(trial.group_id))
            for trial in some
        ]
        known = short_uids([*uids, *(trial.uid for trial in some)])
        columns, _, _ = choose_columns(summaries, known, room)
        cells = zip(*(column.cells for column in columns), strict=True)
        return Table([column.title for column in columns], [*map(list, cells)])

    return Listing(trials, tabulate)


PROJECT_COLUMNS = ["name", "trials", "groups", "description"]
GROUP_COLUMNS = ["name", "trials", "project", "description"]


def list_projects(projects: Iterable[Project]) -> list[Project]:
    """Return a list of projects that is displayed as ``track ls projects`` prints it."""
    return Listing(projects, lambda some, _: Table(PROJECT_COLUMNS, [*map(project_row, some)]))


def list_groups(groups: Iterable[TrialGroup]) -> list[TrialGroup]:
    """Return a list of groups that is displayed as ``track ls groups`` prints it."""
    return Listing(groups, lambda some, _: Table(GROUP_COLUMNS, [*map(group_row, some)]))


FILE_COLUMNS = ["name", "bytes", "kind", "sha256"]


def list_files(files: Iterable[LoggedFile]) -> list[LoggedFile]:
    """Return a list of logged files that is displayed as ``track files`` prints it."""

    def tabulate(some: Sequence[LoggedFile], room: int) -> Table:
        names, *others = zip(*map(file_row, some), strict=True)
        short = shortened(names, room // 2)
        return Table(FILE_COLUMNS, [*map(list, zip(short, *others, strict=True))])

    return Listing(files, tabulate)


def file_row(file: LoggedFile) -> list[str]:
    """Return the cells of a logged file, with enough of its hash to identify it."""
    values = (file.name, file.size, file.kind, file.sha256[:_DIGITS])
    return [shown(value, UNCUT) for value in values]


def project_row(project: Project) -> list[str]:
    """Return the cells of a project."""
    values = (project.name, len(project.trials), len(project.groups), project.description)
    return [*map(shown, values)]


def group_row(group: TrialGroup) -> list[str]:
    """Return the cells of a group."""
    values = (group.name, len(group.trials), group.project_id, group.description)
    return [*map(shown, values)]
