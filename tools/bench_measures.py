"""What ``tools/bench.py`` measures, each in a process of its own in an empty folder.

Run as ``python bench_measures.py <measure> <count> <uri>``; what a measure returns is printed as
JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import Any
from zlib import crc32

ROUND = 1000
"""Calls in one round: long enough to time, short enough that noise hits both sides of a ratio."""

FILE, LMDB = "file:bench.json", "lmdb:bench.lmdb"
JOURNALS = {FILE: "bench.json.journal", LMDB: "bench.lmdb"}

INTERLEAVED = 1000
"""Trials that log by turns."""

SWEEP_STEPS = 1000
"""Steps of each short trial of a sweep."""


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


def measure_finished(count: int, uri: str) -> dict[str, Any]:
    """Log steps of a trial once told to, finish it and close the store, and say when."""
    trial = new_trial(uri).start()
    log_metrics(trial, range(ROUND))
    print("ready", flush=True)
    sys.stdin.readline()
    began = monotonic()
    log_metrics(trial, range(ROUND, count))
    trial.finish()
    finished = monotonic()
    trial.protocol.close()
    return {"began": began, "finished": finished, "closed": monotonic()}


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
    "finished": measure_finished,
    "sweep": measure_sweep,
    "guarded": measure_guarded,
}


if __name__ == "__main__":
    measure, count, uri = sys.argv[1:]
    print(json.dumps(MEASURES[measure](int(count), uri)))
