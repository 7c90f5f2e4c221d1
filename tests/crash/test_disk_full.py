"""Check on a full disk that nothing acknowledged is lost, and that the store recovers with space.

The disk is a file system of one megabyte, where the machine allows to mount one, or a limit that
the kernel puts on the size of files. Both make the kernel write a part of a record and then refuse.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from track import TrackClient
from track.errors import JournalWriteError
from track.persistence import get_protocol

pytestmark = pytest.mark.filterwarnings("ignore::track.errors.DamageWarning")

URIS = [
    "file:report.json",
    "file:report.json?durability=always",
    "lmdb:report.lmdb",
    "lmdb:report.lmdb?durability=always",
]
"""The stores that are filled, below the working directory."""

ROOT = Path(__file__).resolve().parents[2]

FILL = """
import os, resource, sys

BALLAST, limit = "ballast", int(sys.argv[-1])


def fill():
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    else:
        with open(BALLAST, "wb") as file:
            file.write(bytes(850_000))


def make_room():
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    else:
        os.remove(BALLAST)


"""
"""How a program fills the disk, or gets as far as a limit, its last argument; and makes room."""

PROGRAM = (
    FILL
    + '''
"""Log until the disk is full, make room, go on; print what each call came to, as JSON."""

from itertools import count
from json import dumps
from track import TrackClient
from track.errors import JournalWriteError

acknowledged, errors = [], []


def log(step):
    try:
        client.log_metrics(step=step, loss=step / 7, pad="x" * (step * 397 % 3000))
        acknowledged.append(step)
    except JournalWriteError as error:
        errors.append([type(error).__name__, str(error), error.errno])


client = TrackClient(sys.argv[1])
client.set_project(name="full")
client.new_trial(name="filling")
client.start()
fill()
steps = count()
while len(errors) < 3:
    log(next(steps))
make_room()
for _ in range(20):
    log(next(steps))
client.finish()
client.save()
client.close()
print(dumps({"acknowledged": acknowledged, "errors": errors}))
'''
)

IN_A_SMALL_FILE_SYSTEM = """
set -e
mount -t tmpfs -o size=1m tmpfs "$1"
(cd "$1"; shift 2; exec "$@")
cp -r "$1/." "$2"
"""
"""Run a program on a disk of one megabyte, and copy its files to a permanent one."""


def run(command, folder):
    """Run a program to its end, and return its output."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fill_up_to_a_limit(uri, folder):
    """Fill the store until no file may grow beyond 100 kB."""
    return run([sys.executable, "-c", PROGRAM, uri, "100000"], folder)


def small_disk(folder):
    """Return the command that gives a program a disk of one megabyte, or skip the test."""
    if shutil.which("unshare") is None:
        pytest.skip("the program 'unshare' (of util-linux) is missing")
    prefix = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = 'mount -t tmpfs -o size=1m tmpfs "$0"'
    probe = subprocess.run([*prefix, mount, folder], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"no right to mount a tmpfs in a namespace of one's own: {probe.stderr}")
    (folder / "disk").mkdir()
    return [*prefix, IN_A_SMALL_FILE_SYSTEM, "sh", folder / "disk", folder]


def fill_a_small_file_system(uri, folder):
    """Fill the store until a file system of 1 MB has no room."""
    return run([*small_disk(folder), sys.executable, "-c", PROGRAM, uri, "0"], folder)


@pytest.fixture(params=[fill_up_to_a_limit, fill_a_small_file_system], ids=["limit", "tmpfs"])
def fill(request):
    """Return a function that fills a store and returns the outcome of each call."""
    return request.param


def logged(uri):
    """Return the steps that the first trial of a store holds, and check their values."""
    store = get_protocol(uri)
    metrics = store.fetch_trials()[0].metrics
    store.close()
    assert metrics["loss"] == {step: step / 7 for step in metrics["loss"]}
    assert metrics["pad"] == {step: "x" * (step * 397 % 3000) for step in metrics["loss"]}
    return list(metrics["loss"])


@pytest.mark.parametrize("uri", URIS)
def test_a_full_disk_loses_nothing_that_was_acknowledged(uri, fill, tmp_path):
    """Exactly the steps whose calls returned are there, from before and after the disk was full."""
    outcome = fill(uri, tmp_path)
    assert len(outcome["acknowledged"]) > 40
    assert logged(uri) == outcome["acknowledged"]
    # Each error names the store, and says that the event is not in it.
    assert [kind for kind, _, _ in outcome["errors"]] == [JournalWriteError.__name__] * 3
    for _, message, _ in outcome["errors"]:
        assert "report." in message
        assert "was not recorded" in message
        assert "keeps working" in message
    # Another process reads the store, logs to it, and writes the complete report.
    client = TrackClient(uri)
    client.set_trial(get_protocol(uri).fetch_trials()[0])
    client.log_metrics(step=10**6, loss=10**6 / 7, pad="x" * (10**6 * 397 % 3000))
    client.save(str(tmp_path / "report.json"))
    client.close()
    steps = [*outcome["acknowledged"], 10**6]
    assert logged(uri) == steps
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report


def test_the_kernel_makes_a_short_write_and_then_refuses(tmp_path):
    """The call that reaches the limit writes a part, and the next ones nothing."""
    short, *refused = fill_up_to_a_limit("file:report.json", tmp_path)["errors"]
    assert "bytes could be appended" in short[1]
    assert [code for _, _, code in refused] == [errno.EFBIG] * 2
