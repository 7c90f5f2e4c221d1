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
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import Any, NamedTuple
from zlib import crc32

ROOT = Path(__file__).resolve().parent.parent

ROUND = 1000
"""Calls in one round: long enough to time, short enough that noise hits both sides of a ratio."""

FILE, LMDB = "file:bench.json", "lmdb:bench.lmdb"
JOURNALS = {FILE: "bench.json.journal", LMDB: "bench.lmdb"}
SNAPSHOT_SUFFIX = ".snapshot"
INTERLEAVED = 1000
"""Trials that log by turns."""

SWEEP_STEPS = 1000
"""Steps of each short trial of a sweep."""

WORKERS = 4


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


def new_trial(uri: str) -> Any:
    """Make a trial in a store in the current folder."""
    from track import TrackClient

    client = TrackClient(uri)
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


def alternate(uri: str, run: Callable[[Any, range], None], count: int) -> dict[str, Any]:
    """Time rounds of a call and of the limit by turns."""
    trial = new_trial(uri)

    def call(steps: range) -> None:
        run(trial, steps)

    with trial:
        before = Path(JOURNALS[uri]).stat().st_size
        log_metrics(trial, range(ROUND))
        least = limit((Path(JOURNALS[uri]).stat().st_size - before) // ROUND)
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


def measure_log(count: int, uri: str) -> dict[str, Any]:
    """Time ``log_metrics``."""
    return alternate(uri, log_metrics, count)


def measure_chrono(count: int, uri: str) -> dict[str, Any]:
    """Time ``with trial.chrono('x')``."""
    return alternate(uri, open_chronos, count)


def measure_run(count: int, uri: str) -> dict[str, Any]:
    """Log all steps of a trial and finish it, as a training script would."""
    trial = new_trial(uri)
    with trial:
        log_metrics(trial, range(count))
    trial.protocol.close()
    return {}


def measure_open(_count: int, uri: str) -> dict[str, Any]:
    """Open the store, bring it up to date, and then fetch its trial with all metrics."""
    from track.persistence import get_protocol

    start = perf_counter()
    protocol = get_protocol(uri)
    protocol.fetch_projects({"_uid": "nothing"})
    opened = perf_counter()
    (trial,) = protocol.fetch_trials({})
    fetched = perf_counter()
    return {
        "open_s": opened - start,
        "fetch_s": fetched - opened,
        "steps": len(trial.metrics["loss"]),
    }


def measure_interleaved(count: int, uri: str) -> dict[str, Any]:
    """Log steps of many trials by turns, so that no two events of one follow each other."""
    from track import TrackClient

    client = TrackClient(uri)
    made = [client.new_trial(force=True, parameters={"n": n}) for n in range(INTERLEAVED)]
    for step in range(count // INTERLEAVED):
        for trial in made:
            trial.log_metrics(step=step, loss=1 / (step + 1), acc=step / 7)
    client.close()
    return {"uid": made[INTERLEAVED // 2].trial.uid}


def measure_history(_count: int, uri: str) -> dict[str, Any]:
    """Open the store and read the history of one of its trials: cold, in a process of its own."""
    import track

    uri, _, uid = uri.partition("#")
    start = perf_counter()
    with track.open(uri) as reader:
        events = sum(1 for _ in reader.history(uid))
        return {"history_s": perf_counter() - start, "events": events}


def measure_burst(count: int, uri: str) -> dict[str, Any]:
    """Log steps of a trial once told to, and say when that began and ended."""
    trial = new_trial(uri)
    log_metrics(trial, range(ROUND))
    print("ready", flush=True)
    sys.stdin.readline()
    began = monotonic()
    log_metrics(trial, range(count))
    return {"began": began, "ended": monotonic()}


def measure_guarded(count: int, uri: str) -> dict[str, Any]:
    """Time conditional updates of a trial, as workers that share a list of trials make them."""
    trial = new_trial(uri)
    store, query = trial.protocol, {"uid": trial.trial.uid}

    def update(step: int) -> None:
        store.fetch_and_update_trial(query, "log_trial_metadata", step=step)

    times = [timed_once(partial(update, step)) for step in range(count)]
    return {"speed": count / sum(times), "median_ms": median(times) * 1e3}


def measure_sweep(count: int, uri: str) -> dict[str, Any]:
    """Log short trials one after the other, and time how the last ones end, and what that writes.

    The limit is to write and sync as many bytes as the report has, and to rename the file.
    """
    from track import TrackClient

    client = TrackClient(uri)
    report = Path(client.protocol.path)
    ends, limits = [], []
    for number in range(count // SWEEP_STEPS):
        trial = client.new_trial(parameters={"n": number}).start()
        log_metrics(trial, range(SWEEP_STEPS))
        ends.append(timed_once(trial.finish))
        content = report.read_bytes()
        limits.append(timed_once(partial(replace_file, report.with_suffix(".limit"), content)))
    last = slice(-10, None)
    return {"end_s": median(ends[last]), "limit_s": median(limits[last]), "trials": len(ends)}


def replace_file(path: Path, content: bytes) -> None:
    """Write a file beside its place, durably, and rename it."""
    fresh = path.with_suffix(".fresh")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def timed_once(call: Callable[[], None]) -> float:
    """Return how many seconds a call takes."""
    start = perf_counter()
    call()
    return perf_counter() - start


def measure_training(count: int, uri: str) -> dict[str, Any]:
    """Time the calls of a training loop once told to, and how long it takes until all is there."""
    trial = new_trial(uri)
    trial.start()
    log_metrics(trial, range(ROUND))
    print("ready", flush=True)
    sys.stdin.readline()
    began = monotonic()
    log_metrics(trial, range(count))
    logged = monotonic()
    trial.protocol.journal.head()
    ended = monotonic()
    trial.finish()
    return {"began": began, "call_us": (logged - began) / count * 1e6, "ended": ended}


MEASURES = {
    "training": measure_training,
    "log": measure_log,
    "chrono": measure_chrono,
    "run": measure_run,
    "open": measure_open,
    "interleaved": measure_interleaved,
    "history": measure_history,
    "burst": measure_burst,
    "sweep": measure_sweep,
    "guarded": measure_guarded,
}


# What starts those processes and makes rows of what they say.


class Outcome(NamedTuple):
    """What a process printed, and the most memory it used."""

    said: dict[str, Any]
    peak_mb: float


def clean_environment() -> dict[str, str]:
    """Return the environment without settings of Track and Python, and with this package first."""
    settings = ("TRACK_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(settings)}
    return {**kept, "PYTHONPATH": str(ROOT)}


def start_measure(name: str, count: int, folder: Path, uri: str) -> subprocess.Popen[str]:
    """Start one measurement in a process of its own, inside the folder."""
    arguments = ["--measure", name, "--count", str(count), "--uri", uri]
    return subprocess.Popen(
        [sys.executable, __file__, *arguments],
        cwd=folder,
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def end_measure(process: subprocess.Popen[str]) -> Outcome:
    """Wait for a measurement."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    with process.stdout as output:
        lines = output.read().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit("a measurement failed, see above")
    return Outcome(json.loads(lines[-1]), usage.ru_maxrss / 1024)


def run_measure(name: str, count: int, folder: Path, uri: str = FILE) -> Outcome:
    """Run one measurement in a process of its own, inside the folder."""
    return end_measure(start_measure(name, count, folder, uri))


def against_limit(name: str, count: int, folder: Path, uri: str = FILE) -> dict[str, Any]:
    """Measure something against the limit, in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as inner:
        said = run_measure(name, count, Path(inner), uri).said
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
    log = against_limit("log", max(count // 4, 30 * ROUND), folder, LMDB)
    yield Row("log_metrics(step=, loss=, acc=) on lmdb:", log["ratio"], "x limit", note=log["note"])


def together(name: str, workers: int, count: int, folder: Path, uri: str) -> list[dict[str, Any]]:
    """Start a measurement in several processes, in one new folder, and let them go at once."""
    with tempfile.TemporaryDirectory(dir=folder) as inner:
        processes = [
            start_measure(name, count // workers, Path(inner), uri) for _ in range(workers)
        ]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        return [end_measure(process).said for process in processes]


def burst_speed(workers: int, count: int, folder: Path, uri: str) -> float:
    """Return the events per second that processes append together to one new journal."""
    outcomes = together("burst", workers, count, folder, uri)
    ended = max(outcome["ended"] for outcome in outcomes)
    return count / (ended - min(outcome["began"] for outcome in outcomes))


def sharing_rows(count: int, folder: Path) -> Iterator[Row]:
    """Measure what several processes do with one store, and what one does alone with a lock."""
    for uri, least in ((FILE, 1.5), (LMDB, None)):
        size = count // 2 if uri == FILE else count // 8
        pairs = [[burst_speed(n, size, folder, uri) for n in (1, WORKERS)] for _ in range(3)]
        ratio = median(many / one for one, many in pairs)
        one, many = (median(speeds) for speeds in zip(*pairs, strict=True))
        note = f"{many:,.0f} events/s, one: {one:,.0f}"
        what = f"{WORKERS} processes to one, on {uri.partition(':')[0]}:"
        yield Row(what, ratio, "x", least, note, at_least=True)
    for uri, budget in ((FILE, 2000), (LMDB, None)):
        with tempfile.TemporaryDirectory(dir=folder) as inner:
            speed = run_measure("guarded", count // 50, Path(inner), uri).said["speed"]
        what = f"fetch_and_update_trial on {uri.partition(':')[0]}:"
        yield Row(what, speed, "calls/s", budget, "one process", at_least=True)


def size_rows(count: int, folder: Path) -> Iterator[Row]:
    """Log one long trial; measure its memory, its journal and how it is opened."""
    run = run_measure("run", count, folder)
    size = (folder / JOURNALS[FILE]).stat().st_size
    yield from opening_rows(count, folder, FILE)
    yield Row("journal on disk", size / (2 * count), "B/value", 45, f"{size / 1e6:.1f} MB")
    note = f"peak of a process with {count:,} steps of two metrics and its report"
    yield Row("memory", run.peak_mb, "MB", 200, note)
    run_measure("run", count, folder, LMDB)
    yield from opening_rows(count, folder, LMDB)


def opening_rows(count: int, folder: Path, uri: str) -> Iterator[Row]:
    """Open the store of the long trial, with its snapshot and without."""
    scheme = uri.partition(":")[0]
    snapshot = folder / (JOURNALS[uri] + SNAPSHOT_SUFFIX)
    with_snapshot = [run_measure("open", count, folder, uri).said for _ in range(5)]
    if not snapshot.exists():
        sys.exit(f"there is no snapshot {snapshot}")
    replayed = []
    for _ in range(3):
        snapshot.unlink()
        replayed.append(run_measure("open", count, folder, uri).said)
    if any(outcome["steps"] != count for outcome in with_snapshot + replayed):
        sys.exit(f"the store does not give back {count} steps")
    open_ms = median(outcome["open_s"] for outcome in with_snapshot) * 1e3
    what = f"open {scheme}: with a snapshot"
    yield Row(what, open_ms, "ms", 100, f"{count:,} events, up to the first answer")
    speed = count / median(outcome["open_s"] for outcome in replayed)
    note = "one core, the same without, and a snapshot written"
    budget = 700_000 if uri == FILE else None
    yield Row(f"replay {scheme}: into objects", speed, "events/s", budget, note, at_least=True)
    if uri == FILE:
        fetch_s = median(outcome["fetch_s"] for outcome in replayed)
        yield Row("  fetch the whole trial after it", fetch_s, "s")


def history_rows(count: int, folder: Path, uri: str) -> Iterator[Row]:
    """Read the history of one trial among those of many, once there is an index."""
    uid = run_measure("interleaved", count, folder, uri).said["uid"]
    first, *others = (run_measure("history", 0, folder, f"{uri}#{uid}").said for _ in range(6))
    if any(outcome["events"] < count // INTERLEAVED for outcome in others):
        sys.exit("a part of the history is missing")
    scheme = uri.partition(":")[0]
    history_ms = median(outcome["history_s"] for outcome in others) * 1e3
    note = f"{others[0]['events']:,} events among those of {INTERLEAVED:,} trials"
    yield Row(f"history {scheme}: of one trial", history_ms, "ms", 50, note)
    yield Row("  the first time, which makes the index", first["history_s"], "s")


def sweep_row(count: int, folder: Path) -> Row:
    """End a trial behind many others, whose texts are in the report, too."""
    said = run_measure("sweep", count // 4, folder, "file:sweep.json").said
    note = f"{said['end_s'] * 1e3:.3g} ms, behind {said['trials']} of {SWEEP_STEPS:,} steps"
    return Row(
        "end of a trial: report written", said["end_s"] / said["limit_s"], "x limit", note=note
    )


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
    from bench_servers import database_rows, relay_rows  # which use what is in this module

    yield from speed_rows(count, folder)
    yield from sharing_rows(count, folder)
    yield from size_rows(count, folder)
    yield from history_rows(count, folder, "file:many.json")
    yield from history_rows(count, folder, "lmdb:many.lmdb")
    yield sweep_row(count, folder)
    yield from database_rows(count, folder)
    yield from relay_rows(count, folder)
    yield import_row()


def main() -> None:
    """Measure one thing for the parent process, or everything for a person."""
    parser = ArgumentParser(description="Measure the budgets on this machine.")
    parser.add_argument("--quick", action="store_true", help="100,000 calls, not a million")
    parser.add_argument("--peers", action="store_true", help="see bench_peers.py, which has more")
    parser.add_argument("--measure", choices=MEASURES, help="one measurement, here, as JSON")
    parser.add_argument("--count", type=int, help="how many calls")
    parser.add_argument("--uri", default=FILE, help="the store")
    args = parser.parse_args()
    count = args.count or (100_000 if args.quick else 1_000_000)
    if args.measure:
        print(json.dumps(MEASURES[args.measure](count, args.uri)))
        return
    if args.peers:
        sys.exit(subprocess.call([sys.executable, ROOT / "tools" / "bench_peers.py"]))
    # Not in /tmp, which may be memory: the file system of the checkout is a real one.
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build, prefix="bench-") as folder:
        print(f"{'what':<42}{'measured':>10} {'':<9}{'budget':>11}")
        for row in rows(count, Path(folder)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
