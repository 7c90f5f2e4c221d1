"""Complete paths and conditions in a shell, from the store that its line names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from track.cli.common import read_to_complete
from track.projections.paths import paths_of
from track.utils.printing import printable

_ATTRIBUTES = (
    *("uid", "name", "description", "project", "group", "revision", "version", "status"),
    *("created", "changed", "start", "end", "runtime", "failure", "archived"),
)
"""The paths of trials that are not of a section."""

_SECTIONS = ("parameters", "metrics", "metadata", "tags")


class _Paths(click.ParamType):  # type: ignore[type-arg]  # older versions of click take no type argument
    """Text with a path at its end, such as ``-metrics.loss``, which shells complete.

    Parameters
    ----------
    before
        a regular expression for what may be before the path
    sections
        the parts of trials whose names are completed
    write
        returns how a path is written
    """

    name = "path"

    def __init__(
        self,
        before: str = "",
        sections: tuple[str, ...] = _SECTIONS,
        write: Callable[[str], str] = str,
    ) -> None:
        self._before = re.compile(before, re.DOTALL)
        self._sections = sections
        self._write = write

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        match = self._before.match(incomplete)
        before = match[0] if match else ""
        known = read_to_complete(ctx, lambda trials: paths_of(trials, self._sections))
        attributes = _ATTRIBUTES if self._sections == _SECTIONS else ()
        texts = (before + self._write(path) for path in (*attributes, *known))
        return [
            CompletionItem(text)
            for text in texts
            if text.startswith(incomplete) and text == printable(text)
        ]


def _metric(path: str) -> str:
    """Return the plain name of a metric, or its path where the name needs quotes."""
    return path.removeprefix("metrics.")


PATH = _Paths("-?")
PATHS = _Paths(r'(?:(?:"(?:[^"\\]|\\.)*"|[^",])*,)*')
CONDITION = _Paths("!?")
METRIC = _Paths(sections=("metrics",), write=_metric)


def where_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option ``--where`` to a verb."""
    help_text = "Filter by condition (repeatable)."
    option = click.option(
        "-w", "--where", type=CONDITION, multiple=True, metavar="CONDITION", help=help_text
    )
    return option(verb)
