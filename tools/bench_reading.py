"""Measure what it costs to look at large stores, in whole processes.

The stores are made by the public API: one long trial, many short ones, and trials that take turns.
Times are those of the processor (machines are noisy), the least of several runs, and of whole
processes where a command is named, with the start of Python; memory is the peak of the process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
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
from time import process_time
from track.persistence import get_protocol
from track.structure import Project, Status, Trial
protocol = get_protocol("file:store.json?durability=process")
protocol.new_project(Project(name="p"))
count, spent = int(sys.argv[1]), []
for number in range(count):
    trial = Trial(name=f"t{number}", project_id="p", parameters={"lr": number * 1e-4})
    begin = process_time()
    protocol.new_trial(trial)
    made = process_time() - begin
    protocol.log_trial_start(trial)
    log = protocol.metrics_sink(trial)
    for step in range(100):
        log(step, None, {"loss": 1 / (step + number + 1), "acc": step * 0.01})
    protocol.set_trial_status(trial, Status.Completed)
    begin = process_time()
    protocol.log_trial_finish(trial)
    spent.append(made + process_time() - begin)
tenth = count // 10
print(json.dumps(sum(spent[-tenth:]) / sum(spent[:tenth])), flush=True)
os._exit(0)
"""

TURNS = """
import os, sys
from track.persistence import get_protocol
from track.structure import Project, Trial
protocol = get_protocol("file:store.json?durability=process")
protocol.new_project(Project(name="p"))
sinks = []
for number in range(64):
    trial = Trial(name=f"t{number}", project_id="p")
    protocol.new_trial(trial)
    names = [f"metric{place}" for place in range(1 + number % 4)]
    sinks.append((protocol.metrics_sink(trial), names))
for step in range(int(sys.argv[1]) // 64):
    for log, names in sinks:
        log(step, None, {name: step / 7 for name in names})
os._exit(0)
"""

ENDS = """
import json, os, sys
from time import process_time
import track
from track import TrackClient
client = TrackClient("file:store.json?durability=process")
client.set_project(name="p")
trial = client.new_trial(name="baseline", parameters={"lr": 0.1}).start()
for step in range(int(sys.argv[1])):
    trial.log_metrics(step=step, loss=1 / (step + 1), acc=step * 1e-6)
begin = process_time()
trial.finish()
finished = process_time()
client.save()
saved = process_time()
client.save()
again = process_time()
(kept,) = track.open("file:store.json").trials()
begin_columns = process_time()
with open("columns.json", "w") as file:
    for series in kept.metrics.values():
        steps, values = series.steps, series.values
        for start in range(0, len(steps), 8192):
            stop = start + 8192
            items = dict(zip(map(str, steps[start:stop]), values[start:stop]))
            file.write(json.dumps(items)[1:-1])
columns = process_time() - begin_columns
said = [(finished - begin) * 1e3, (saved - finished) / columns, (again - saved) / columns]
print(json.dumps(said), flush=True)
os._exit(0)
"""

OPEN = """
import json
from time import process_time
import track
begin = process_time()
with track.open("file:store.json").protocol.read_state() as objects:
    print(json.dumps(objects.events / (process_time() - begin)))
"""

READ = """
import json
from time import process_time
import track
reader = track.open("file:store.json")
(trial,) = reader.trials()
loss = trial.metrics["loss"]
loss.sample(1000)
begin = process_time()
loss.sample(1000)
sampled = process_time() - begin
import pyarrow
begin = process_time()
rows = reader.to_arrow(metrics=True).num_rows
print(json.dumps([sampled * 1e3, rows / (process_time() - begin)]))
"""

WRITE = """
import json
from time import process_time
from track import TrackClient
import uuid
client = TrackClient("file:store.json?durability=process")
client.set_project(name="p")
client.new_trial(name=uuid.uuid4().hex, parameters={})
print(json.dumps(process_time() * 1e3), flush=True)
import os; os._exit(0)
"""

LIST = ("ls", "-n", "20", "--sort", "metrics.loss")


def reading_rows(count: int, folder: Path) -> Iterator[Row]:
    """Measure stores of up to three times ``count`` events, and of ``count / 100`` trials."""
    folders = [folder / name for name in ("long", "many", "turns", "ends")]
    for made in folders:
        made.mkdir()
    long, many, turns, ends = folders
    yield from _long_rows(count, long)
    yield from _many_rows(count // 100, many)
    _run(TURNS, turns, str(count))
    speed = _cold(turns)
    note = f"{count:,} events, no two neighbours of which are alike"
    yield Row("catch up", speed, "events/s", 250_000, note, at_least=True)
    said = _run(ENDS, ends, str(3 * count))
    yield Row("finish, report not asked for", said[0], "ms", 50, f"{3 * count:,} steps")
    yield Row("save, which catches up first", said[1], "x columns", note="to the JSON of columns")
    yield Row("save", said[2], "x columns", 1.5, "the same, once caught up")


def _long_rows(count: int, long: Path) -> Iterator[Row]:
    """Measure one trial of three times ``count`` steps of two metrics."""
    _run(LONG, long, str(count))
    cold = [_command_without_cache(long, "show", "baseline") for _ in range(2)]
    note = f"{count:,} events, no cache"
    yield Row("track show, cold", min(seconds for seconds, _ in cold), "s", 2 * count / 1e6, note)
    (long / CACHE).unlink()
    for file in long.iterdir():
        file.unlink()
    _run(LONG, long, str(3 * count))
    note = f"{3 * count:,} events of one shape"
    yield Row("catch up", _cold(long), "events/s", 500_000, note, at_least=True)
    for verb, most_s, most_mb in (("show", 0.4, 120), ("plot", 0.4, 120), ("ls", 0.25, 60)):
        arguments = [verb] if verb == "ls" else [verb, "baseline"]
        yield from _verb_rows(long, arguments, most_s, most_mb)
    values = 2 * 3 * count
    yield Row("cache on disk", (long / CACHE).stat().st_size / values, "B/value", 18)
    said = [_run(READ, long) for _ in range(3)]
    yield Row("series.sample(1000)", min(ms for ms, _ in said), "ms", 10)
    speed = max(speed for _, speed in said)
    yield Row("to_arrow(metrics=True)", speed, "values/s", 10_000_000, at_least=True)


def _many_rows(trials: int, many: Path) -> Iterator[Row]:
    """Measure many trials of 100 steps of two metrics."""
    drift = _run(MANY, many, str(max(100, trials)))
    what = f"sweep of {trials:,} trials: last tenth to first"
    yield Row(what, drift, "x", 1.2, "new_trial and finish")
    seconds, _ = _command_without_cache(many, *LIST)
    yield Row(f"track {' '.join(LIST)}, cold", seconds, "s")
    yield from _verb_rows(many, list(LIST), 0.5, 120)
    size = (many / CACHE).stat().st_size
    yield Row("  its cache on disk", size / (2 * 100 * trials), "B/value", 18)
    opened_ms = min(_run(WRITE, many) for _ in range(5))
    yield Row("open to write, and new_trial", opened_ms, "ms", 150, "start of Python included")


def _cold(folder: Path) -> float:
    """Return the events per second that are folded and kept where there is no cache."""
    speeds = []
    for _ in range(2):
        (folder / CACHE).unlink(missing_ok=True)
        speeds.append(_run(OPEN, folder))
    return max(speeds)


def _command_without_cache(folder: Path, *arguments: str) -> tuple[float, float]:
    (folder / CACHE).unlink(missing_ok=True)
    return _command(folder, *arguments)


def _verb_rows(folder: Path, arguments: list[str], most_s: float, most_mb: float) -> Iterator[Row]:
    took = [_command(folder, *arguments) for _ in range(5)]
    what = f"track {' '.join(arguments[:5])}"
    yield Row(what, min(seconds for seconds, _ in took), "s", most_s, "warm cache")
    yield Row("  its memory", median(peak for _, peak in took), "MB", most_mb)


def _command(folder: Path, *arguments: str) -> tuple[float, float]:
    """Run the command line, and return its time of the processor and its peak of memory in MB."""
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
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


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
