"""Measure what a log call costs, against the least that makes a value durable.

Run it as ``python tools/bench_log_call.py [--rounds 400] [--scheme file]``. One process alternates
short rounds of the limit (see ``tools/bench.py``), of ``log_metrics`` and of a chrono, and the
medians of their ratios are printed: on a machine that others use, too, many rounds tell more than
long ones do. ``--only`` runs one kind of round without the others, for profilers that count.
"""

from __future__ import annotations

import os
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

from bench_measures import (
    FILE,
    JOURNALS,
    LMDB,
    ROUND,
    limit,
    log_metrics,
    new_trial,
    open_chronos,
    timed,
)

CALLS = {"log_metrics": log_metrics, "chrono": open_chronos}


def rounds_of(uri: str, only: str | None) -> dict[str, Callable[[range], None]]:
    """Open a store in the current folder, and return what can be timed there."""
    trial = new_trial(uri).start()
    journal = Path(JOURNALS[uri])
    before = journal.stat().st_size
    log_metrics(trial, range(ROUND))
    record_bytes = (journal.stat().st_size - before) // ROUND
    runs = {"limit": limit(record_bytes)}
    for name, call in CALLS.items():
        runs[name] = lambda steps, call=call: call(trial, steps)
    return runs if only is None else {only: runs[only]}


def main() -> None:
    """Measure, and print a line for each call."""
    parser = ArgumentParser(description="Measure the price of a log call.")
    parser.add_argument("--rounds", type=int, default=400, help="how many of each")
    parser.add_argument("--scheme", choices=["file", "lmdb"], default="file", help="which journal")
    parser.add_argument("--only", choices=["limit", *CALLS], help="run these, and time nothing")
    args = parser.parse_args()
    # Not in /tmp, which may be memory: the file system of the checkout is a real one.
    build = Path(__file__).resolve().parent.parent / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build, prefix="bench-") as folder:
        os.chdir(folder)
        runs = rounds_of({"file": FILE, "lmdb": LMDB}[args.scheme], args.only)
        rounds = [range(n * ROUND, (n + 1) * ROUND) for n in range(1, args.rounds + 1)]
        times = [[timed(run, steps) for run in runs.values()] for steps in rounds]
    if args.only is not None:
        return
    limits, *calls = zip(*times, strict=True)
    print(f"{'limit':<14}{median(limits) / ROUND * 1e6:8.2f} us")
    for name, took in zip(CALLS, calls, strict=True):
        ratios = [mine / least for mine, least in zip(took, limits, strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        spread = f"middle half of the rounds {low:.2f} to {high:.2f}"
        print(f"{name:<14}{median(took) / ROUND * 1e6:8.2f} us{middle:8.2f} x limit  {spread}")


if __name__ == "__main__":
    main()
