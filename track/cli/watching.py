"""The verb watch, which runs a command when a trial meets a rule or raises an alert."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import click

from track.cli.app import FAILURE
from track.cli.common import (
    clock,
    example,
    json_option,
    print_json,
    reading,
    store_at_once,
    store_option,
    tell,
)
from track.cli.completion import CONDITION
from track.cli.subjects import Subjects
from track.containers.alerts import LEVELS
from track.display.texts import shown
from track.errors import QueryError
from track.events.types import AlertRaised
from track.projections.report import dumps, plain
from track.reader import Reader
from track.reading.summary import TrialSummary, check_field, to_condition, value_at
from track.utils.printing import printable

_SOONEST_S, _LATEST_S = 0.5, 5.0
"""The least and the longest time between two checks; a lost trial logs no event."""


class _Firing(NamedTuple):
    """A trial that met the rule, or raised an alert."""

    uid: str
    name: str | None
    project: str | None
    at_ns: int
    values: dict[str, Any]
    """The values of the rule by path, or the alert."""


@click.command(
    "watch",
    epilog=example(
        "track watch --when 'metrics.loss>10' --run 'kill-job $TRACK_TRIAL'",
        "track watch --when status=completed --when project=paper --once",
        """track watch --alert error --run 'mail -s "$TRACK_ALERT_TITLE" me </dev/null'""",
    ),
)
@store_option
@click.option(
    "--when",
    type=CONDITION,
    multiple=True,
    metavar="CONDITION",
    help="The rule, as for `track ls --where`; if repeated, all must hold.",
)
@click.option(
    "--alert",
    type=click.Choice(LEVELS),
    help="Wait for alerts of this level or higher.",
)
@click.option("--run", "command", metavar="COMMAND", help="Run COMMAND in the shell.")
@click.option("--once", is_flag=True, help="Exit after the first match.")
@click.option("--existing", is_flag=True, help="Include trials that already meet the rule.")
@json_option
def watch_verb(
    *,
    store: str | None,
    when: tuple[str, ...],
    alert: str | None,
    command: str | None,
    once: bool,
    existing: bool,
    as_json: bool,
) -> int:
    """Watch a store, and run a command when a rule becomes true for a trial.

    The rule fires once per trial: when it becomes true, not while it stays true. It is checked
    about twice a second against the current values; `curves.loss.maximum>10` misses no value in
    between. Every alert fires.

    The command finds TRACK_TRIAL (the uid), TRACK_TRIAL_NAME, TRACK_PROJECT, TRACK_VALUES (JSON)
    and the store (TRACK_LOG_BACKEND_NAME) in its environment; for an alert, also TRACK_ALERT_LEVEL,
    TRACK_ALERT_TITLE and TRACK_ALERT_TEXT. The exit code is 1 if a command failed.
    """
    if bool(when) is (alert is not None):
        raise click.UsageError("nothing to watch for: give --when CONDITION or --alert LEVEL")
    for text in when:
        check_field(to_condition(text)[0])
    uri = store_at_once(store)
    code = 0
    with reading(store) as reader:
        firings = _alerts(reader, alert) if alert else _edges(reader, when, existing=existing)
        for firing in firings:
            if as_json:
                print_json({"trial": firing.uid, **firing._asdict()} | {"at": clock(firing.at_ns)})
            else:
                said = "  ".join(f"{key}={shown(value)}" for key, value in firing.values.items())
                name = shown(firing.name or "")
                click.echo(f"{clock(firing.at_ns)}  {firing.uid[:12]} {name}  {said}")
            if command is not None and not _run(command, uri, firing):
                code = FAILURE
            if once:
                break
    return code


def _edges(reader: Reader, when: Sequence[str], *, existing: bool) -> Iterator[_Firing]:
    """Yield each trial for which the rule becomes true, once."""
    before = {} if existing else _meeting(reader, when)
    if before:
        trials = "1 trial meets" if len(before) == 1 else f"{len(before)} trials meet"
        tell(f"{trials} the rule already: use --existing to include them")
    fired: set[str] = set()
    for _ in _looks(reader):
        now = _meeting(reader, when)
        for uid, summary in now.items():
            if uid not in before and uid not in fired:
                fired.add(uid)
                paths = [to_condition(text)[0] for text in when]
                values = {path: value_at(summary, path) for path in paths}
                yield _Firing(uid, summary.name, summary.project, time.time_ns(), values)
        before = now


def _meeting(reader: Reader, when: Sequence[str]) -> dict[str, TrialSummary]:
    """Return the trials that meet the rule now."""
    try:
        return {one.uid: one for one in reader.summaries(when).trials}
    except QueryError as error:  # the conditions are valid, so this is a path that no trial has
        tell(f"no trial meets the rule yet: {error}")
        return {}


def _looks(reader: Reader) -> Iterator[None]:
    """Yield when it is time to check: at once, soon after new events, and periodically."""
    yield
    journal = reader.protocol.journal
    looked_s, is_new = time.monotonic(), False
    for batch in journal.follow(journal.head()):
        is_new = is_new or batch is not None
        if time.monotonic() - looked_s >= (_SOONEST_S if is_new else _LATEST_S):
            looked_s, is_new = time.monotonic(), False
            yield


def _alerts(reader: Reader, least: str) -> Iterator[_Firing]:
    """Yield each alert that is raised from now on."""
    after = reader.protocol.journal.head()
    with reader.protocol.read_state() as objects:
        subjects = Subjects(objects)
    for recorded in reader.follow(after):
        uid, event = subjects.trial_of(recorded), recorded.event
        if not isinstance(event, AlertRaised) or uid is None:
            continue
        if event.level in LEVELS[LEVELS.index(least) :]:
            trial = reader.trial(uid)
            yield _Firing(uid, trial.name, trial.project_id, recorded.at, event._asdict())


def _run(command: str, uri: str, firing: _Firing) -> bool:
    """Run a command and return whether it succeeded; report a failure."""
    done = subprocess.run(  # noqa: S602 - the user's own command line
        command, shell=True, check=False, env={**os.environ, **_environment(uri, firing)}
    )
    if done.returncode:
        click.echo(f"track: the command ended with code {done.returncode}", err=True)
    return not done.returncode


def _environment(uri: str, firing: _Firing) -> Mapping[str, str]:
    """Return the environment of a command, with texts that an environment can hold."""
    told = {
        "LOG_BACKEND_NAME": uri,
        "TRIAL": firing.uid,
        "TRIAL_NAME": firing.name or "",
        "PROJECT": firing.project or "",
        "VALUES": dumps(plain(firing.values)),
    }
    if firing.values.keys() == {*AlertRaised._fields}:
        told |= {f"ALERT_{key.upper()}": str(value) for key, value in firing.values.items()}
    return {f"TRACK_{key}": printable(value) for key, value in told.items()}
