"""Measure Track beside other experiment trackers, on the same work, and print it as tables.

Run it as ``python tools/bench_peers.py [--quick] [--only NAME ...] [--json FILE] [--markdown]``.
Each tracker has an environment of its own in ``build/peers``, made when it is missing, because
their requirements exclude each other. What it does there is in ``tools/peers``: a program that
takes the measurements, the same for all, and a module of a few lines for each tracker. None of them
may use the network. ``--markdown`` puts the tables into ``docs/benchmarks.md``.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from threading import Timer
from time import perf_counter, sleep
from typing import Any, NamedTuple

from bench_runs import ROOT, clean_environment
from peers.tables import all_tables

TOOLS = ROOT / "tools"
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- begin of the results -->\n", "<!-- end of the results -->\n"

RUNS = 3
WORKERS = 4
SLOW_RATE = 200
PATIENCE_S = 300
"""A process that takes longer is killed, and its measurement has failed."""

MSGPACK = "msgpack==1.2.4"
"""What the limit needs, in every environment."""


class Peer(NamedTuple):
    """A tracker, and how many steps it is given: fewer when it is slow."""

    name: str
    title: str
    requirements: tuple[str, ...]
    count: int
    use: str

    @property
    def environment(self) -> str:
        """The name of its folder: what needs the same packages shares it."""
        return self.requirements[0].partition("==")[0].lower()


PEERS = [
    Peer("track", "Track", (), 100_000, "`file:` journal; read with `fetch_trials`"),
    Peer(
        "sacred",
        "Sacred",
        ("sacred==0.8.7",),
        100_000,
        "`FileStorageObserver`; its JSON read as such, it has no reader",
    ),
    Peer(
        "trackio",
        "trackio",
        ("trackio==0.43.0",),
        50_000,
        "local; read with its `Api` and `SQLiteStorage.get_logs`",
    ),
    Peer(
        "tensorboardx",
        "TensorBoard",
        ("tensorboardX==2.6.5", "tensorboard==2.21.0"),
        50_000,
        "written by tensorboardX; read with TensorBoard's `EventAccumulator`; keeps 32-bit floats",
    ),
    Peer(
        "neptune",
        "Neptune",
        ("neptune==1.14.0.post2",),
        20_000,
        "offline; its JSON read as such, it can only upload it",
    ),
    Peer(
        "wandb",
        "W&B",
        ("wandb==0.31.0",),
        20_000,
        "offline; read with its protobuf messages, it has no reader in Python",
    ),
    Peer(
        "aim",
        "Aim",
        ("aim==3.29.1",),
        10_000,
        "local repository; indexed and read with `Repo.iter_runs`",
    ),
    Peer(
        "mlflow_files",
        "MLflow, files",
        ("mlflow==3.17.2",),
        5_000,
        "`MLFLOW_TRACKING_URI=./mlruns`; read with `get_metric_history`",
    ),
    Peer(
        "mlflow",
        "MLflow",
        ("mlflow==3.17.2",),
        1_000,
        "its default, SQLite; read with `get_metric_history`",
    ),
    Peer(
        "dvclive",
        "DVCLive",
        ("dvclive==3.49.1",),
        1_000,
        "without DVC experiments; its TSV read as such",
    ),
]

OFFLINE = {
    # Proxies that are not there, in case that one of the settings below is not obeyed.
    **dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"], "127.0.0.1:9"),
    **dict.fromkeys(["NO_PROXY", "no_proxy"], "127.0.0.1,localhost"),
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "GRADIO_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_MODE": "offline",
    "PYTHONPATH": f"{TOOLS}{os.pathsep}{ROOT}",
}


class MeasureError(Exception):
    """A measurement that could not be taken, and why."""


def python_of(peer: Peer) -> Path:
    """Return the Python of the environment of a tracker, which is made or changed when needed."""
    if not peer.requirements:
        return Path(sys.executable)  # that Track is developed in
    folder = ROOT / "build" / "peers" / peer.environment
    python, stamp = folder / "bin" / "python", folder / "installed"
    wanted = "\n".join([*peer.requirements, MSGPACK])
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"{peer.name}: making {folder}", file=sys.stderr, flush=True)
    run_quietly([sys.executable, "-m", "venv", str(folder)])
    run_quietly([str(python), "-m", "pip", "install", "--quiet", *peer.requirements, MSGPACK])
    stamp.write_text(wanted)
    return python


def run_quietly(command: list[str]) -> None:
    """Run a command and keep what it says for the error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MeasureError(last_line(done.stderr) or last_line(done.stdout))


def last_line(text: str) -> str:
    """Return the last line that says something, usually the error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


class Process:
    """A process that takes one measurement inside a folder, in the environment of a tracker."""

    def __init__(self, peer: Peer, measure: str, count: int, folder: Path) -> None:
        self.home = Path(tempfile.mkdtemp(dir=folder.parent, prefix="home-"))
        self.errors = self.home / "stderr"
        python = python_of(peer)
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [str(python), "-m", "peers", peer.name, measure, str(count)],
                cwd=folder,
                env={**clean_environment(), **OFFLINE, "HOME": str(self.home)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self.watchdog = Timer(PATIENCE_S, self.process.kill)
        self.watchdog.daemon = True
        self.watchdog.start()

    def hear(self) -> Any:
        """Return the next thing that it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.kill_all()
            raise MeasureError(last_line(self.errors.read_text()) or "it ended without a word")
        return json.loads(line)

    def tell(self, line: str) -> None:
        """Say something to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def wait(self) -> None:
        """Wait until it has ended, and end the helpers it left behind."""
        status = self.process.wait()
        self.kill_all()
        if status:
            raise MeasureError(last_line(self.errors.read_text()) or f"it ended with {status}")

    def kill(self, patience: float) -> int:
        """Kill it, but not its helpers at once, and return how many calls had returned."""
        self.process.kill()
        self.process.wait()
        sleep(patience)
        self.kill_all()
        return int.from_bytes((self.home / "acknowledged").read_bytes(), "little")

    def kill_all(self) -> None:
        """Kill it and its helpers, and release the pipes."""
        self.watchdog.cancel()
        with suppress(ProcessLookupError):  # all have ended
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def ask(peer: Peer, measure: str, count: int, folder: Path) -> Any:
    """Take a measurement that gives one answer."""
    process = Process(peer, measure, count, folder)
    answer = process.hear()
    process.wait()
    return answer


def size(folder: Path) -> int:
    """Return how many bytes there are in all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def make_repository(folder: Path) -> None:
    """Give a folder a Git repository of its own, as a project has.

    Trackers look for the repository around them, and some write to its root: they must not find
    that of this project.
    """
    author = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    run_quietly(["git", "init", "--quiet", str(folder)])
    commit = ["commit", "--quiet", "--allow-empty", "--message", "Begin"]
    run_quietly(["git", "-C", str(folder), *author, *commit])


def new_folder(folder: Path) -> Path:
    """Make a folder for the store of one measurement, beside which there is room."""
    store = Path(tempfile.mkdtemp(dir=folder)) / "store"
    store.mkdir()
    return store


def measure_start(peer: Peer, folder: Path, times: int) -> dict[str, Any]:
    """Time scripts that log one step: until that call returns, and until the process has ended."""
    logged, ended, sizes = [], [], []
    for _ in range(times + 1):
        store = new_folder(folder)
        began = perf_counter()
        process = Process(peer, "start", 1, store)
        process.hear()
        logged.append(perf_counter() - began)
        process.hear()
        process.process.wait()
        ended.append(perf_counter() - began)
        process.wait()
        sizes.append(size(store))
    # The first one may have to compile.
    return {"first_s": median(logged[1:]), "script_s": median(ended[1:]), "bytes": sizes[-1]}


def measure_log(peer: Peer, folder: Path, count: int) -> dict[str, Any]:
    """Time calls, weigh what they leave on disk, and read it back."""
    stores = [new_folder(folder) for _ in range(RUNS)]
    runs: list[dict[str, float]] = [ask(peer, "log", count, store) for store in stores]
    # One run may fall into a change of the machine's speed, which would look like growth.
    said: dict[str, Any] = {name: median(run[name] for run in runs) for name in runs[0]}
    store = stores[-1]
    said["bytes"] = size(store)
    readings = [ask(peer, "read", 1, store) for _ in range(RUNS)]
    said["read_s"] = median(reading["seconds"] for reading in readings)
    said["read_steps"] = readings[0]["steps"].get("run", 0)
    return said


def burst(peer: Peer, folder: Path, workers: int, count: int) -> dict[str, Any]:
    """Let processes log into one new store at once; tell how fast, and what is there after it."""
    store = new_folder(folder)
    processes = [Process(peer, "burst", count // workers, store) for _ in range(workers)]
    for process in processes:
        process.hear()
    for index, process in enumerate(processes):
        process.tell(f"worker{index}")
    answers = [answer_or_reason(process) for process in processes]
    said = [answer for answer in answers if isinstance(answer, dict)]
    reasons = [answer for answer in answers if isinstance(answer, str)]
    outcome: dict[str, Any] = {"failed": len(reasons), "reason": "; ".join(sorted(set(reasons)))}
    if said:
        took = max(one["ended"] for one in said) - min(one["began"] for one in said)
        outcome["per_s"] = len(said) * (count // workers) / took
    outcome["wanted"] = {f"worker{index}": count // workers for index in range(workers)}
    outcome["found"] = ask(peer, "read", 1, store)["steps"]
    return outcome


def answer_or_reason(process: Process) -> dict[str, Any] | str:
    """Return what a process measured, or why it failed: others may succeed beside it."""
    try:
        answer: dict[str, Any] = process.hear()
        process.wait()
    except MeasureError as error:
        return str(error)
    return answer


def measure_sharing(peer: Peer, folder: Path, count: int) -> dict[str, Any]:
    """Compare processes that log at once with one that logs as many steps."""
    return {
        n: burst(peer, folder, workers, count) for n, workers in (("one", 1), ("many", WORKERS))
    }


def measure_kill(peer: Peer, folder: Path, rate: int, seconds: float) -> dict[str, Any]:
    """Kill a process that logs, and look which of the calls that had returned are found."""
    store = new_folder(folder)
    process = Process(peer, "endless", rate, store)
    process.hear()
    sleep(seconds)
    acknowledged = process.kill(seconds)  # helpers may save as long as it has logged
    try:
        found = sum(ask(peer, "read", 1, store)["steps"].values())
        reason = ""
    except MeasureError as error:  # without a readable file everything is lost
        found, reason = 0, str(error)
    return {"acknowledged": acknowledged, "lost": max(0, acknowledged - found), "reason": reason}


def measure_peer(peer: Peer, folder: Path, quick: bool) -> dict[str, Any]:
    """Take all measurements of one tracker. One that fails leaves its reason in its place."""
    count = peer.count // 10 if quick else peer.count
    seconds, kills = (0.5, 1) if quick else (3.0, 3)
    measures: dict[str, Callable[[], Any]] = {
        "start": lambda: measure_start(peer, folder, 1 if quick else 3),
        "log": lambda: measure_log(peer, folder, count),
        "sharing": lambda: measure_sharing(peer, folder, count),
        "killed": lambda: [measure_kill(peer, folder, 0, seconds) for _ in range(kills)],
        "killed_slow": lambda: [measure_kill(peer, folder, SLOW_RATE, seconds)],
    }
    results: dict[str, Any] = {"name": peer.name}
    try:
        python_of(peer)
    except MeasureError as error:
        return {**results, "not_installed": str(error)}
    for name, measure in measures.items():
        print(f"{peer.name}: {name}", file=sys.stderr, flush=True)
        try:
            results[name] = measure()
        except MeasureError as error:
            results[name] = {"impossible": str(error)}
    return results


def measure_all(peers: list[Peer], quick: bool, keep: Path | None) -> dict[str, Any]:
    """Measure trackers one after the other, and keep what is measured in a file."""
    # Not in /tmp, which may be memory: the file system of the checkout is a real one.
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    results: dict[str, Any] = {
        "date": datetime.now(tz=timezone.utc).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.system()}, {platform.machine()}",
        "python": platform.python_version(),
        "quick": quick,
        "peers": [],
    }
    for peer in peers:
        with tempfile.TemporaryDirectory(
            dir=build, prefix="bench-", ignore_cleanup_errors=True
        ) as folder:
            make_repository(Path(folder))
            results["peers"].append(measure_peer(peer, Path(folder), quick))
        if keep:
            keep.write_text(json.dumps(results, indent=1))
    return results


def main() -> None:
    """Measure, and show the results as asked."""
    names = [peer.name for peer in PEERS]
    parser = ArgumentParser(description="Measure Track beside other experiment trackers.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps, fewer kills")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these trackers")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--markdown", action="store_true", help=f"put tables into {PAGE.name}")
    parser.add_argument("--from", type=Path, help="show results that --json wrote, measure nothing")
    args = vars(parser.parse_args())
    if args["from"]:
        results = json.loads(args["from"].read_text())
    else:
        peers = [peer for peer in PEERS if peer.name in args["only"]]
        results = measure_all(peers, args["quick"], args["json"])
    tables = "\n".join(all_tables(results, PEERS))
    print(tables)
    if args["markdown"]:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}")


if __name__ == "__main__":
    main()
