"""What a process prints is recorded, and goes where it went before."""

import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import track
from track import TrackClient
from track.errors import BackendError, TrackError
from track.reader import Reader

ROOT = Path(__file__).resolve().parents[3]

BEGIN = """
import os, signal, subprocess, sys, time
from track import TrackClient
client = TrackClient("file:s.json")
trial = client.new_trial(name="t", parameters={})
trial.start()
trial.log_output()
"""


def command(body, begin=BEGIN):
    return [sys.executable, "-W", "ignore::DeprecationWarning", "-c", begin + body]


def environment(**more):
    return os.environ | {"PYTHONPATH": str(ROOT)} | more


def ran(body, folder, *, begin=BEGIN, fails=0, **more):
    """Run a program; return what it wrote to stdout and stderr."""
    done = subprocess.run(
        command(body, begin),
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == fails, done.stderr.decode()
    return done.stdout.decode(), done.stderr.decode()


def recorded(folder, name="t"):
    with track.open(f"file:{folder}/s.json") as store:
        return store.output(name)


def said(lines, source=None):
    return [line.text for line in lines if source in (None, line.source)]


def wait_for(condition):
    """Wait until something is true, for two minutes at most."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_and_its_children_are_heard(tmp_path):
    """On both streams, with times; what comes after the trial is not recorded."""
    before = time.time_ns()
    out, err = ran(
        """
print("one")
print("two", file=sys.stderr)
subprocess.run("echo three; echo four >&2", shell=True)
os.write(1, b"five\\n")
trial.finish()
print("six")
subprocess.run("echo seven", shell=True)
""",
        tmp_path,
    )
    assert (sorted(out.split()), err) == (["five", "one", "seven", "six", "three"], "two\nfour\n")
    lines = recorded(tmp_path)
    assert sorted(said(lines, "stdout")) == ["five", "one", "three"]
    assert said(lines, "stderr") == ["two", "four"]
    assert all(before < line.at < time.time_ns() for line in lines)
    assert len({(line.host, line.pid, line.rank) for line in lines}) == 1


def test_one_file_for_both_keeps_their_order(tmp_path):
    """As in a log of a batch job; so they are not told apart."""
    body = """
for number in range(500):
    os.write(1 + number % 2, b"%d\\n" % number)
trial.finish()
"""
    log = tmp_path / "log"
    with log.open("wb") as file:
        subprocess.run(
            command(body), cwd=tmp_path, env=environment(), check=True, stdout=file, stderr=file
        )
    expected = [*map(str, range(500))]
    assert log.read_text().split() == expected
    assert said(recorded(tmp_path), "output") == expected


def test_a_terminal_stays_one_and_sees_all_unchanged(tmp_path):
    """Colours and progress bars go through as they are; of a bar the last state is recorded."""
    body = """
assert os.isatty(1) and os.isatty(2) and os.get_terminal_size(1).columns == 99
os.write(1, b"\\x1b[1mbold\\x1b[0m\\n")
for percent in range(0, 101, 10):
    os.write(2, b"\\r%3d%%" % percent)
os.write(2, b"\\ntab\\tend\\r\\n")
trial.finish()
"""
    leader, follower = pty.openpty()
    subprocess.run(["stty", "cols", "99", "rows", "20", "-onlcr"], stdin=follower, check=True)
    process = subprocess.Popen(
        command(body), cwd=tmp_path, env=environment(), stdout=follower, stderr=follower
    )
    os.close(follower)
    shown = b""
    with suppress(OSError):  # the end of a terminal
        while data := os.read(leader, 4096):
            shown += data
    os.close(leader)
    assert process.wait() == 0, shown
    bar = b"".join(b"\r%3d%%" % percent for percent in range(0, 101, 10))
    assert shown == b"\x1b[1mbold\x1b[0m\n" + bar + b"\ntab\tend\r\n"
    assert said(recorded(tmp_path)) == ["bold", "100%", "tab\tend"]


def test_a_killed_process_leaves_its_output(tmp_path):
    """All of it on the terminal, and recorded what it printed more than a second before."""
    body = """
print("early", flush=True)
while True:
    os.write(1, b"")
    time.sleep(0.05)
    if os.path.exists("now"):
        os.write(1, b"x" * 1000 + b"\\nlast words\\n")
        os.kill(os.getpid(), signal.SIGKILL)
"""
    process = subprocess.Popen(
        command(body), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE
    )
    wait_for(lambda: (tmp_path / "s.json").exists() and "early" in said(recorded_or_none(tmp_path)))
    (tmp_path / "now").touch()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert out == b"early\n" + b"x" * 1000 + b"\nlast words\n"
    assert said(recorded(tmp_path))[0] == "early"


def recorded_or_none(folder):
    try:
        return recorded(folder)
    except TrackError:  # there is no trial yet
        return []


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("raise ValueError('wrong')", 1),
        ("sys.exit(3)", 3),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -signal.SIGTERM),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", -signal.SIGINT),
        ("", 0),
    ],
)
@pytest.mark.parametrize("in_block", [True, False])
def test_what_was_printed_before_the_end_is_there(tmp_path, ending, code, in_block):
    """However the process ends, with a block or without."""
    body = f"\nprint('last words')\n{ending}\n"
    if in_block:
        body = "\nwith trial:" + body.replace("\n", "\n    ")
    out, _ = ran(body, tmp_path, fails=code)
    assert out == "last words\n"
    assert said(recorded(tmp_path), "stdout") == ["last words"]


def test_children_that_go_on_can_print(tmp_path):
    """After the trial, and after the process; only what they print meanwhile is recorded."""
    body = """
child = subprocess.Popen(
    "echo early; while [ ! -e now ]; do sleep 0.1; done; echo late; echo later >&2", shell=True
)
time.sleep(0)
while not client.protocol.journal or b"early" not in open("s.json.journal", "rb").read():
    time.sleep(0.05)
trial.finish()
print("over", flush=True)
open("now", "w").close()
"""
    out, err = ran(body, tmp_path)
    assert (out.split(), err) == (["early", "over", "late"], "later\n")
    assert said(recorded(tmp_path)) == ["early"]


def test_a_forked_child_is_part_of_its_parent(tmp_path):
    """It prints into the output of its parent, and ends nothing there."""
    body = """
if not (child := os.fork()):
    print("from the child", flush=True)
    trial.log_metrics(loss=1.0)
    os._exit(0)
os.waitpid(child, 0)
print("from the parent")
trial.finish()
print("over")
"""
    out, _ = ran(body, tmp_path)
    assert out == "from the child\nfrom the parent\nover\n"
    assert said(recorded(tmp_path)) == ["from the child", "from the parent"]


def test_a_child_records_a_trial_of_its_own(tmp_path):
    """Its output is that of both."""
    body = """
if not (child := os.fork()):
    with client.new_trial(force=True, name="child", parameters={"n": 1}) as own:
        own.log_output()
        print("from the child")
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
trial.finish()
"""
    out, _ = ran(body, tmp_path)
    assert out == "from the child\n"
    assert said(recorded(tmp_path, "child")) == ["from the child"]
    assert said(recorded(tmp_path)) == ["from the child"]


def test_trials_of_one_process_take_turns_or_share(tmp_path):
    """Each has what was printed while it captured."""
    body = """
print("one")
other = TrackClient("file:s.json").new_trial(name="other", parameters={"n": 1})
other.log_output()
print("both")
trial.finish()
print("two")
other.finish()
print("none")
with client.new_trial(force=True, name="third", parameters={"n": 2}) as third:
    third.log_output()
    print("three")
"""
    out, _ = ran(body, tmp_path)
    assert out.split() == ["one", "both", "two", "none", "three"]
    assert said(recorded(tmp_path)) == ["one", "both"]
    assert said(recorded(tmp_path, "other")) == ["both", "two"]
    assert said(recorded(tmp_path, "third")) == ["three"]


def test_output_that_somebody_else_took_meanwhile_stays_with_them(tmp_path):
    """The descriptors are restored where nobody else changed them."""
    body = """
kept = os.dup(1)
file = os.open("elsewhere", os.O_CREAT | os.O_WRONLY)
print("before", flush=True)
os.dup2(file, 1)
trial.finish()
print("elsewhere", flush=True)
os.dup2(kept, 1)
os.close(kept)
print("after", flush=True)
"""
    out, _ = ran(body, tmp_path)
    assert out == "before\nafter\n"
    assert (tmp_path / "elsewhere").read_text() == "elsewhere\n"
    assert said(recorded(tmp_path)) == ["before"]


def test_without_the_program_that_passes_output_on_it_still_arrives(tmp_path):
    """It may be killed; then a warning is logged, and the process prints as before."""
    body = """
print("one", flush=True)
import logging
logging.basicConfig()
children = subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "from tee"], capture_output=True)
os.kill(int(children.stdout), signal.SIGKILL)
for number in range(2000):
    print("x" * 100, flush=True)
trial.finish()
print("last")
"""
    out, err = ran(body, tmp_path)
    assert out.split()[-2:] == ["x" * 100, "last"]
    assert out.count("x" * 100) >= 1990
    assert "no longer captured" in err


def test_a_reader_that_went_away_is_met_as_before(tmp_path):
    """`python train.py | head` ends the training as it does without."""
    body = """
try:
    for number in range(10**7):
        print("line", number, flush=True)
except BrokenPipeError:
    open("broken", "w").close()
    os._exit(0)
"""
    with (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(
            command(body), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=err
        )
    assert process.stdout.readline() == b"line 0\n"
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert (tmp_path / "broken").exists()
    assert (tmp_path / "err").read_text() == ""


def test_trials_that_ended_leave_nothing_open(tmp_path):
    """No descriptor, no thread and no process, however many there were."""
    body = """
import threading
trial.finish()
def is_tidy():
    search = ["pgrep", "-P", str(os.getpid()), "-f", "from tee"]
    children = subprocess.run(search, stdout=subprocess.DEVNULL)
    return children.returncode == 1 and threading.active_count() == 1
def descriptors():
    while not is_tidy():
        time.sleep(0.05)
    return len(os.listdir("/proc/self/fd"))
before = descriptors()
for number in range(5):
    with client.new_trial(force=True, parameters={"n": number}) as more:
        more.log_output()
        print(number)
assert descriptors() == before, (descriptors(), before)
"""
    out, _ = ran(body, tmp_path)
    assert out.split() == [*"01234"]


def test_much_output_is_limited_and_the_training_goes_on(tmp_path):
    """The terminal has all, the store the first and the last lines."""
    body = """
for number in range(200_000):
    print("line", number)
trial.finish()
"""
    out, _ = ran(body, tmp_path, TRACK_OUTPUT_LIMIT="200000")
    assert out == "".join(f"line {number}\n" for number in range(200_000))
    lines = recorded(tmp_path)
    assert (lines[0].text, lines[-1].text) == ("line 0", "line 199999")
    assert sum(line.left_out or 1 for line in lines) == 200_000
    assert sum(len(line.text) for line in lines) < 270_000


def test_the_option_records_each_trial(tmp_path):
    """From its start; without it nothing is recorded, and no other program runs."""
    begin = BEGIN.replace("trial.log_output()", "")
    body = "print('x')\ntrial.finish()"
    for value, expected in (("no", []), ("yes", ["x"])):
        folder = tmp_path / value
        folder.mkdir()
        ran(body, folder, begin=begin, TRACK_OUTPUT_CAPTURE=value)
        assert said(recorded(folder)) == expected


# Where Python's streams are no descriptors, as in a notebook or in this test


def test_a_notebook_is_heard(capsys):
    """By its streams, which are as before afterwards."""
    before = sys.stdout, sys.stderr
    client = TrackClient("memory:")
    with client.new_trial(name="t", parameters={}) as trial:
        trial.log_output()
        print("one")
        print("two", file=sys.stderr)
        sys.stdout.write("\r10%")
        sys.stdout.write("\r20%\n")
    assert (sys.stdout, sys.stderr) == before
    print("after")
    lines = Reader(client.protocol).output("t")
    assert [(line.source, line.text) for line in lines] == [
        *(("stdout", "one"), ("stderr", "two"), ("stdout", "20%")),
    ]
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("one\n\r10%\r20%\nafter\n", "two\n")


@pytest.mark.parametrize("ring_first", [True, False])
def test_the_last_writes_are_kept_beside_it(capsys, ring_first):
    """`capture_output` and `log_output` may be used together, in any order."""
    before = sys.stdout
    client = TrackClient("memory:")
    with client.new_trial(name="t", parameters={}) as trial:
        for is_ring in (ring_first, not ring_first):
            if is_ring:
                trial.capture_output(4)
            else:
                trial.log_output()
        print("one")
        print("two")
    assert sys.stdout is before
    reader = Reader(client.protocol)
    assert said(reader.output("t")) == ["one", "two"]
    assert reader.trial("t").metadata["stdout"] == "one\ntwo\n"


def test_lines_arrive_while_the_trial_runs(capsys):
    """Without waiting for its end."""
    client = TrackClient("memory:")
    with client.new_trial(name="t", parameters={}) as trial:
        trial.log_output()
        print("early")
        wait_for(lambda: said(Reader(client.protocol).output("t")) == ["early"])


def test_a_store_that_fails_ends_the_recording_alone(capsys, caplog):
    """A training goes on and prints; the log says it once."""
    client = TrackClient("memory:")
    trial = client.new_trial(name="t", parameters={})
    trial.log_output()
    client.protocol.journal.close()
    print("one")
    wait_for(lambda: caplog.records)
    print("two")
    with pytest.raises(TrackError):
        trial.finish()
    assert ["no longer recorded" in record.getMessage() for record in caplog.records] == [True]
    assert capsys.readouterr().out == "one\ntwo\n"


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [("CAPTURE", "maybe", BackendError), ("LIMIT", "0", TrackError), ("LIMIT", "x", BackendError)],
)
def test_an_option_that_makes_no_sense_is_told(monkeypatch, name, value, error):
    """Before the trial runs on without what was asked for."""
    monkeypatch.setenv("TRACK_OUTPUT_CAPTURE", "yes")
    monkeypatch.setenv(f"TRACK_OUTPUT_{name}", value)
    with pytest.raises(error, match=r"OUTPUT_|0 bytes"):
        TrackClient("memory:").new_trial(parameters={"lr": 0.1}).start()
