"""The command as a process: pipes, Ctrl-C, servers, and what it imports."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from track import TrackClient
from track.cli.app import INTERRUPTED, NOT_FOUND, PIPE_CLOSED

TRACK = [sys.executable, "-m", "track"]


def start(*arguments, **kwargs):
    return subprocess.Popen(
        [*TRACK, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs
    )


def test_the_command_runs_as_a_module(store):
    """With the exit codes of the verbs."""
    assert subprocess.run([*TRACK, "ls"], check=True, capture_output=True).stdout
    missing = subprocess.run([*TRACK, "show", "nobody"], capture_output=True, check=False)
    assert missing.returncode == NOT_FOUND


def test_nobody_reading_is_the_end(store):
    """It ends quietly, as with head(1)."""
    client = TrackClient(store)
    trial = client.new_trial(name="long", parameters={})
    for step in range(3000):
        trial.log_metrics(step=step, loss=1.0)
    client.close()
    process = start("log")
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(30) == PIPE_CLOSED


@pytest.mark.parametrize("verb", ["ls", "log", "report", "show baseline", "verify"])
def test_output_that_was_closed_before_is_dropped(store, verb):
    """As by a shell's ``>&-``, or what starts services."""
    command = " ".join([*TRACK, verb])
    closed = subprocess.run(f"{command} >&-", shell=True, capture_output=True, check=False)
    assert (closed.returncode, closed.stderr) == (0, b"")
    silent = subprocess.run(f"{command} >&- 2>&-", shell=True, check=False)
    assert silent.returncode == 0


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_what_comes_is_printed_until_it_is_interrupted(store, flags):
    """Each event at once; Ctrl-C ends it quietly."""
    process = start("tail", "-n", "1", "-f", *flags)
    process.stdout.readline()
    client = TrackClient(store)
    client.set_trial(uid=client.protocol.fetch_trials()[0].uid).log_metadata(note="fresh")
    assert "fresh" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == INTERRUPTED
    client.close()


def test_a_store_is_served(store, tmp_path):
    """Until SIGTERM; who may log in is in a file."""
    subprocess.run(
        [*TRACK, "user", "add", "ada", "--users", "users.json"],
        input="hunter2\n",
        text=True,
        check=True,
    )
    process = start("serve", "-s", store, "--port", "0", "--layer", "AES", "--users", "users.json")
    words = iter(process.stderr.readline, "")
    line = next(line for line in words if "listen" in line.lower() or "serv" in line.lower())
    port = next(
        word for word in line.replace(":", " ").split() if word.isdecimal() and int(word) > 1023
    )
    uri = f"socket://ada:hunter2@localhost:{port}?security_layer=AES&spool={tmp_path / 'spool'}"
    ended = threading.Thread(target=process.stderr.read)
    ended.start()
    listed = subprocess.run([*TRACK, "ls", "-s", uri, "--json"], capture_output=True, check=True)
    names = [json.loads(line)["name"] for line in listed.stdout.splitlines()]
    assert names == ["baseline", "wider"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) in (0, 128 + signal.SIGTERM, -signal.SIGTERM)
    ended.join()
    process.stderr.close()
    process.stdout.close()


def test_help_imports_little():
    """It is what a shell waits for when it completes a word."""
    program = (
        "import sys\n"
        "from track.cli.app import run\n"
        "assert run(['--help']) == 0\n"
        "heavy = {'asyncio', 'lmdb', 'numpy', 'pandas', 'psycopg2', 'rich', 'track.reader'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_click_it_says_what_to_install():
    """The core does without, so it may be missing."""
    program = "import sys; sys.modules['click'] = None; from track.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True
    )
    assert done.returncode == 1
    assert (
        done.stderr
        == "track: the command line needs the package click: pip install 'track-journal[cli]'\n"
    )


def on_a_terminal(*arguments, **environment):
    """Run the command on a terminal, and return what it shows there."""
    main, other = os.openpty()
    process = subprocess.Popen(
        [*TRACK, *arguments], stdout=other, stderr=other, env={**os.environ, **environment}
    )
    os.close(other)
    shown = b""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            piece = os.read(main, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    process.wait(30)
    os.close(main)
    return shown.decode()


def test_lines_are_drawn_where_somebody_looks(store):
    """And where they are wanted."""
    environment = {"TERM": "xterm", "COLUMNS": "200"}
    assert "┃" in on_a_terminal("ls", **environment)
    for quiet in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = on_a_terminal("ls", **{**environment, **quiet})
        assert "baseline" in shown
        assert not {"┃", "\x1b"} & set(shown)
    assert "┃" not in on_a_terminal("--no-color", "ls", **environment)


def test_many_metrics_are_folded_on_a_terminal(store):
    """By prefix, and those without one are counted; a pipe and --all get each one."""
    client = TrackClient(store)
    with client.new_trial(name="broad", force=True) as trial:
        trial.log_metrics(loss=1.25, **{f"layer{n % 3}/w{n}": n for n in range(600)})
    with client.new_trial(name="flat", force=True) as trial:
        trial.log_metrics(**{f"m{n}": n for n in range(100)})
    client.close()
    shown = on_a_terminal("show", "broad", TERM="xterm", COLUMNS="200")
    assert shown.count("200 metrics") == 3
    assert "layer0/…" in shown
    assert "1.25" in shown
    assert "601 metrics are folded: use --all to show each of them" in shown
    assert "layer0/w0" not in shown
    assert len(shown.splitlines()) < 30
    assert "… and 40 more" in on_a_terminal("show", "flat", TERM="xterm", COLUMNS="200")
    assert on_a_terminal("show", "broad", "--all", TERM="xterm").count("layer") == 600
    piped = subprocess.run([*TRACK, "show", "broad"], check=True, capture_output=True, text=True)
    assert piped.stdout.count("layer") == 600
    assert piped.stderr == ""


def test_long_work_ends_well_on_a_terminal(store):
    """The progress bar is gone at its end."""
    assert "events" in on_a_terminal("replay", TERM="xterm")
    assert Path("store.json").exists()
