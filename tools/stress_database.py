"""Let many processes log to a database and decide in it, and kill them, and the server, meanwhile.

    python tools/stress_database.py --seconds 120 --clients 16

It starts a PostgreSQL of its own. Each client notes what it did and what it was told, where its
death does not reach it. In the end, every acknowledged call must be in the database once and
nothing that nobody tried, positions must have no gaps, and a copy of the log in a file must be
equal. The exit code is 1 if something is not so.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.databases import PostgresServer  # noqa: E402 - of this repository
from tests.e2e.faults import Place, end, wait_for_more  # noqa: E402
from tests.e2e.relay_work import Crowd, check_work, fill, pause  # noqa: E402
from tests.e2e.stores import Process  # noqa: E402
from track.exchange.copying import copy_store  # noqa: E402
from track.persistence import get_protocol  # noqa: E402
from track.persistence.cockroach import sync  # noqa: E402

KILLS_OF_CLIENTS = 8
"""The number of clients that are killed before each kill of the server."""


def stress(
    server: PostgresServer,
    folder: Path,
    start: Callable[..., Process],
    clients: int,
    rounds: Iterable[int],
) -> Counter[str]:
    """Kill clients, and the server, and check what is left; return what calls came to.

    Parameters
    ----------
    server
        the server, which runs
    folder
        an empty folder for spools, notes and reports
    start
        starts a function in a process
    clients
        the number of clients at a time
    rounds
        a client is killed for each, and the server for some, counted from 0
    """
    chance = random.Random(clients)  # noqa: S311 - moments, not secrets
    place = Place("postgres", folder, server.port)
    uri = place.uri()
    fill(uri, 1000)
    crowd = Crowd(start, uri, folder / "notes")
    for _ in range(clients):
        crowd.grow()
    kills: Counter[str] = Counter()
    for number in rounds:
        wait_for_more(server, place.log)
        pause(chance, 0.2)
        crowd.lose()
        kills["kills of clients"] += 1
        if number % KILLS_OF_CLIENTS == KILLS_OF_CLIENTS // 2:
            end(server)
            kills["kills of the server"] += 1
            pause(chance, 1)
            server.start()
        crowd.grow()
    wait_for_more(server, place.log)
    crowd.end()
    sync(uri)
    assert place.files() == [], "a spool was left"
    counts = check_work(place, folder / "notes")
    place.check(uri)
    _check_copy(uri, folder / "copy.json", place.rows())
    return counts + kills


def _check_copy(uri: str, path: Path, payloads: list[bytes]) -> None:
    """Check that a copy of the log in a file has the same events in the same order."""
    source, target = get_protocol(uri), get_protocol(f"file:{path}")
    with closing(source), closing(target):
        copy_store(source, target)
        copied = [payload for _, batch in target.journal.read_batches() for payload in batch]
    assert copied == payloads, "a copy in a file differs"


@contextmanager
def processes() -> Iterator[Callable[..., Process]]:
    """Start functions in processes of their own, which are gone after the block."""
    started: list[Process] = []

    def start(function: Callable[..., None], *arguments: Any) -> Process:
        started.append(Process(function, *arguments))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.clean_up()


def _numbers_for(seconds: float) -> Iterator[int]:
    """Count until a time is over."""
    deadline = time.monotonic() + seconds
    number = 0
    while time.monotonic() < deadline:
        yield number
        number += 1


def main(arguments: list[str]) -> int:
    """Stress a database and print what happened; return the exit code."""
    parser = ArgumentParser(description="kill clients of a database, and the server, under load")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, processes() as start:
        server = PostgresServer()
        try:
            numbers = _numbers_for(options.seconds)
            counts = stress(server, Path(folder), start, options.clients, numbers)
        except AssertionError as error:
            print(f"failed: {error}")
            return 1
        finally:
            server.stop()
    print(", ".join(f"{name}: {count}" for name, count in sorted(counts.items())))
    print("nothing is lost, doubled or invented, positions have no gaps, a copy in a file is equal")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
