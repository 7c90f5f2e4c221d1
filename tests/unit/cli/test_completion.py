"""Shells complete words: verbs, trials, and paths with the one rule for quotes."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.faults import patience
from track import TrackClient
from track.reader import open_store

ROOT = Path(__file__).resolve().parents[3]

TRACK = [sys.executable, "-m", "track"]

ODD = 'metrics["loss<0.1"]'


@pytest.fixture
def odd(store):
    """A trial whose names need quotes."""
    client = TrackClient(store)
    client.set_project(name="paper")
    parameters = {"lr": 0.1, "it's": 1, "model": {"depth": 3, "a b": 1}}
    with client.new_trial(name="odd one", parameters=parameters) as trial:
        trial.log_metrics(step=1, loss=0.5, latency=2.0, **{"loss<0.1": 1.0, "tab\there": 1.0})
    client.close()


def completions(line):
    """What Bash inserts for the end of the last word of a line."""
    done = subprocess.run(
        TRACK,
        env={**os.environ, "_TRACK_COMPLETE": "bash_complete", "COMP_LINE": line},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.stderr == ""
    return sorted(line.partition(",")[2] for line in done.stdout.splitlines() if line)


def test_shells_complete_verbs():
    """As click does it."""
    assert completions("track re") == ["redact", "repair", "replay", "report", "restore"]


def test_shells_complete_trials(store):
    """Names, and uids that begin like the word; of nothing where does not exist."""
    assert completions("track show ba") == ["baseline"]
    assert completions(f"track diff -s {store} baseline ") == ["baseline", "wider"]
    with open_store(store) as reader:
        uid = reader.find_uid("wider")
    assert completions(f"track plot {uid[:5]}") == [uid]
    assert completions("track show -s file:none.json ") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("track ls --sort metrics.l", ["metrics.latency", "metrics.loss"]),
        ("track ls --sort=metrics.lo", ["metrics.loss"]),
        ("track ls -s file:store.json -w parameters.l", ["parameters.lr"]),
        ("track ls -w '!parameters.mo", ["!parameters.model.depth", '!parameters.model["a b"]']),
        ("track ls -w st", ["start", "status"]),
        ("track ls --columns uid,metrics.lo", ["uid,metrics.loss"]),
        (f"track ls --columns '{ODD},metrics.lo", [f"{ODD},metrics.loss"]),
        ("track watch --when metrics.lo", ["metrics.loss"]),
        ("track export -w metrics.lo", ["metrics.loss"]),
        ("track top --sort status", ["status"]),
        ("track plot odd -m lo", ["loss"]),
        ("track plot -m metrics", [f"'{ODD}'", "'metrics[\"tab\\there\"]'"]),
        ("track ls -w 'metrics[", [ODD, 'metrics["tab\\there"]']),
        ('track ls -w "metrics[', [r"metrics[\"loss<0.1\"]", r"metrics[\"tab\\there\"]"]),
        ("track ls -w 'parameters[", [r"""parameters["it'\''s"]"""]),
        ("track ls -w nothing.", []),
        ("track ls -s file:none.json -w metrics.", []),
    ],
)
def test_shells_complete_paths(odd, line, expected):
    """Of the store that the line names, quoted where the shell needs that, too."""
    assert completions(line) == expected


@pytest.mark.parametrize(
    ("typed", "arguments"),
    [
        ("ls -w 'metrics[\"lo", ["ls", "-w", ODD]),
        ('ls -w "metrics[\\"lo', ["ls", "-w", ODD]),
        (
            "plot -s file:store.json odd -m lo",
            ["plot", "-s", "file:store.json", "odd", "-m", "loss"],
        ),
        ("ls --sort=parameters.l", ["ls", "--sort=parameters.lr"]),
        (
            "ls -s file:store.json --sort metrics.la",
            ["ls", "-s", "file:store.json", "--sort", "metrics.latency"],
        ),
        ("show od", ["show", "odd one"]),
        ("ls -w 'parameters[", ["ls", "-w", 'parameters["it\'s"]']),
    ],
)
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_word_that_bash_completed_arrives_at_the_verb(odd, tmp_path, typed, arguments):
    """A shell on a terminal, where a line is typed and completed by TAB."""
    program = tmp_path / "bin" / "track"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        f'if [ "$_TRACK_COMPLETE" ]; then PYTHONPATH={ROOT} exec {sys.executable} -m track; fi\n'
        "printf '%s\\n' \"$@\" > started && mv started arguments\n"
    )
    program.chmod(0o755)
    main, other = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", "PS1": "$ ", "INPUTRC": os.devnull}
    environment["PATH"] = f"{program.parent}:{environment['PATH']}"
    with subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        env=environment,
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
    ) as shell:
        os.close(other)
        try:
            os.write(main, b'eval "$(_TRACK_COMPLETE=bash_source track)"; echo re""ady\n')
            shown = b""
            while b"ready" not in shown:
                shown += os.read(main, 4096)
            os.write(main, f"track {typed}\t\n".encode())
            for _ in patience():
                if (tmp_path / "arguments").exists():
                    break
        finally:
            shell.kill()
    os.close(main)
    assert (tmp_path / "arguments").read_text().splitlines() == arguments
