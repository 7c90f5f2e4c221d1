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

`pip install 'track-journal[cli]'` installs `track` (also `python -m track`). Commands that only
read never create, import or change a store.

Data goes to stdout, everything else to stderr. `--json` prints one line of JSON for each trial,
event or row. On a terminal, tables have borders and long work shows a progress bar; `--no-color`,
`NO_COLOR` or `TERM=dumb` turn colours and borders off.

**Trials** are given by name, uid or uid prefix (four characters or more). If several revisions of
a trial share the name, the latest one is used, and a line on stderr says so; `rm` and `redact`
require the uid in this case.

**Times** (`--at`, `--since`, `--until`) are a time (`2026-01-31T12:00`, local unless it has an
offset), a duration ago (`90s`, `15m`, `2h`, `3d`, `1w`) or a position in the journal. Times are
printed in UTC, marked by `Z`, and can be pasted back as printed.

**Conditions** (`--where`) are `path=value` (or several values, separated by commas),
`path!=value`, `<`, `<=`, `>`, `>=`, `path~regex`, `path!~regex`, and `path` or `!path` for a value
that exists or does not.

**Paths** are the same in conditions, `--sort`, `--columns`, `plot --metric` and `blame`: `status`,
`name`, `parameters.lr`, `metrics.loss` (its last value, or the one [that sums it
up](how-to/alerts.md)), `metadata.note`, `tags.kind`, `runtime`.
A name with blanks, dots or signs in it is [quoted](how-to/queries.md), in single quotes
for the shell: `-w 'metrics["loss<0.1"]>3'`. `plot --metric` takes the name of a metric alone, too.
A path that no trial of the store has is an error, which suggests similar paths.

`track ls` shows first what distinguishes the listed trials: the parameters that differ, then
metrics. On a terminal it shows as many columns as fit and lists the others; elsewhere it shows
all. `track show` folds more than 60 metrics of a trial by prefix on a terminal
(`layer0/…  120 metrics`) and shows each one with `--all`; elsewhere it shows all.
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
