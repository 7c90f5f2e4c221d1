"""The verb push."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.tracking_server import TrackingServer
from track.cli.app import FAILURE, USAGE

PATIENCE_S = 120


def test_trials_are_pushed(track, store):
    """Those that match; again, nothing."""
    with TrackingServer() as server:
        done = track("push", f"mlflow:{server.url}", "-w", "name=wider")
        assert (done.code, done.out) == (
            0,
            f"pushed 6 log calls of 1 trials to mlflow:{server.url}\n",
        )
        assert [run["name"] for run in server.runs.values()] == ["wider"]
        assert "pushed 0 log calls" in track("push", f"mlflow:{server.url}", "-w", "name=wider").out
        assert "of 1 trials" in track("push", f"mlflow:{server.url}").out


def test_an_unknown_tool_is_an_error(track, store):
    result = track("push", "aim:x")
    assert (result.code, "mlflow:URL" in result.err) == (FAILURE, True)


def test_a_password_in_an_address_is_not_printed(track, store):
    result = track("push", "mlflow:http://me:s3cret@127.0.0.1:1/", "--every", "x")
    assert (result.code, "s3cret" in result.err) == (USAGE, False)


def test_following_tells_a_refusal_once_and_tries_again(store):
    """Not twice a second; what was refused arrives when it can be written."""
    runs = Path("runs")
    runs.mkdir()
    (runs / "paper").write_text("in the way")  # of the folder of the project
    command = [sys.executable, "-m", "track", "push", "tensorboard:runs", "-s", store]
    process = subprocess.Popen(
        [*command, "--follow", "--every", "0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        refused = [process.stderr.readline() for _ in range(2)]
        (runs / "paper").unlink()
        pushed = 0
        while pushed < 2:  # perhaps one by one
            pushed += int(process.stdout.readline().split()[5])
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert all("cannot write to" in line for line in refused)
    assert (out, "cannot write to" in err) == ("", False)
