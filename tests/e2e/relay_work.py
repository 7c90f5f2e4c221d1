"""What the tests of relays that fail have in common: stores, clients that note what they were told.

At the end of each of these tests every acknowledged event is in the journal of the backend once,
nothing is there that nobody tried to record, and the report is the one that a store in a file makes
of the same events.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import shake_128
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.faults import Place as DatabasePlace
from tests.e2e.faults import open_all, patience, silence, steps_of, until_reached
from tests.e2e.stores import Process, answer, end_if_stuck, open_store, say, wait_for_word
from tests.relays import ServerProcess
from track.contents.folder import FolderContents
from track.errors import (
    ConcurrentWrite,
    InsecureConnection,
    ItemNotFound,
    JournalUnreachable,
    LockTimeout,
)
from track.events.types import MetricsLogged, Recorded, StatusChanged, TrialCreated
from track.journals.file import FileJournal
from track.persistence import get_protocol
from track.structure import CustomStatus, Project, Status, Trial, TrialGroup

LAYERS = ["none", "AES"]
"""Security layers that need nothing but two ends."""

COMMON = "common"
"""The hash that all clients make trials of, one revision after the other."""

NOTHING_DONE = (ItemNotFound, ConcurrentWrite, LockTimeout)
"""What guarded calls raise that were not recorded."""

FREE, TAKEN = CustomStatus("free", 1), CustomStatus("taken", 2)


class Place:
    """A store in a file, that a server stands in front of, and the spools of its clients.

    Parameters
    ----------
    folder
        where all of that is
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.report = folder / "store.json"
        self.backend = f"file:{self.report}"
        self.spool = folder / "spool"

    @property
    def size(self) -> int:
        """Bytes of the journal."""
        path = f"{self.report}.journal"
        return os.path.getsize(path) if os.path.exists(path) else 0

    def files(self) -> list[str]:
        """Return the names of the files of all spools."""
        return sorted(path.name for path in self.spool.rglob("*") if path.is_file())

    def payloads(self) -> list[bytes]:
        """Return what is in the journal, in its order."""
        journal = FileJournal(f"{self.report}.journal", "process")
        payloads = [payload for _, batch in journal.read_batches() for payload in batch]
        journal.close()
        return payloads

    def events(self) -> list[Recorded]:
        """Return the events of the journal, of which each producer's are there once, in order."""
        journal = FileJournal(f"{self.report}.journal", "process")
        events = list(journal.read())
        journal.close()
        last: dict[int, int] = {}
        for recorded in events:
            assert recorded.sequence > last.get(recorded.producer, 0)
            last[recorded.producer] = recorded.sequence
        return events

    def check_contents(self, digests: set[str]) -> None:
        """Check that the contents with some SHA-256 are there, as they were kept."""
        open_all(FolderContents(f"{self.report}.files"), digests)

    def steps(self) -> list[int]:
        """Return all steps that are in the journal, of a store where one trial is logged to."""
        return [r.event.step for r in self.events() if isinstance(r.event, MetricsLogged)]

    def check(self, uri: str) -> None:
        """Check the reports of the server, and of a client, against that of the events in a file.

        Parameters
        ----------
        uri
            of the server, which nobody else records anything in
        """
        store = open_store(uri)
        store.commit(str(self._folder / "of-client.json"))
        store.close()
        path = self._folder / "of-file.json"
        path.write_text("[]")  # a store that begins has one
        journal = FileJournal(f"{path}.journal", "process")
        for payload in self.payloads():
            journal.append([payload])
        journal.close()
        file = get_protocol(f"file:{path}")
        file.commit()
        file.close()
        assert len(path.read_bytes()) > len(b"[]")
        assert path.read_bytes() == self.report.read_bytes()
        assert path.read_bytes() == (self._folder / "of-client.json").read_bytes()


@contextmanager
def serving(place: Place, layer: str = "none", **options: Any) -> Iterator[ServerProcess]:
    """Have a server in a process of its own for the length of a block."""
    server = ServerProcess(place.backend, security_layer=layer, **options)
    try:
        yield server
    finally:
        server.kill()


def wait_for_more(place: Place, size: int = 20_000) -> None:
    """Wait until the journal has grown by some bytes."""
    before = place.size
    for _ in patience():
        if place.size >= before + size:
            return


def stop(server: ServerProcess) -> None:
    """Stop the process of a server, as SIGSTOP does, and return once it stands still."""
    process = psutil.Process(server.process.pid)
    process.suspend()
    for _ in patience():
        if process.status() == psutil.STATUS_STOPPED:
            return


def go_on(server: ServerProcess) -> None:
    """Have a stopped server go on."""
    psutil.Process(server.process.pid).resume()


def fill(uri: str, tasks: int) -> None:
    """Make the project, and trials that are reserved."""
    store = open_store(uri)
    store.new_project(Project(name="project"))
    store.new_trial_group(TrialGroup(_uid="tasks", name="tasks", project_id="project"))
    for number in range(tasks):
        trial = Trial(_hash=f"task{number}", project_id="project", group_id="tasks", status=FREE)
        store.new_trial(trial)
    store.close()


class Notes:
    """What somebody tried, and was told, kept where their death does not reach it.

    Parameters
    ----------
    path
        of the file
    """

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def add(self, *words: Any) -> None:
        """Note something."""
        os.write(self._fd, json.dumps(words).encode() + b"\n")


def content_of(name: str, step: int, limit: int | None) -> bytes:
    """Return what a client keeps at a step: some of them are as large as may be."""
    size = min(1_500_000, limit or 1_500_000) if step % 200 == 0 else 10_000
    return shake_128(f"{name} {step}".encode()).digest(size)


class Client:
    """Logs and decides, whatever happens to the server, and notes what each call came to.

    Parameters
    ----------
    uri
        the server
    notes
        the path of the notes; they have the name of the client, which is that of its trial, too
    """

    def __init__(self, uri: str, notes: str) -> None:
        self.name = Path(notes).name
        self.notes = Notes(notes)
        self.steps = 0
        self.store = open_store(uri)
        self._chance = random.Random(self.name)
        self.trial = Trial(_hash=self.name, project_id="project")
        self.notes.add("try", "born", 0)
        until_reached(lambda: self.store.new_trial(self.trial))
        self.notes.add("did", "born", 0, None)
        self._sink = self.store.metrics_sink(self.trial)

    def log(self) -> None:
        """Log: whatever happens to the server, this raises nothing."""
        step = self.steps
        self._sink(step, None, {"loss": step / 7})
        self.notes.add("logged", step)
        if step % 7 == 0:
            self.notes.add("try", "status", step)
            self.store.set_trial_status(self.trial, Status.Running, f"{self.name} status {step}")
            self.notes.add("did", "status", step, None)
        if step % 50 == 0:
            content = self.store.content
            kept = content.keep_bytes(content_of(self.name, step, content.limit))
            self.notes.add("kept", kept)
        self.steps = step + 1

    def decide(self, number: int) -> None:
        """Make a guarded call, which is recorded once, or not at all."""
        kind = self._chance.choice(["update", "make", "take"])
        self.notes.add("try", kind, number)
        try:
            result = getattr(self, f"_{kind}")(number)
        except (JournalUnreachable, InsecureConnection, *NOTHING_DONE) as error:
            self.notes.add("failed", kind, number, type(error).__name__)
        else:
            self.notes.add("did", kind, number, result)

    def _update(self, number: int) -> None:
        self._set_status({"uid": self.trial.uid}, Status.Running, f"update {number}")

    def _take(self, number: int) -> str:
        return self._set_status({"group_id": "tasks", "status": FREE}, TAKEN, f"take {number}")

    def _set_status(self, query: dict[str, Any], status: Any, text: str) -> str:
        found = self.store.fetch_and_update_trial(
            query, "set_trial_status", status=status, error=f"{self.name} {text}"
        )
        uid: str = found.uid
        return uid

    def _make(self, number: int) -> int:
        by = f"{self.name} make {number}"
        made = self.store.new_trial(
            Trial(_hash=COMMON, project_id="project", tags={"by": by}), auto_increment=True
        )
        assert made is not None
        revision: int = made.revision
        return revision


def log_until(client: Client, told: threading.Event) -> None:
    """Log at the pace of a fast training loop."""
    while not told.wait(0.002):
        client.log()


def work(uri: str, notes: str) -> None:
    """Be a process that logs and decides until it is told to stop."""
    end_if_stuck(110)
    silence()
    client = Client(uri, notes)
    told = threading.Event()
    threading.Thread(target=lambda: (wait_for_word(), told.set()), daemon=True).start()
    say("ready")
    thread = threading.Thread(target=log_until, args=(client, told))
    thread.start()
    number = 0
    while not told.wait(0.01):
        client.decide(number)
        number += 1
    thread.join()
    client.store.close()
    answer(client.steps)


class Crowd:
    """Clients in processes of their own, of which some are killed and others take their place.

    Parameters
    ----------
    start
        starts a function in a process
    uri
        the server
    notes
        the folder for the notes of the clients, which is made
    """

    def __init__(self, start: Callable[..., Process], uri: str, notes: Path) -> None:
        self._start = start
        self._uri = uri
        self._notes = notes
        self._living: deque[Process] = deque()
        self._born = 0
        notes.mkdir()

    def grow(self) -> None:
        """Start one more client; some give up sooner than others."""
        patience_s = 1 if self._born % 4 == 3 else 25
        notes = self._notes / f"client{self._born}"
        self._living.append(self._start(work, f"{self._uri}&timeout={patience_s}", str(notes)))
        self._born += 1

    def lose(self) -> None:
        """Kill the oldest client."""
        self._living.popleft().kill()

    def end(self) -> None:
        """Tell all to end, and wait until they have."""
        for client in self._living:
            client.wait_for("ready")
            client.tell()
        for client in self._living:
            client.end()


def check_work(place: Place | DatabasePlace, notes: Path) -> Counter[str]:
    """Check that what clients noted is what the journal has; count what their calls came to.

    Parameters
    ----------
    place
        whose server, or database, has everything that clients had in their spools
    notes
        the folder of all notes
    """
    events = place.events()
    hashes = {r.stream: r.event.hash for r in events if isinstance(r.event, TrialCreated)}
    results: dict[str, list[Any]] = defaultdict(list)
    """By what was tried, "<name> <kind> <number>": what came of it according to the journal."""
    taken = Counter[str]()
    revisions = []
    for recorded in events:
        event = recorded.event
        if isinstance(event, StatusChanged):
            kind = event.error.split()[1]
            uid = f"{hashes[recorded.stream]}_0" if kind == "take" else None
            taken[str(uid)] += 1
            results[event.error].append(uid)
        elif isinstance(event, TrialCreated) and event.hash == COMMON:
            revisions.append(event.revision)
            results[event.tags["by"]].append(event.revision)
        elif isinstance(event, TrialCreated) and not event.hash.startswith("task"):
            results[f"{event.hash} born 0"].append(None)
    assert revisions == list(range(len(revisions)))
    taken.pop("None", None)
    assert all(uid.startswith("task") for uid in taken)
    assert set(taken.values()) <= {1}, "no trial is taken twice"
    steps = steps_of(events)
    counts = Counter[str]()
    tried: set[str] = set()
    kept: set[str] = set()
    for path in notes.iterdir():
        _check_notes(path, results, steps, counts, tried, kept=kept)
    place.check_contents(kept)
    assert set(results) <= tried, "nothing is invented"
    assert set(steps) <= {path.name for path in notes.iterdir()}
    counts["taken"] = len(taken)
    counts["events"] = len(events)
    return counts


def _check_notes(
    path: Path,
    results: dict[str, list[Any]],
    steps: dict[str, list[int]],
    counts: Counter[str],
    tried: set[str],
    *,
    kept: set[str],
) -> None:
    """Check what one client noted."""
    name, logged = path.name, 0
    outcomes: dict[str, tuple[str, Any]] = {}
    for line in path.read_text().splitlines():
        word, *rest = json.loads(line)
        if word == "logged":
            logged += 1
            continue
        if word == "kept":
            kept.update(rest)
            continue
        kind, number, *result = rest
        outcomes[f"{name} {kind} {number}"] = (word, *result) if result else (word, None)
    # Who is killed may be in the middle of one more call.
    found = steps.get(name, [])
    assert found == list(range(len(found)))
    assert len(found) - logged in (0, 1), (name, len(found), logged)
    counts["logged"] += logged
    for key, (word, result) in outcomes.items():
        tried.add(key)
        recorded = results.get(key, [])
        if word == "did":
            assert recorded == [result], (key, recorded, result)
        else:
            # Whoever was told that the server is away is not told whether it was before or after.
            is_over = result in [kind.__name__ for kind in NOTHING_DONE]
            assert len(recorded) <= (not is_over), (key, recorded, result)
        counts[f"{word} {result}" if word == "failed" else word] += 1


def in_thread(function: Callable[..., None], *arguments: Any) -> threading.Thread:
    """Start a thread, and return it."""
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def pause(chance: random.Random, longest_s: float) -> None:
    """Wait for a while, to be in the middle of something else afterwards."""
    time.sleep(chance.random() * longest_s)
