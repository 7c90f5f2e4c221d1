"""Choose the columns of a list of trials: those that differ come first, as many as fit.

Identifying values stay unambiguous: uids are as long as they need to be, and names and parameters
lose their middle only if they remain different. Columns that do not fit are left out and listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from track.display.texts import UNCUT, ago, duration, gaps, shown, shown_width
from track.projections.paths import leaves, parse_path, write_path
from track.reading.summary import TrialSummary, value_at

_LONGEST = 24
"""The length of a text in a column, unless more is needed to distinguish it."""

_LEADING = 2
"""The number of parameters before the first metric, if names distinguish the trials, too."""

_NAMED = 8
"""The number of hidden columns that are listed."""

_FORMATS: dict[str, Callable[[Any], str | None]] = {"changed": ago, "runtime": duration}


class Column(NamedTuple):
    """A column of a list of trials: the path of its values, its title and its cells."""

    path: str
    title: str
    cells: list[str]

    @property
    def width(self) -> int:
        """Return the width in characters."""
        return max(map(shown_width, (self.title, *self.cells)))


class _Choice(NamedTuple):
    """The paths of possible columns."""

    first: list[str]
    """Columns that are always shown."""

    wanted: list[str]
    """Columns to show if they fit, in order of preference."""

    last: list[str]
    """Paths with the same value for all trials."""


def columns_of(
    summaries: Sequence[TrialSummary], uids: Mapping[str, str], paths: Sequence[str]
) -> list[Column]:
    """Return the columns at the given paths."""
    return [_column(path, path, summaries, uids, UNCUT) for path in paths]


def choose_columns(
    summaries: Sequence[TrialSummary],
    uids: Mapping[str, str],
    room: int | None,
    asked: Iterable[str] = (),
    *,
    is_lined: bool = False,
) -> tuple[list[Column], list[str], list[str]]:
    """Return the columns that fit, the paths that do not, and the paths that are the same for all.

    Parameters
    ----------
    summaries
        the trials to list
    uids
        the displayed uid of every trial
    room
        the width of a line in characters, None if it is unlimited
    asked
        paths to show before all other optional ones
    is_lined
        whether there are borders between the columns
    """
    first, wanted, last = _choice(summaries)
    known = {_plain(path): path for path in (*first, *wanted, *last)}
    exact = {*known.values()}
    asked = [path if path in exact else known.get(_plain(path), path) for path in asked]
    if room is None:
        paths = [*first, *wanted, *last]
        titles = _titles(paths)
        return _in_order([_column(p, titles[p], summaries, uids, UNCUT) for p in paths]), [], []
    wanted = list(dict.fromkeys([*(path for path in asked if path not in first), *wanted]))
    titles = _titles([*first, *wanted])
    chosen = [_column(path, titles[path], summaries, uids, UNCUT) for path in first]
    if max(column.width for column in chosen) > room // 2:  # long names
        chosen = [_column(path, titles[path], summaries, uids, _LONGEST) for path in first]
    left_out = []
    for path in wanted:
        column = _column(path, titles[path], summaries, uids, _LONGEST)
        chosen_width = sum(one.width for one in (*chosen, column))
        if chosen_width + gaps(len(chosen) + 1, is_lined=is_lined) <= room:
            chosen.append(column)
        else:
            left_out.append(path)
    same = [path for path in last if path not in wanted and len(parse_path(path)) > 1]
    return _in_order(chosen), left_out, same


def _choice(summaries: Sequence[TrialSummary]) -> _Choice:
    """Sort the paths of the trials by whether they are worth a column."""
    same: list[str] = []
    differing: list[str] = []
    tags: list[str] = []
    for path, texts in _texts_of(summaries, "parameters").items():
        (differing if _differ(texts, summaries) else same).append(path)
    for path, texts in _texts_of(summaries, "tags").items():
        (tags if _differ(texts, summaries) else same).append(path)
    counts: dict[str, int] = {}
    for summary in summaries:
        for name, value in summary.metrics.items():
            statistic = ["avg"] if isinstance(value, Mapping) and "avg" in value else []
            path = write_path("metrics", name, *statistic)
            counts[path] = counts.get(path, 0) + 1
    metrics = sorted(counts, key=lambda path: -counts[path])
    named = ["name"] if any(summary.name for summary in summaries) else []
    archived_from = [
        name
        for name in ("project", "group")
        if len({getattr(summary, name) for summary in summaries}) > 1
    ]
    are_named = len({summary.name for summary in summaries} - {None}) == len(summaries)
    leading = _LEADING if are_named else len(differing)
    mixed = chain.from_iterable(zip_longest(metrics, differing[leading:]))
    failed = ["failure"] if any(summary.failure for summary in summaries) else []
    wanted = [*failed, *differing[:leading], *(path for path in mixed if path is not None)]
    others = [name for name in ("name", "project", "group") if name not in [*named, *archived_from]]
    return _Choice(
        ["uid", *named, "status"],
        [*wanted, *archived_from, "changed", "runtime", *tags],
        [*others, *same],
    )


def _texts_of(summaries: Sequence[TrialSummary], section: str) -> dict[str, list[str]]:
    """Return the values of the trials in one section, grouped by path."""
    found: dict[str, list[str]] = {}
    for summary in summaries:
        for path, value in leaves(getattr(summary, section) or {}, section):
            if path != section:
                found.setdefault(path, []).append(repr(value))
    return found


def _differ(texts: list[str], summaries: Sequence[TrialSummary]) -> bool:
    """Return whether values distinguish the trials; the values of a single trial always do."""
    return len(texts) < len(summaries) or len(set(texts)) > 1 or len(summaries) == 1


def _plain(path: str) -> str:
    """Return a path with dots instead of brackets."""
    return ".".join(key.text for key in parse_path(path))


def _titles(paths: Iterable[str]) -> dict[str, str]:
    """Return the titles of columns: their paths, without the section unless it is needed."""
    short = {path: ".".join(_plain(path).split(".")[1:]) or path for path in paths}
    counts: dict[str, int] = {}
    for title in short.values():
        counts[title] = counts.get(title, 0) + 1
    titles = {path: title if counts[title] == 1 else path for path, title in short.items()}
    return {path: "trial" if path == "uid" else title for path, title in titles.items()}


def _column(
    path: str, title: str, summaries: Sequence[TrialSummary], uids: Mapping[str, str], longest: int
) -> Column:
    if path == "uid":
        return Column(path, title, [uids[summary.uid] for summary in summaries])
    values = [value_at(summary, path) for summary in summaries]
    if path in _FORMATS:
        return Column(path, title, [shown(_FORMATS[path](value)) for value in values])
    cells = [shown(value, UNCUT) for value in values]
    if len(set(cells)) < len({repr(value) for value in values}):  # nearly equal numbers
        cells = [repr(v) if isinstance(v, float) else c for v, c in zip(values, cells, strict=True)]
    return Column(path, title, shortened(cells, longest))


def shortened(texts: Sequence[str], longest: int) -> list[str]:
    """Cut the middle out of long texts, but never so much that different texts become equal."""
    different = len(set(texts))
    while True:
        cut = [_without_middle(text, longest) for text in texts]
        if len(set(cut)) == different:
            return cut
        longest += 4


def _without_middle(text: str, longest: int) -> str:
    end = longest // 2
    return text if len(text) <= longest else f"{text[: longest - end - 1]}…{text[-end:]}"


_ORDER = ("uid", "name", "project", "group", "status", "parameters", "tags", "metrics")


def _in_order(columns: Iterable[Column]) -> list[Column]:
    """Sort columns into the order in which they are displayed."""
    places = {section: place for place, section in enumerate(_ORDER)}
    return sorted(columns, key=lambda one: places.get(parse_path(one.path)[0].text, len(places)))


def sentence(left_out: Sequence[str], same: Sequence[str]) -> str:
    """Return a note about the hidden columns, empty if there are none."""
    parts = []
    if left_out:
        parts.append(f"{_named(left_out)} (do not fit)")
    if same:
        parts.append(f"{_named(same)} (the same for all)")
    if not parts:
        return ""
    return f"not shown: {', '.join(parts)}; choose with --columns, or print everything with --json"


def _named(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more
