"""What the benchmarks share: measurements in processes of their own, and the lines of a table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import bench_measures
from bench_measures import FILE

ROOT = Path(__file__).resolve().parent.parent


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
            share = self.measured / self.budget if self.budget else 0.0
            verdict = f"{'over' if over else 'ok':<5}{number(share)} x"
        measured = f"{number(self.measured):>10} {self.unit:<9}"
        return f"{self.what:<42}{measured}{budget:>13}  {verdict:<12} {self.note}".rstrip()


def number(value: float) -> str:
    """Write a number with three digits or more, as far as they mean anything."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004


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
    return subprocess.Popen(
        [sys.executable, bench_measures.__file__, name, str(count), uri],
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
