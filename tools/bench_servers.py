"""The rows of ``tools/bench.py`` about stores behind a server."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from threading import Thread
from time import sleep
from typing import Any

from bench_measures import FILE
from bench_runs import ROOT, Row, run_measure, together

sys.path.insert(0, str(ROOT))

CLIENTS = 32
ATTEMPTS = 9


def forwarding_rows(
    name: str, count: int, folder: Path, uri: Callable[[int], str], least: float
) -> Iterator[Row]:
    """Measure what log calls cost in front of a server, and when all of them are there.

    Parameters
    ----------
    name
        of the kind of store
    count
        how many calls
    folder
        for the local store to compare with
    uri
        returns that of a fresh store, given the number of an attempt
    least
        events a second
    """
    calls, speeds = [], []
    for attempt in range(ATTEMPTS):
        (local,) = together("training", 1, count, folder, FILE)
        (far,) = together("training", 1, count, folder, uri(attempt))
        calls.append((far["call_us"], local["call_us"]))
        speeds.append(count / (far["ended"] - far["began"]))
    ratio = median(far / local for far, local in calls)
    note = f"{median(far for far, _ in calls):.2f} us, both in processes of their own"
    yield Row(f"log_metrics on {name}: to file:", ratio, "x", 1.2, note)
    what = "  until all of it is there"
    yield Row(what, median(speeds), "events/s", least, "one client", at_least=True)


def database_rows(count: int, folder: Path) -> Iterator[Row]:
    """Measure what goes through a spool to a PostgreSQL, which syncs every commit."""
    from tests.databases import PostgresServer

    server = PostgresServer(durable=True)
    uri = f"postgres://postgres@127.0.0.1:{server.port}/postgres?spool={folder}/spool&log="
    yield from forwarding_rows("postgres", count // 4, folder, lambda n: f"{uri}{n}", 20_000)
    seen: list[list[int]] = []
    watching = Thread(target=watch, args=(server, count // 2, seen))
    watching.start()
    clients = together("training", CLIENTS, count, folder, f"{uri}many")
    watching.join()
    took_s = max(client["ended"] for client in clients) - min(c["began"] for c in clients)
    what = f"  the slowest of {CLIENTS} clients to the average"
    note = f"when half is there; {count / took_s:,.0f} events/s together"
    yield Row(what, min(seen[0]) / (sum(seen[0]) / CLIENTS), "x", note=note)
    server.stop()


def watch(server: Any, events: int, seen: list[list[int]]) -> None:
    """Note how many events each client has in the database, once all have so many together."""
    connection = server.connect()
    cursor = connection.cursor()
    found: list[int] = []
    while sum(found) < events:
        sleep(0.1)
        cursor.execute("SELECT last_sequence FROM producers NATURAL JOIN logs WHERE name = 'many'")
        found = [row[0] for row in cursor.fetchall()]
    seen.append(found)
    connection.close()


def relay_rows(count: int, folder: Path) -> Iterator[Row]:
    """Measure a server of the socket backend, encrypted, that has one core to itself."""
    from tests.relays import ServerProcess

    servers: list[ServerProcess] = []

    def serve(number: int) -> str:
        """Start a server over a new store, in place of the last one, and return its URI."""
        while servers:
            servers.pop().stop()
        server = ServerProcess(f"file:{folder}/served{number}.json", security_layer="AES")
        os.sched_setaffinity(server.process.pid, {max(os.sched_getaffinity(0))})
        servers.append(server)
        return server.uri(spool=f"{folder}/spool")

    yield from forwarding_rows("socket", count // 4, folder, serve, 50_000)
    said = run_measure("guarded", count // 500, folder, serve(ATTEMPTS)).said
    note = f"median; {said['speed']:,.0f} calls/s"
    yield Row("  fetch_and_update_trial", said["median_ms"], "ms", 2, note)
    servers.pop().stop()
