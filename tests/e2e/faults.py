"""What the tests of databases that fail have in common: servers, logs in them, and what must be so.

At the end of each of these tests every acknowledged event is in the table once, positions have no
gaps, and the report is the one that a store in a file makes of the same events.
"""

from __future__ import annotations

import logging
import socket
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from tests.databases import PostgresServer, sql_journal, uri_of
from tests.e2e.stores import STUCK_S, open_store
from track.contents.store import ContentStore
from track.contents.table import TableContents
from track.errors import ConcurrentWrite, JournalUnreachable, StorageWarning
from track.events.codec import decode, identify
from track.events.types import MetricsLogged, Recorded, StatusChanged, TrialCreated
from track.journals.file import FileJournal
from track.persistence import get_protocol
from track.structure import Project, Status, Trial

COMMON = "common"
"""The hash that all workers make trials of, one revision after the other."""


class Place:
    """A log of a database, as some clients of this machine share it.

    Parameters
    ----------
    kind
        of database
    folder
        for spools and reports
    port
        of the server, unless it is the shared one
    """

    def __init__(self, kind: str, folder: Path, port: int | None = None) -> None:
        self.kind = kind
        self.log = str(folder)[-255:]
        self.spool = folder / "spool"
        self._folder = folder
        self._port = port

    def uri(self, port: int | None = None, **options: Any) -> str:
        """Return the URI of the store, which may be reached through a proxy."""
        return uri_of(self.kind, self.log, port or self._port, spool=self.spool, **options)

    def files(self) -> list[str]:
        """Return the names of the files of all spools."""
        return sorted(path.name for path in self.spool.rglob("*") if path.is_file())

    def rows(self) -> list[bytes]:
        """Return the payloads of the log, which is sound, in their order."""
        journal = sql_journal(self.kind, self.log, self._port)
        positions, payloads = [], []
        for some_positions, some_payloads in journal.read_batches():
            positions += some_positions
            payloads += some_payloads
        assert positions == list(range(1, journal.head() + 1))
        last: dict[int, int] = {}
        for producer, sequence in filter(None, map(identify, payloads)):
            assert sequence > last.get(producer, 0), "a producer's events are there once, in order"
            last[producer] = sequence
        noted = journal.ask("SELECT producer, last_sequence FROM producers WHERE log = %(log)s")
        assert dict(noted) == last
        journal.close()
        return payloads

    def check_contents(self, digests: set[str]) -> None:
        """Check that the contents with some SHA-256 are there, as they were kept."""
        with closing(sql_journal(self.kind, self.log, self._port)) as journal:
            open_all(TableContents(journal), digests)

    def events(self) -> list[Recorded]:
        """Return the events of the log, of which each producer's are there once, in order."""
        return [decode(position, payload) for position, payload in enumerate(self.rows(), 1)]

    def check(self, uri: str) -> None:
        """Check the table of the log, and its report against that of the same events in a file."""
        store = open_store(uri)
        store.commit(str(self._folder / "of-database.json"))
        store.close()
        path = self._folder / "of-file.json"
        path.write_text("[]")  # a store that begins has one
        journal = FileJournal(f"{path}.journal", "process")
        for payload in self.rows():
            journal.append([payload])
        journal.close()
        file = get_protocol(f"file:{path}")
        file.commit()
        file.close()
        report = (self._folder / "of-database.json").read_bytes()
        assert len(report) > len(b"[]")
        assert report == path.read_bytes()


def open_all(store: ContentStore, digests: set[str]) -> None:
    """Open contents, each of which is compared with its SHA-256."""
    for digest in digests:
        store.open(digest).close()


def steps_of(events: list[Recorded]) -> dict[str, list[int]]:
    """Return the steps that were logged to each trial, in the order of the journal."""
    hashes = {r.stream: r.event.hash for r in events if isinstance(r.event, TrialCreated)}
    steps: dict[str, list[int]] = {}
    for recorded in events:
        if isinstance(recorded.event, MetricsLogged):
            steps.setdefault(hashes[recorded.stream], []).append(recorded.event.step)
    return steps


def patience() -> Iterator[None]:
    """Go round a loop until it is left; or for so long that what it waits for never comes."""
    deadline = time.monotonic() + STUCK_S
    while time.monotonic() < deadline:
        yield
        time.sleep(0.002)
    raise AssertionError("what was waited for did not happen")


def ask(server: PostgresServer, statement: str, *values: Any) -> Any:
    """Return the first row that a statement gives, once the server answers."""
    for _ in patience():
        with suppress(psycopg2.OperationalError), closing(server.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(statement, values)
            return cursor.fetchone()
    raise AssertionError("unreachable")


def wait_for_more(server: PostgresServer, log: str, rows: int = 200) -> None:
    """Wait until some more events are in a log."""
    heads: list[int] = []
    for _ in patience():
        heads += ask(server, "SELECT head FROM logs WHERE name = %s", log)
        if heads[-1] >= heads[0] + rows:
            return


def end(server: PostgresServer) -> None:
    """Kill the server; some parts of it may be gone before it is their turn."""
    with suppress(psutil.NoSuchProcess):
        server.kill()
    server._process.wait()


def wait_until_served(port: int, *, served: bool = True) -> None:
    """Wait until a port of this machine accepts connections, or until it does no more."""
    for _ in patience():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            accepts = False
        else:
            accepts = True
        if accepts == served:
            return


def until_reached(call: Callable[[], Any]) -> Any:
    """Make a call again until the server is reached: connections that are dead must be given up."""
    for _ in range(60):
        with suppress(JournalUnreachable):
            return call()
        time.sleep(0.1)  # a server that was never reached is told of at once
    return call()


def silence() -> None:
    """Let the forwarders of this process warn nobody."""
    logging.getLogger("track.forwarding.forwarder").disabled = True
    warnings.simplefilter("ignore", StorageWarning)


class Worker:
    """Logs and decides in a store that may be away, and notes what each call came to.

    Parameters
    ----------
    uri
        the store
    name
        of the worker, and of its trial
    """

    def __init__(self, uri: str, name: str) -> None:
        self.name = name
        self.steps = 0
        self.outcomes: list[tuple[str, int, str]] = []
        """Of the guarded calls: which kind, which number, and the name of the error, if any."""
        self.made: list[int] = []
        """The revisions of the common trial that were made."""
        self.store = open_store(uri)
        self.store.new_project(Project(name="project"))
        self.trial = self.store.new_trial(Trial(_hash=name, project_id="project"))
        self._sink = self.store.metrics_sink(self.trial)

    def log(self) -> None:
        """Log: whatever happens to the server, this raises nothing."""
        self._sink(self.steps, None, {"loss": self.steps / 7})
        if self.steps % 7 == 0:
            self.store.set_trial_status(self.trial, Status.Running, f"logged {self.steps}")
        self.steps += 1

    def decide(self, number: int) -> None:
        """Make guarded calls, each of which is recorded once, or not at all."""
        self._attempt("update", number, self._update)
        self._attempt("make", number, self._make)

    def _update(self, number: int) -> None:
        self.store.fetch_and_update_trial(
            {"uid": self.trial.uid},
            "set_trial_status",
            status=Status.Running,
            error=f"decided {number}",
        )

    def _make(self, number: int) -> None:
        trial = Trial(_hash=COMMON, project_id="project", tags={"by": f"{self.name}.{number}"})
        made = self.store.new_trial(trial, auto_increment=True)
        assert made is not None
        self.made.append(made.revision)

    def _attempt(self, kind: str, number: int, call: Callable[[int], None]) -> None:
        try:
            call(number)
            self.outcomes.append((kind, number, ""))
        except (ConcurrentWrite, JournalUnreachable) as error:
            self.outcomes.append((kind, number, type(error).__name__))

    def result(self) -> dict[str, Any]:
        """Return what :func:`check_work` wants to know."""
        return {name: getattr(self, name) for name in ("name", "steps", "outcomes", "made")}


def check_work(uri: str, results: list[dict[str, Any]]) -> Counter[str]:
    """Check that what workers did is in a store as they were told; count what calls came to."""
    store = open_store(uri)
    events = list(store.events())
    store.close()
    steps = steps_of(events)
    hashes = {r.stream: r.event.hash for r in events if isinstance(r.event, TrialCreated)}
    texts = Counter(
        (hashes[r.stream], r.event.error) for r in events if isinstance(r.event, StatusChanged)
    )
    commons = [
        r.event for r in events if isinstance(r.event, TrialCreated) and r.event.hash == COMMON
    ]
    assert [event.revision for event in commons] == list(range(len(commons)))
    makers = Counter(event.tags["by"] for event in commons)
    counts: Counter[str] = Counter()
    for result in results:
        name = result["name"]
        assert steps[name] == list(range(result["steps"]))
        for step in range(0, result["steps"], 7):
            assert texts[name, f"logged {step}"] == 1
        for kind, number, error in result["outcomes"]:
            found = (
                makers[f"{name}.{number}"] if kind == "make" else texts[name, f"decided {number}"]
            )
            # Who is told that the server is away is not told whether it was so before or after.
            allowed = {"": {1}, "ConcurrentWrite": {0}, "JournalUnreachable": {0, 1}}[error]
            assert found in allowed, (name, kind, number, error)
            counts[error or "succeeded"] += 1
    revisions = [revision for result in results for revision in result["made"]]
    assert len(set(revisions)) == len(revisions)
    assert sum(counts.values()) == sum(len(result["outcomes"]) for result in results)
    return counts
