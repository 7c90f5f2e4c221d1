"""Run programs with an interpreter of their own, and threads and processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.process import BaseProcess
    from threading import Thread

ROOT = Path(__file__).resolve().parents[1]


def run_python(
    program: str,
    *arguments: object,
    status: int = 0,
    warn: str = "ignore::DeprecationWarning",
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run a program that can import this package to its end, and return what it printed.

    Parameters
    ----------
    program
        its code
    arguments
        its arguments
    status
        the exit status that it must have
    warn
        which warnings it shows; a program with threads that forks is what some tests are about
    environment
        variables that it gets besides those of this process
    """
    done = subprocess.run(
        [sys.executable, "-W", warn, "-c", program, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


def run_at_once(workers: Sequence[Thread | BaseProcess]) -> None:
    """Start threads or processes, and return when all of them have ended well."""
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {getattr(worker, "exitcode", 0) for worker in workers} == {0}
