"""Which stores real processes share, how these are run, and what must be true afterwards."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.databases import KINDS
from track import TrackClient
from track.events.types import Recorded
from track.persistence.journaled import JournaledProtocol

LOCAL_URIS = ["file:store.json", "lmdb:store.lmdb"]
URIS = [*LOCAL_URIS, *KINDS]
"""Stores of the working folder, which each test has for its own, and kinds of databases."""

ROOT = Path(__file__).resolve().parents[2]

STUCK_S = 60
"""A process that is not done after this time says where it is, and ends."""

_PROGRAM = """
import json, sys

class Pytest:
    # The test around the function is not run here, and pytest takes longer to import than Track.
    def __getattr__(self, name):
        return self
    def __call__(self, *arguments, **keywords):
        return self

sys.modules["pytest"] = Pytest()
from tests.e2e.stores import STUCK_S, end_if_stuck
end_if_stuck(STUCK_S)
from {module} import {name} as function
function(*map(json.loads, sys.argv[1:]))
"""


class Process:
    """A function of a test module, run by an interpreter of its own.

    Parameters
    ----------
    function
        what to run
    arguments
        what JSON can hold
    """

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
        program = _PROGRAM.format(module=function.__module__, name=function.__name__)
        # A program with threads that forks is what some of the tests are about.
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
        self._popen = subprocess.Popen(
            [*command, *map(json.dumps, arguments)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._watchdog = threading.Timer(STUCK_S * 1.5, self._kill_all)
        self._watchdog.daemon = True
        self._watchdog.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def wait_for(self, word: str) -> None:
        """Wait until the process says something."""
        line = self._popen.stdout.readline()
        assert line == f"{word}\n", (line, self._popen.communicate()[1])

    def tell(self, word: object = "go") -> None:
        """Say something to a process that waits for it, see :func:`wait_for_word`."""
        self._popen.stdin.write(f"{word}\n")
        self._popen.stdin.flush()

    def end(self) -> Any:
        """Wait for a good end of the process, and return what it answered."""
        output, errors = self._popen.communicate(timeout=STUCK_S * 2)
        assert (self._popen.returncode, errors) == (0, ""), (output, errors)
        return json.loads(output) if output else None

    def stop(self) -> None:
        """Stop the process, and return once it stands still."""
        os.kill(self.pid, signal.SIGSTOP)
        state = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert state.si_code == os.CLD_STOPPED, self._popen.communicate()

    def go_on(self) -> None:
        """Let a stopped process go on."""
        self._popen.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process, but nothing that it started, and return once it is dead."""
        self._popen.kill()
        self._popen.wait()

    def clean_up(self) -> None:
        """Kill the process and all that it started."""
        self._watchdog.cancel()
        self._kill_all()
        self._popen.communicate()

    def _kill_all(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # they have all ended


# What the functions say to the test that started them


def end_if_stuck(seconds: int = STUCK_S // 2) -> None:
    """End this process, and print where its threads are, if it still runs after some time.

    Whoever is started by such a process calls this too, to be the first to tell.
    """
    # The kernel's alarm, since the thread that faulthandler would wait in does not survive a fork.
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(seconds)


def say(word: str) -> None:
    """Say something to the test."""
    print(word, flush=True)


def wait_for_word() -> str:
    """Return what the test says next, nothing if it is gone."""
    return sys.stdin.readline().strip()


def answer(value: Any) -> None:
    """Give the test what :meth:`Process.end` returns."""
    print(json.dumps(value), flush=True)


# Stores


def with_options(uri: str, **options: Any) -> str:
    """Return a URI with more options."""
    return uri + "?&"["?" in uri] + "&".join(f"{name}={value}" for name, value in options.items())


def open_store(uri: str) -> JournaledProtocol:
    """Return the backend of a store."""
    protocol = TrackClient(uri).protocol
    assert isinstance(protocol, JournaledProtocol)
    return protocol


def events_of(uri: str) -> list[Recorded]:
    """Return all events of a store, which were each recorded once and in their producer's order."""
    store = open_store(uri)
    events = list(store.events())
    store.close()
    positions = [recorded.position for recorded in events]
    assert positions == sorted(set(positions))
    for producer, numbers in by_producer(events).items():
        if uri.startswith("socket:"):  # a number is spent, too, on what a server decided against
            assert numbers == sorted(set(numbers)), producer
        else:
            assert numbers == list(range(1, len(numbers) + 1)), producer
    return events


def by_producer(events: list[Recorded]) -> dict[int, list[int]]:
    """Return the sequence numbers of each producer, in the order of the journal."""
    found: dict[int, list[int]] = {}
    for recorded in events:
        found.setdefault(recorded.producer, []).append(recorded.sequence)
    return found
