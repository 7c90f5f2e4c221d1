"""Measure the budgets on this machine and print them as a table.

Run it as ``python tools/bench.py [--quick]``. What is timed against "the limit" alternates with it
in short rounds in one process, and the medians of the ratios are printed, because machines are
noisy. The limit is the least that can make a value durable: one msgpack pack, one CRC and one
``os.write`` of as many bytes as Track writes, to a file of the same file system. Every measurement
has a process of its own. Nothing here passes or fails: the table is for people to read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple
from zlib import crc32

ROOT = Path(__file__).resolve().parent.parent

ROUND = 1000
"""Calls in one round: long enough to time, short enough that noise hits both sides of a ratio."""

REPORT = "bench.json"
JOURNAL = "bench.json.journal"


class Row(NamedTuple):
    """One line of the table. The budget is a maximum, unless ``at_least``."""

    what: str
    measured: float
    unit: str
    budget: float | None = None
    note: str = ""
    at_least: bool = False

    def __str__(self) -> str:
        budget = verdict = ""
        if self.budget is not None:
            budget = f"{'>=' if self.at_least else '<='} {number(self.budget)}"
            over = self.measured < self.budget if self.at_least else self.measured > self.budget
            verdict = "over" if over else "ok"
        measured = f"{number(self.measured):>10} {self.unit:<9}"
        return f"{self.what:<42}{measured}{budget:>11}  {verdict:<5} {self.note}".rstrip()


def number(value: float) -> str:
    """Write a number with three digits or more, as far as they mean anything."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004


# What runs in processes of their own. Each function returns what its process prints as JSON.


def new_trial() -> Any:
    """Make a trial in a new store in the current folder."""
    from track import TrackClient

    client = TrackClient(f"file:{REPORT}")
    client.set_project(name="bench")
    return client.new_trial(parameters={"batch_size": 256, "lr": 0.01})


def log_metrics(trial: Any, steps: range) -> None:
    """Log two metrics at each step."""
    for step in steps:
        trial.log_metrics(step=step, loss=step * 1e-3, acc=step * 1e-6)


def open_chronos(trial: Any, steps: range) -> None:
    """Time nothing at each step."""
    for _ in steps:
        with trial.chrono("x"):
            pass


def limit(record_bytes: int) -> Callable[[range], None]:
    """Return what does the least for each step, into records of that many bytes."""
    import msgpack

    pack, write = msgpack.Packer().pack, os.write
    descriptor = os.open("limit", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    envelope = [9, 1, 2**62, 2**63, 2**31, 2**60]
    values = {"loss": 1.0, "acc": 1.0}
    header = bytes(max(0, record_bytes - len(pack([*envelope, [2**15, values, None]])) - 4))

    def run(steps: range) -> None:
        for step in steps:
            values = {"loss": step * 1e-3, "acc": step * 1e-6}
            payload = pack([9, 1, 2**62, 2**63, 2**31, 2**60, [step, values, None]])
            write(descriptor, header + payload + crc32(payload).to_bytes(4, "little"))

    return run


def timed(run: Callable[[range], None], steps: range) -> float:
    """Return the seconds a round takes."""
    start = perf_counter()
    run(steps)
    return perf_counter() - start


def alternate(trial: Any, run: Callable[[Any, range], None], count: int) -> dict[str, Any]:
    """Time rounds of a call and of the limit by turns."""

    def call(steps: range) -> None:
        run(trial, steps)

    with trial:
        before = Path(JOURNAL).stat().st_size
        log_metrics(trial, range(ROUND))
        least = limit((Path(JOURNAL).stat().st_size - before) // ROUND)
        call(range(ROUND, 2 * ROUND))
        least(range(ROUND))
        pairs = []
        for start in range(2 * ROUND, count, ROUND):
            steps = range(start, start + ROUND)
            pairs.append((timed(call, steps), timed(least, steps)))
    ratios = [mine / limit for mine, limit in pairs]
    tenth = len(ratios) // 10
    return {
        "ratio": median(ratios),
        "drift": median(ratios[-tenth:]) / median(ratios[:tenth]),
        "call_us": median(mine for mine, _ in pairs) / ROUND * 1e6,
        "limit_us": median(limit for _, limit in pairs) / ROUND * 1e6,
    }


def measure_log(count: int) -> dict[str, Any]:
    """Time ``log_metrics``."""
    return alternate(new_trial(), log_metrics, count)


def measure_chrono(count: int) -> dict[str, Any]:
    """Time ``with trial.chrono('x')``."""
    return alternate(new_trial(), open_chronos, count)


def measure_run(count: int) -> dict[str, Any]:
    """Log all steps of a trial and finish it, as a training script would."""
    trial = new_trial()
    with trial:
        log_metrics(trial, range(count))
    return {}


def measure_replay(_count: int) -> dict[str, Any]:
    """Open the store, bring it up to date, and then fetch its trial with all metrics."""
    from track.persistence.local import FileProtocol

    start = perf_counter()
    protocol = FileProtocol(f"file:{REPORT}")
    protocol.fetch_projects({"_uid": "nothing"})
    replayed = perf_counter()
    (trial,) = protocol.fetch_trials({})
    fetched = perf_counter()
    return {
        "replay_s": replayed - start,
        "fetch_s": fetched - start,
        "steps": len(trial.metrics["loss"]),
    }


MEASURES = {
    "log": measure_log,
    "chrono": measure_chrono,
    "run": measure_run,
    "replay": measure_replay,
}


# What starts those processes and makes rows of what they say.


class Outcome(NamedTuple):
    """What a process printed, and the most memory it used."""

    said: dict[str, Any]
    peak_mb: float


def clean_environment() -> dict[str, str]:
    """Return the environment without Track's settings, and with this package first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRACK_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def run_measure(name: str, count: int, folder: Path) -> Outcome:
    """Run one measurement in a process of its own, inside the folder."""
    command = [sys.executable, __file__, "--measure", name, "--count", str(count)]
    process = subprocess.Popen(
        command, cwd=folder, env=clean_environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as output:
        lines = output.read().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"the measurement {name!r} failed, see above")
    return Outcome(json.loads(lines[-1]), usage.ru_maxrss / 1024)


def against_limit(name: str, count: int, folder: Path) -> dict[str, Any]:
    """Measure something against the limit, in a folder of its own."""
    inner = folder / name
    inner.mkdir()
    said = run_measure(name, count, inner).said
    said["note"] = f"{said['call_us']:.2f} us, limit {said['limit_us']:.2f} us"
    return said


def speed_rows(count: int, folder: Path) -> Iterator[Row]:
    """Measure the calls that training scripts make most."""
    log = against_limit("log", count, folder)
    yield Row("log_metrics(step=, loss=, acc=) on file:", log["ratio"], "x limit", 2.0, log["note"])
    what = f"  last tenth of {count:,} calls to the first"
    yield Row(what, log["drift"], "x", 1.1)
    chrono = against_limit("chrono", max(count // 10, 30 * ROUND), folder)
    yield Row("with chrono('x')", chrono["ratio"], "x limit", 5.0, chrono["note"])


def size_rows(count: int, folder: Path) -> Iterator[Row]:
    """Log one long trial; measure its memory, its journal and the replay of it."""
    run = run_measure("run", count, folder)
    size = (folder / JOURNAL).stat().st_size
    yield from replay_rows(count, folder)
    yield Row("journal on disk", size / (2 * count), "B/value", 45, f"{size / 1e6:.1f} MB")
    note = f"peak of a process with {count:,} steps of two metrics and its report"
    yield Row("memory", run.peak_mb, "MB", 200, note)


def replay_rows(count: int, folder: Path) -> Iterator[Row]:
    """Open the store of the long trial, each time anew."""
    outcomes = []
    for _ in range(3):
        # Whatever else lies beside the journal may be a cache, and would make the replay shorter.
        for file in folder.iterdir():
            if file.is_file() and file.name not in {REPORT, JOURNAL}:
                file.unlink()
        outcomes.append(run_measure("replay", count, folder).said)
    if any(outcome["steps"] != count for outcome in outcomes):
        sys.exit(f"the replay does not give back {count} steps")
    speed = count / median(outcome["replay_s"] for outcome in outcomes)
    note = "open a store without cache, up to its first answer"
    yield Row("replay into objects, one core", speed, "events/s", 700_000, note, at_least=True)
    fetch_s = median(outcome["fetch_s"] for outcome in outcomes)
    yield Row("  the same and fetch the whole trial", fetch_s, "s")


def import_row() -> Row:
    """Time the import against a bare interpreter, by turns."""

    def run_python(code: str) -> float:
        start = perf_counter()
        subprocess.run([sys.executable, "-c", code], env=clean_environment(), check=True)
        return perf_counter() - start

    run_python("import track")  # the first one may have to compile
    bare, full = zip(
        *((run_python("pass"), run_python("import track")) for _ in range(9)), strict=True
    )
    note = "median of 9, less that of a bare interpreter"
    return Row("import track", (median(full) - median(bare)) * 1e3, "ms", 60, note)


def rows(count: int, folder: Path) -> Iterator[Row]:
    """Measure everything."""
    yield from speed_rows(count, folder)
    yield from size_rows(count, folder)
    yield import_row()


def main() -> None:
    """Measure one thing for the parent process, or everything for a person."""
    parser = ArgumentParser(description="Measure the budgets on this machine.")
    parser.add_argument("--quick", action="store_true", help="100,000 calls, not a million")
    parser.add_argument("--measure", choices=MEASURES, help="one measurement, here, as JSON")
    parser.add_argument("--count", type=int, help="how many calls")
    args = parser.parse_args()
    count = args.count or (100_000 if args.quick else 1_000_000)
    if args.measure:
        print(json.dumps(MEASURES[args.measure](count)))
        return
    # Not in /tmp, which may be memory: the file system of the checkout is a real one.
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build, prefix="bench-") as folder:
        print(f"{'what':<42}{'measured':>10} {'':<9}{'budget':>11}")
        for row in rows(count, Path(folder)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
