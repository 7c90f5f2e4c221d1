"""Measure what it costs to look at large stores, in whole processes.

The stores are made by the public API: one long trial, and many short ones. Times are medians of
whole commands, start of Python included; memory is the peak of the process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from bench_runs import Row, clean_environment

CACHE = "store.json.journal.cache"

LONG = """
import os, sys
from track import TrackClient
client = TrackClient("file:store.json?durability=process")
client.set_project(name="p")
trial = client.new_trial(name="baseline", parameters={"lr": 0.1})
with trial:
    for step in range(int(sys.argv[1])):
        trial.log_metrics(step=step, loss=1 / (step + 1), acc=step * 1e-6)
    sys.stdout.flush()
    os._exit(0)
"""

MANY = """
import json, os, sys
from time import perf_counter
from track.persistence import get_protocol
from track.structure import Project, Status, Trial
protocol = get_protocol("file:store.json?durability=process")
protocol.new_project(Project(name="p"))
count, spent = int(sys.argv[1]), []
for number in range(count):
    trial = Trial(name=f"t{number}", project_id="p", parameters={"lr": number * 1e-4})
    begin = perf_counter()
    protocol.new_trial(trial)
    made = perf_counter() - begin
    protocol.log_trial_start(trial)
    log = protocol.metrics_sink(trial)
    for step in range(100):
        log(step, None, {"loss": 1 / (step + number + 1), "acc": step * 0.01})
    protocol.set_trial_status(trial, Status.Completed)
    begin = perf_counter()
    protocol.log_trial_finish(trial)
    spent.append(made + perf_counter() - begin)
tenth = count // 10
print(json.dumps(sum(spent[-tenth:]) / sum(spent[:tenth])), flush=True)
os._exit(0)
"""

READ = """
import json
from time import perf_counter
import track
reader = track.open("file:store.json")
(trial,) = reader.trials()
loss = trial.metrics["loss"]
loss.sample(1000)
begin = perf_counter()
loss.sample(1000)
sampled = perf_counter() - begin
import pyarrow
begin = perf_counter()
rows = reader.to_arrow(metrics=True).num_rows
print(json.dumps([sampled * 1e3, rows / (perf_counter() - begin)]))
"""

WRITE = """
import json
from time import perf_counter
begin = perf_counter()
from track.persistence import get_protocol
from track.structure import Trial
import uuid
protocol = get_protocol("file:store.json?durability=process")
protocol.new_trial(Trial(name=uuid.uuid4().hex, project_id="p"))
print(json.dumps((perf_counter() - begin) * 1e3), flush=True)
import os; os._exit(0)
"""


def reading_rows(count: int, folder: Path) -> Iterator[Row]:
    """Measure all of it: one trial of three times ``count`` steps, and ``count / 100`` trials."""
    long, many = folder / "long", folder / "many"
    long.mkdir()
    many.mkdir()
    _run(LONG, long, str(3 * count))
    cold_s, _ = _command(long, "show", "baseline")
    note = f"{3 * count:,} events, no cache"
    speed = 3 * count / cold_s
    yield Row("catch up: to the first show", speed, "events/s", 500_000, note, at_least=True)
    for verb, most_s, most_mb in (("show", 0.4, 120), ("plot", 0.4, 120), ("ls", 0.25, 60)):
        arguments = [verb] if verb == "ls" else [verb, "baseline"]
        yield from _verb_rows(long, arguments, most_s, most_mb)
    values = 2 * 3 * count
    yield Row("cache on disk", (long / CACHE).stat().st_size / values, "B/value", 18)
    said = [_run(READ, long) for _ in range(3)]
    yield Row("series.sample(1000)", median(ms for ms, _ in said), "ms", 10)
    speed = median(speed for _, speed in said)
    yield Row("to_arrow(metrics=True)", speed, "values/s", 10_000_000, at_least=True)
    drift = _run(MANY, many, str(max(100, count // 100)))
    what = f"sweep of {count // 100:,} trials: last tenth to first"
    yield Row(what, drift, "x", 1.2, "new_trial and finish")
    _command(many, "ls")
    yield from _verb_rows(many, ["ls", "-n", "20", "--sort", "metrics.loss"], 0.5, 120)
    opened_ms = median(_run(WRITE, many) for _ in range(5))
    yield Row("open to write, and new_trial", opened_ms, "ms", 150, "imports included")


def _verb_rows(folder: Path, arguments: list[str], most_s: float, most_mb: float) -> Iterator[Row]:
    took = [_command(folder, *arguments) for _ in range(5)]
    what = f"track {' '.join(arguments[:5])}"
    yield Row(what, median(seconds for seconds, _ in took), "s", most_s, "warm cache")
    yield Row("  its memory", median(peak for _, peak in took), "MB", most_mb)


def _command(folder: Path, *arguments: str) -> tuple[float, float]:
    """Run the command line, and return how long it took and its peak of memory in MB."""
    begin = perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "track", *arguments],
        cwd=folder,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"track {' '.join(arguments)} failed")
    return perf_counter() - begin, usage.ru_maxrss / 1024


def _run(program: str, folder: Path, *arguments: str) -> Any:
    """Run a program, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env=clean_environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout or "null")
