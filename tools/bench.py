"""Measure the budgets on this machine and print them as a table.

Run it as ``python tools/bench.py [--quick]``. What is timed against "the limit" alternates with it
in short rounds in one process, and the medians of the ratios are printed, because machines are
noisy. The limit is the least that can make a value durable: one msgpack pack, one CRC and one
``os.write`` of as many bytes as Track writes, to a file of the same file system. Every measurement
has a process of its own. Nothing here passes or fails: the table is for people to read.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from bench_measures import FILE, INTERLEAVED, JOURNALS, LMDB, ROUND, SWEEP_STEPS
from bench_reading import reading_rows
from bench_runs import ROOT, Row, clean_environment, run_measure, together
from bench_servers import database_rows, relay_rows

CACHE_SUFFIX = ".cache"
WORKERS = 4


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


def shared_rows(
    measure: str, count: int, folder: Path, uri: str, *ends: tuple[str, str, float | None]
) -> Iterator[Row]:
    """Measure what several processes record in one store, and one alone.

    An end is its name in what the measure says, how it is called, and the least ratio.
    """
    rounds = [[together(measure, n, count, folder, uri) for n in (1, WORKERS)] for _ in range(3)]
    for end, until, least in ends:
        pairs = [[count / seconds_until(end, outcomes) for outcomes in pair] for pair in rounds]
        one, many = (median(speeds) for speeds in zip(*pairs, strict=True))
        ratio = median(several / alone for alone, several in pairs)
        what = f"{WORKERS} processes to one, on {uri.partition(':')[0]}:{until}"
        note = f"{many:,.0f} events/s, one: {one:,.0f}"
        yield Row(what, ratio, "x", least, note, at_least=True)


def seconds_until(end: str, outcomes: list[dict[str, Any]]) -> float:
    """Return the time from the first beginning to the last end."""
    first = min(outcome["began"] for outcome in outcomes)
    return float(max(outcome[end] for outcome in outcomes) - first)


def sharing_rows(count: int, folder: Path) -> Iterator[Row]:
    """Measure what several processes do with one store, and what one does alone with a lock."""
    yield from shared_rows("burst", count // 2, folder, FILE, ("ended", "", 1.5))
    # The last one to close the store writes the report of all events, which takes one core.
    ends = ("finished", ", until all finish", 1.6), ("closed", ", until all are closed", None)
    yield from shared_rows("finished", count // 2, folder, FILE, *ends)
    yield from shared_rows("burst", count // 8, folder, LMDB, ("ended", "", None))
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
    """Open the store of the long trial, with its cache and without."""
    scheme = uri.partition(":")[0]
    cache = folder / (JOURNALS[uri] + CACHE_SUFFIX)
    with_cache = [run_measure("open", count, folder, uri).said for _ in range(5)]
    if not cache.exists():
        sys.exit(f"there is no cache {cache}")
    replayed = []
    for _ in range(3):
        cache.unlink()
        replayed.append(run_measure("open", count, folder, uri).said)
    if any(outcome["steps"] != count for outcome in with_cache + replayed):
        sys.exit(f"the store does not give back {count} steps")
    open_ms = median(outcome["open_s"] for outcome in with_cache) * 1e3
    what = f"open {scheme}: with a cache"
    yield Row(what, open_ms, "ms", 100, f"{count:,} events, up to the first answer")
    speed = count / median(outcome["open_s"] for outcome in replayed)
    note = "one core, the same without, and a cache written"
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
    """End a trial behind many others, which are in the report, too."""
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
    """Measure everything, row by row."""
    yield from speed_rows(count, folder)
    yield from sharing_rows(count, folder)
    yield from size_rows(count, folder)
    yield from history_rows(count, folder, "file:many.json")
    yield from history_rows(count, folder, "lmdb:many.lmdb")
    yield sweep_row(count, folder)
    yield from reading_rows(count, folder)
    yield from database_rows(count, folder)
    yield from relay_rows(count, folder)
    yield import_row()


def main() -> None:
    """Measure everything."""
    parser = ArgumentParser(description="Measure the budgets on this machine.")
    parser.add_argument("--quick", action="store_true", help="100,000 calls, not a million")
    parser.add_argument("--peers", action="store_true", help="see bench_peers.py, which has more")
    parser.add_argument("--count", type=int, help="how many calls")
    args = parser.parse_args()
    count = args.count or (100_000 if args.quick else 1_000_000)
    if args.peers:
        sys.exit(subprocess.call([sys.executable, ROOT / "tools" / "bench_peers.py"]))
    # Not in /tmp, which may be memory: the file system of the checkout is a real one.
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build, prefix="bench-") as folder:
        print(f"{'what':<42}{'measured':>10} {'':<9}{'budget':>13}  of it")
        for row in rows(count, Path(folder)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
