"""Shells complete words: verbs, trials, and paths with the one rule for quotes."""

import os
import pty
import select
import shutil
import subprocess
import sys
from contextlib import closing
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
    parameters = {"lr": 0.1, "it's": 1, "k=v": 1, "model": {"depth": 3, "a b": 1}}
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
        ("track ls -w 'parameters[\"i", [r"""parameters["it'\''s"]"""]),
        ("track ls -w nothing.", []),
        ("track ls -s file:none.json -w metrics.", []),
    ],
)
def test_shells_complete_paths(odd, line, expected):
    """Of the store that the line names, quoted where the shell needs that, too."""
    assert completions(line) == expected


SHELLS = {
    "bash": (["--norc", "--noprofile", "-i"], 'eval "$(_TRACK_COMPLETE=bash_source track)"'),
    "zsh": (
        ["-f", "-i"],
        'autoload -Uz compinit && compinit -D -u; eval "$(_TRACK_COMPLETE=zsh_source track)"',
    ),
    "fish": (["--no-config", "-i"], "_TRACK_COMPLETE=fish_source track | source"),
}
"""The arguments of each shell, and the line that has it complete words."""

ON_TERMINAL = """
import fcntl, os, sys, termios

os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Runs a program that owns its terminal, as Fish requires."""


class Terminal:
    """A shell on a terminal, where lines are typed and completed by TAB.

    Parameters
    ----------
    shell
        its name
    folder
        where the ``track`` that it finds notes its arguments
    """

    def __init__(self, shell, folder):
        self._noted = folder / "arguments"
        program = folder / "bin" / "track"
        program.parent.mkdir()
        program.write_text(
            "#!/bin/sh\n"
            'if [ "$_TRACK_COMPLETE" ]; then '
            f"PYTHONPATH={ROOT} exec {sys.executable} -m track; fi\n"
            f"printf '%s\\n' \"$@\" > {folder}/started && mv {folder}/started {self._noted}\n"
        )
        program.chmod(0o755)
        options, setup = SHELLS[shell]
        environment = {**os.environ, "TERM": "xterm", "PS1": "$ ", "INPUTRC": os.devnull}
        environment |= {"HOME": str(folder), "PATH": f"{program.parent}:{os.environ['PATH']}"}
        self._main, other = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", ON_TERMINAL, shell, *options],
            env=environment,
            stdin=other,
            stdout=other,
            stderr=other,
        )
        os.close(other)
        self._shown = b""
        os.write(self._main, f'{setup}; echo re""ady\n'.encode())
        self._show_until(lambda: b"ready" in self._shown)

    def arguments_of(self, line):
        """Return the arguments that a command gets whose line is typed and completed."""
        os.write(self._main, f"{line}\t\n".encode())
        self._show_until(self._noted.exists)
        found = self._noted.read_text().splitlines()
        self._noted.unlink()
        return found

    def _show_until(self, is_done):
        for _ in patience():
            if is_done():
                return
            if select.select([self._main], [], [], 0.05)[0]:
                self._shown += os.read(self._main, 4096)

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._main)


@pytest.fixture(params=SHELLS)
def terminal(request, odd, tmp_path):
    if shutil.which(request.param) is None:
        pytest.skip(f"there is no {request.param} on the PATH")
    with closing(Terminal(request.param, tmp_path)) as terminal:
        yield terminal


def test_words_that_a_shell_completed_arrive_at_the_verb(terminal):
    """Whatever quotes they need, and whether an option and a value are one word or two."""
    lines = {
        "ls -w 'metrics[\"lo": ["ls", "-w", ODD],
        'ls -w "metrics[\\"lo': ["ls", "-w", ODD],
        "ls -w 'metrics[\"tab": ["ls", "-w", 'metrics["tab\\there"]'],
        "ls -w 'parameters[\"it": ["ls", "-w", 'parameters["it\'s"]'],
        "ls -w 'parameters[\"k": ["ls", "-w", 'parameters["k=v"]'],
        "ls -w 'parameters.model[": ["ls", "-w", 'parameters.model["a b"]'],
        "ls -w '!parameters.lr": ["ls", "-w", "!parameters.lr"],
        "plot -s file:store.json odd -m los": [
            "plot",
            "-s",
            "file:store.json",
            "odd",
            "-m",
            "loss",
        ],
        "ls --sort=parameters.l": ["ls", "--sort=parameters.lr"],
        "ls -s file:store.json --sort metrics.la": [
            *("ls", "-s", "file:store.json", "--sort", "metrics.latency")
        ],
        "ls --columns uid,metrics.los": ["ls", "--columns", "uid,metrics.loss"],
        "show od": ["show", "odd one"],
    }
    found = {line: terminal.arguments_of(f"track {line}") for line in lines}
    assert found == lines
