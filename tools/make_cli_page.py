"""Write ``docs/cli.md``, the reference of the command line, out of the help of its verbs.

Run it as ``python tools/make_cli_page.py`` after a change of a verb; a test fails until then.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from track.cli.app import VERBS, track  # noqa: E402 - of this repository, not another

PAGE = ROOT / "docs" / "cli.md"
_WIDE: dict[str, Any] = {"terminal_width": 90, "max_content_width": 90}

_BEGIN = """# The command line

`pip install 'track-journal[cli]'` brings `track` (also `python -m track`). Its verbs read the
journal: none that only looks ever makes, imports or changes a store.

Data goes to stdout, everything else to stderr. `--json` prints JSON, one line for each trial, event
or row. On a terminal there are tables with lines and progress bars, without them with `--no-color`,
`NO_COLOR` or `TERM=dumb`.

A trial is named by its uid, the beginning of that (four characters or more), or its name. If
several revisions of a trial have the name, the latest one is meant, and a line on stderr says so;
`rm` and `redact` want the uid then.

A moment is a position in the journal, a time (`2026-01-31T12:00`, local unless it says otherwise)
or how long ago it was (`90s`, `15m`, `2h`, `3d`, `1w`). Times are printed in UTC, which `Z` says,
and can be given back as they are printed.

A condition (`--where`) is `path=value` (several values are separated by commas), `path!=value`,
`<`, `<=`, `>`, `>=`, `path~regex`, `path!~regex`, or `path` and `!path` for something that is
there, or not.

Conditions, `--sort`, `--columns`, `plot --metric` and `blame` take the same paths: `status`,
`name`, `parameters.lr`, `metrics.loss` (its last value), `metadata.note`, `tags.kind`, `runtime`. A
name with a dot in it can be written in brackets: `metrics["val.acc"]`. A path that leads to nothing
in any trial of the store is an error, which names similar ones.

`track ls` shows what tells the listed trials apart first: the parameters that differ, then metrics.
On a terminal it shows as many columns as fit, and says which it left out; elsewhere it shows all.
"""


def page() -> str:
    """Return the text of the page."""
    top = track.make_context("track", [], resilient_parsing=True, **_WIDE)
    parts = [_BEGIN, _block(track.get_help(top))]
    for verb in VERBS:
        command = track.get_command(top, verb)
        assert command is not None  # it is in the table
        parts.append(f"## track {verb}\n\n{_help(command, top, verb)}")
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=verb, parent=top, **_WIDE)
            for name, child in command.commands.items():
                parts.append(f"### track {verb} {name}\n\n{_help(child, context, name)}")
    return "\n".join(parts)


def _help(command: click.Command, parent: click.Context, name: str) -> str:
    context = click.Context(command, info_name=name, parent=parent, **_WIDE)
    return _block(command.get_help(context))


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
