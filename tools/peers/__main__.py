"""Do one measurement with one tracker, as ``python -m peers NAME MEASURE``, in its environment.

``tools/bench_peers.py`` starts it and reads what it prints: lines of JSON. A tracker ``NAME`` is
the module ``peers.NAME``, of two functions::

    def record(name, work):    # open a run of that name, call work(log), finish the run
    def read():                # return the steps of "loss" found in each run, by name

where ``log(step, loss, acc)`` logs one step with two metrics. All store in the current folder.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from mmap import mmap
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, perf_counter, sleep
from typing import Any

from bench_measures import limit, timed

Log = Callable[[int, float, float], object]

RECORD_BYTES = 80
"""About what Track writes for such a step."""

LIMIT_CALLS, LIMIT_ROUND = 20_000, 100

ENDLESS = 2**40


def log_steps(log: Log, steps: range) -> None:
    """Log two metrics at each step."""
    for step in steps:
        log(step, step * 1e-3, step * 1e-6)


def log_timed(log: Log, steps: range) -> list[float]:
    """Log two metrics at each step, and return the seconds that each call takes."""
    times = []
    for step in steps:
        loss, acc = step * 1e-3, step * 1e-6
        start = perf_counter()
        log(step, loss, acc)
        times.append(perf_counter() - start)
    return times


def time_limit() -> list[float]:
    """Return the seconds that a call of the limit takes, in rounds too short to be disturbed."""
    least = limit(RECORD_BYTES)
    os.unlink("limit")  # the descriptor stays: it must not count as a file of the tracker
    starts = range(0, LIMIT_CALLS, LIMIT_ROUND)
    return [timed(least, range(start, start + LIMIT_ROUND)) / LIMIT_ROUND for start in starts]


def measure_log(tracker: Any, count: int, say: Callable[[Any], None]) -> None:
    """Time every call, and the limit before and after them: no thread disturbs it there."""
    least = time_limit()
    times: list[float] = []
    began = 0.0

    def work(log: Log) -> None:
        nonlocal began
        began = perf_counter()
        times.extend(log_timed(log, range(count)))

    tracker.record("run", work)
    finished = perf_counter() - began
    limit_us = median(least + time_limit()) * 1e6
    tenth = count // 10
    say(
        {
            "count": count,
            "mean_us": sum(times) / count * 1e6,
            "p50_us": median(times) * 1e6,
            "p99_us": quantiles(times, n=100)[-1] * 1e6,
            "limit_us": limit_us,
            "ratio": median(times) * 1e6 / limit_us,
            "growth": median(times[-tenth:]) / median(times[:tenth]),
            "finished_per_s": count / finished,
        }
    )


def measure_start(tracker: Any, count: int, say: Callable[[Any], None]) -> None:
    """Log one step, and say so at once."""

    def work(log: Log) -> None:
        log_steps(log, range(1))
        say("logged")

    tracker.record("run", work)
    say("finished")


def measure_burst(tracker: Any, count: int, say: Callable[[Any], None]) -> None:
    """Log steps once told to, and say when that began, and when the run was finished."""
    began = []

    def work(log: Log) -> None:
        began.append(monotonic())
        log_steps(log, range(count))

    say("ready")
    name = sys.stdin.readline().strip()
    tracker.record(name, work)
    say({"began": began[0], "ended": monotonic()})


def measure_endless(tracker: Any, rate: int, say: Callable[[Any], None]) -> None:
    """Log until killed, so many steps a second, or 0 for as many as can be.

    How many calls have returned is in memory shared with a file: it outlives this process.
    """
    path = Path(os.environ["HOME"], "acknowledged")
    path.write_bytes(bytes(8))
    with path.open("r+b") as file:
        acknowledged = mmap(file.fileno(), 8)

    def work(log: Log) -> None:
        say("ready")
        began = perf_counter()
        for step in range(ENDLESS):
            log(step, step * 1e-3, step * 1e-6)
            acknowledged[:] = (step + 1).to_bytes(8, "little")
            if rate:
                sleep(max(0.0, began + step / rate - perf_counter()))

    tracker.record("run", work)


def measure_read(tracker: Any, count: int, say: Callable[[Any], None]) -> None:
    """Time reading a metric of every run, and say how many different steps each has."""
    start = perf_counter()
    found = tracker.read()
    seconds = perf_counter() - start
    say({"seconds": seconds, "steps": {name: len(set(steps)) for name, steps in found.items()}})


MEASURES = {
    "log": measure_log,
    "start": measure_start,
    "burst": measure_burst,
    "endless": measure_endless,
    "read": measure_read,
}


def main() -> None:
    """Run one measurement."""
    # Trackers print, too. What they print goes where errors go, and no child of theirs gets the
    # pipe that the parent reads.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(what: Any) -> None:
        print(json.dumps(what), file=output, flush=True)

    name, measure, count = sys.argv[1:]
    MEASURES[measure](import_module(f"peers.{name}"), int(count), say)


if __name__ == "__main__":
    main()
