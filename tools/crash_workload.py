"""Kill processes that log, at random moments, and prove that nothing acknowledged was lost.

Run it as ``python tools/crash_workload.py [--rounds 100] [--seed 1] [--mode lmdb-client]``. In
each round two writers log into one new store and note each call that returned; both are killed by
SIGKILL. A checker then reads the store: every acknowledged call must be there once, in order, and
besides them at most the one call of each writer that was under way. Then the next writer must be
able to use the store. The exit code is 1 when a round fails; its seed reproduces the work, though
not the very moment.

With ``--uri postgres://user@host/database`` (or ``CRASH_URI`` in the environment) the mode
``database`` kills clients of that server, each round in a log of its own. What they could not send
is left in their spools: the checker is the next client.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import track  # noqa: E402 - of this repository, whatever is installed
from track import TrackClient  # noqa: E402
from track.attachments.media import MOST_BESIDE_CONTENTS  # noqa: E402
from track.errors import TrackError  # noqa: E402
from track.events.codec import Encoder  # noqa: E402
from track.events.scan import Damage  # noqa: E402
from track.events.types import (  # noqa: E402
    AlertRaised,
    ArtifactLogged,
    MediaLogged,
    MetadataLogged,
    MetricsLogged,
    Recorded,
    TrialCreated,
)
from track.journals.file import FileJournal  # noqa: E402
from track.journals.journal import Durability  # noqa: E402
from track.journals.lmdb import LMDBJournal  # noqa: E402
from track.journals.local import JournalOnDisk  # noqa: E402
from track.journals.producer import Producer  # noqa: E402
from track.persistence import get_protocol  # noqa: E402

WRITERS = (1, 2)
NEXT_WRITER = 3
GROUP = 3
"""Events of one append, every tenth time."""

CONTENT = 1000
"""The bytes of a logged file, times the number of the call."""

LONGEST_LIFE_S = 0.05
"""A writer is killed within this time after its first acknowledgement."""

LONGEST_LIFE_OF_CLIENTS_S = 0.4
"""The same where events travel in batches, some time after they were acknowledged."""

PACE_S = 0.001
"""Between two calls, there: so that some of them travel before the end."""

URI = "CRASH_URI"
"""Names the database in the environment, for the writers, too."""


class Lost(Exception):
    """What a journal holds is not what was acknowledged."""


class Outcome(NamedTuple):
    """What a round did."""

    acknowledged: int
    in_flight: int
    torn: int


def values_of(writer: int, call: int) -> dict[str, Any]:
    """Return what a call logs: small as a rule, sometimes so large that a kill can tear it."""
    size = 2**19 if call % 41 == 40 else call * 7919 % 200  # noqa: PLR2004 - any rare remainder does
    return {"writer": writer, "loss": call / 7, "pad": "x" * size}


# The writers, each in a process that is killed


def log_to_journal(mode: Mode, folder: Path, writer: int, calls: Iterator[int]) -> Iterator[int]:
    """Log through a journal and a producer; yield each call that was acknowledged."""
    journal = mode.journal(folder / mode.file)
    producer = Producer(journal)
    encode = Encoder().encode
    identity = int.from_bytes(os.urandom(8), "big") >> 1
    for call in calls:
        if call % 10 == 9:  # noqa: PLR2004 - every tenth
            fields = [call, values_of(writer, call), None]
            first = call * GROUP
            journal.append(
                [
                    encode(MetricsLogged, fields, writer, identity, first + part, time.time_ns())
                    for part in range(GROUP)
                ]
            )
        else:
            producer.record(writer, MetricsLogged(call, values_of(writer, call), None))
        yield call
    journal.close()


def log_to_client(mode: Mode, folder: Path, writer: int, calls: Iterator[int]) -> Iterator[int]:
    """Log as a training script does; yield each call that was acknowledged."""
    client = TrackClient(mode.uri(folder))
    client.set_project(name="crash")
    trial = client.new_trial(parameters={"writer": writer})
    trial.start()
    trial.log_output()
    for call in calls:
        print("call", call, flush=True)
        if call % 10 == 7:  # noqa: PLR2004 - every tenth
            file = folder / f"logged.{writer}"
            file.write_bytes(bytes([writer]) * call * CONTENT)
            trial.log_file(file)
            trial.log_text("note", "m" * (MOST_BESIDE_CONTENTS + call))
            trial.log_artifact(file, f"model-{writer}")
            trial.alert("call", str(call))
        trial.log_metrics(step=call, **values_of(writer, call))
        yield call
    trial.finish()


def log_to_database(mode: Mode, folder: Path, writer: int, calls: Iterator[int]) -> Iterator[int]:
    """Log as a training script does, at its pace; yield each call that was acknowledged."""
    for call in log_to_client(mode, folder, writer, calls):
        yield call
        time.sleep(PACE_S)


class Mode(NamedTuple):
    """What is written to, and how."""

    log: Callable[[Mode, Path, int, Iterator[int]], Iterator[int]]
    journal: Callable[[Path, Durability], JournalOnDisk]
    file: str
    """In which the journal is."""

    longest_life_s = LONGEST_LIFE_S

    def uri(self, folder: Path) -> str:
        """Return the URI of the store."""
        if self.journal is LMDBJournal:
            return f"lmdb:{folder / self.file}"
        return f"file:{folder / self.file.removesuffix('.journal')}"

    def read(self, folder: Path) -> tuple[list[Recorded], list[Damage]]:
        """Return what the store holds, and what of it cannot be read."""
        journal = self.journal(folder / self.file, "process")
        events = list(journal.read())
        journal.close()
        return events, journal.damage

    @property
    def of_clients(self) -> bool:
        """Whether there are trials, as training scripts make them."""
        return self.log is not log_to_journal


class DatabaseMode(Mode):
    """Clients of a database; the journals on this disk are those of their spools."""

    longest_life_s = LONGEST_LIFE_OF_CLIENTS_S

    def uri(self, folder: Path) -> str:
        uri = os.environ[URI]
        return f"{uri}{'&' if '?' in uri else '?'}log={folder}&spool={folder / self.file}"

    def read(self, folder: Path) -> tuple[list[Recorded], list[Damage]]:
        store = get_protocol(self.uri(folder))
        store.commit()
        events = list(store.events())
        store.close()
        if [item.position for item in events] != list(range(1, len(events) + 1)):
            raise Lost("positions have gaps")
        return events, []


MODES = {
    "journal": Mode(log_to_journal, FileJournal, "store.journal"),
    "client": Mode(log_to_client, FileJournal, "store.json.journal"),
    "lmdb-journal": Mode(log_to_journal, LMDBJournal, "store.lmdb"),
    "lmdb-client": Mode(log_to_client, LMDBJournal, "store.lmdb"),
}

DATABASE = "database"
EVERY_MODE = MODES | {DATABASE: DatabaseMode(log_to_database, FileJournal, "spool")}
"""Those on this disk, and one that needs a server."""


def write_until_killed(mode: str, folder: Path, writer: int) -> None:
    """Log for ever, and note each acknowledged call in a file, by one byte."""
    notes = os.open(notes_of(folder, writer), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    how = EVERY_MODE[mode]
    for _ in how.log(how, folder, writer, iter(range(10**9))):
        os.write(notes, b".")


def notes_of(folder: Path, writer: int) -> Path:
    """Return the file in which a writer notes what was acknowledged."""
    return folder / f"acknowledged.{writer}"


def acknowledged(folder: Path, writer: int) -> int:
    """Return how many calls of a writer returned."""
    notes = notes_of(folder, writer)
    return notes.stat().st_size if notes.exists() else 0


def run_and_kill(mode: str, folder: Path, chance: random.Random) -> None:
    """Start the writers, and kill each at a moment of its own."""
    command = [sys.executable, __file__, "--write", mode, "--folder", str(folder), "--writer"]
    processes = {
        writer: subprocess.Popen([*command, str(writer)], stdout=subprocess.DEVNULL)
        for writer in WRITERS
    }
    deadlines: dict[int, float] = {}
    longest_s = EVERY_MODE[mode].longest_life_s
    while processes:
        for writer, process in list(processes.items()):
            if process.poll() is not None:
                raise Lost(f"writer {writer} ended by itself, with {process.returncode}")
            if writer not in deadlines and acknowledged(folder, writer):
                deadlines[writer] = time.monotonic() + chance.uniform(0, longest_s)
            if writer in deadlines and time.monotonic() >= deadlines[writer]:
                process.kill()
                process.wait()
                del processes[writer]
        time.sleep(0.0005)


# The checker


def writers_in(events: list[Recorded]) -> dict[int, int]:
    """Return the writer of each stream of a trial."""
    return {
        item.stream: item.event.parameters["writer"]
        for item in events
        if isinstance(item.event, TrialCreated)
    }


def events_by_writer(mode: Mode, events: list[Recorded]) -> dict[int, list[MetricsLogged]]:
    """Return the metrics that each writer logged, in the order of the journal."""
    writers = writers_in(events)
    found = defaultdict(list)
    for item in events:
        if isinstance(item.event, MetricsLogged):
            writer = writers[item.stream] if mode.of_clients else item.stream
            found[writer].append(item.event)
    return found


def calls_of(mode: Mode, writer: int, events: list[MetricsLogged]) -> list[int]:
    """Return the calls behind a writer's events, each checked for what it should hold."""
    calls: list[int] = []
    index = 0
    while index < len(events):
        call = events[index].step
        size = 1 if mode.of_clients or call % 10 != 9 else GROUP  # noqa: PLR2004 - every tenth
        expected = MetricsLogged(call, values_of(writer, call), None)
        if events[index : index + size] != [expected] * size:
            raise Lost(f"call {call} of writer {writer} is not what was logged, or not whole")
        calls.append(call)
        index += size
    return calls


def check(mode: Mode, folder: Path) -> Outcome:
    """Compare what the store holds with what was acknowledged.

    Raises
    ------
    Lost
        something is missing, invented, repeated or out of order
    """
    events, damage = mode.read(folder)
    twice = [
        who
        for who, n in Counter((item.producer, item.sequence) for item in events).items()
        if n > 1
    ]
    if twice:
        raise Lost(f"recorded twice: {twice}")
    if any(piece.reason != "torn" for piece in damage):
        raise Lost(f"damaged by a kill: {damage}")
    found = events_by_writer(mode, events)
    total = in_flight = 0
    for writer in (*WRITERS, NEXT_WRITER):
        count = acknowledged(folder, writer)
        calls = calls_of(mode, writer, found.pop(writer, []))
        if calls != list(range(len(calls))) or not count <= len(calls) <= count + 1:
            raise Lost(f"writer {writer}: {count} calls acknowledged, found {calls}")
        if mode.of_clients:
            check_beside(writer, len(calls), events)
        total += count
        in_flight += len(calls) - count
    if found:
        raise Lost(f"invented: {found}")
    if mode.of_clients:
        check_contents(mode, folder, events)
    return Outcome(total, in_flight, len(damage))


def check_beside(writer: int, calls: int, events: list[Recorded]) -> None:
    """Compare what was logged beside the metrics of some calls, which comes before these metrics.

    Raises
    ------
    Lost
        something is missing or invented
    """
    [stream] = [stream for stream, whose in writers_in(events).items() if whose == writer] or [None]
    own = [item.event for item in events if item.stream == stream]
    alerts = [int(event.text) for event in own if isinstance(event, AlertRaised)]
    artifacts = [event for event in own if isinstance(event, ArtifactLogged)]
    due = range(7, calls, 10)
    for found in (alerts, artifacts):
        if not len(due) <= len(found) <= len(due) + 1:
            raise Lost(f"writer {writer}: {len(due)} alerts and artifacts are due, found {found}")
    if alerts != list(range(7, 10 * len(alerts), 10)):
        raise Lost(f"writer {writer} raised the alerts {alerts}")


def check_contents(mode: Mode, folder: Path, events: list[Recorded]) -> None:
    """Read the content of every file that was logged.

    Raises
    ------
    Lost
        one is missing, or not what was logged
    """
    logged = [item.event.values for item in events if isinstance(item.event, MetadataLogged)]
    logged += [
        {"note": medium}
        for item in events
        if isinstance(item.event, MediaLogged)
        for medium in item.event.values["note"]
    ]
    logged += [item.event.files for item in events if isinstance(item.event, ArtifactLogged)]
    with track.open(mode.uri(folder)) as reader:
        for facts in (value for values in logged for value in values.values()):
            try:
                with reader.protocol.content.open(facts["sha256"]) as content:
                    size = content.seek(0, os.SEEK_END)
            except TrackError as error:
                raise Lost(f"a content was lost: {error}") from error
            if size != facts["size"]:
                raise Lost(f"{facts} has {size} bytes")


def use_the_store(mode: Mode, folder: Path) -> None:
    """Be the next writer, and read everything back as users do."""
    count = 12
    with redirect_stdout(StringIO()):
        for _ in mode.log(mode, folder, NEXT_WRITER, iter(range(count))):
            with notes_of(folder, NEXT_WRITER).open("ab") as notes:
                notes.write(b".")
    if mode.of_clients:
        store = get_protocol(mode.uri(folder))
        trials = store.fetch_trials({})
        steps = {trial.parameters["writer"]: list(trial.metrics["loss"]) for trial in trials}
        for writer in (*WRITERS, NEXT_WRITER):
            if steps[writer][: acknowledged(folder, writer)] != list(
                range(acknowledged(folder, writer))
            ):
                raise Lost(f"the trial of writer {writer} shows steps {steps[writer]}")
        store.commit(file_name_override=str(folder / "report.json"))
        [project] = json.loads((folder / "report.json").read_text())
        if len(project["trials"]) != len(WRITERS) + 1:
            raise Lost("the report misses a trial")


def run_round(mode: str, folder: Path, seed: int) -> Outcome:
    """Kill writers of a new store, check it, go on with it, and check again."""
    run_and_kill(mode, folder, random.Random(seed))  # noqa: S311 - moments, not secrets
    outcome = check(EVERY_MODE[mode], folder)
    use_the_store(EVERY_MODE[mode], folder)
    check(EVERY_MODE[mode], folder)
    return outcome


def main(arguments: list[str]) -> int:
    """Run rounds and print what they did; return the exit code."""
    parser = ArgumentParser(description="kill processes that log, and check what is left")
    parser.add_argument("--rounds", type=int, default=20, help="of each mode")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--mode", choices=EVERY_MODE, action="append")
    parser.add_argument("--uri", default=os.environ.get(URI), help=f"for the mode {DATABASE}")
    parser.add_argument("--write", choices=EVERY_MODE, help="be a writer, in this mode")
    parser.add_argument("--folder", type=Path, help="of the store to write to")
    parser.add_argument("--writer", type=int, help="which writer to be")
    options = parser.parse_args(arguments)
    if options.write:
        write_until_killed(options.write, options.folder, options.writer)
    if options.uri:
        os.environ[URI] = options.uri
    elif DATABASE in (options.mode or ()):
        parser.error(f"the mode {DATABASE} needs --uri")
    failures = 0
    for mode in options.mode or (EVERY_MODE if options.uri else MODES):
        outcomes = [Outcome(0, 0, 0)]
        for seed in range(options.seed, options.seed + options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    outcomes.append(run_round(mode, Path(folder), seed))
                except Lost as error:
                    failures += 1
                    print(f"{mode}, seed {seed}: {error}")
        total = Outcome(*map(sum, zip(*outcomes, strict=True)))
        print(
            f"{mode}: {len(outcomes) - 1} of {options.rounds} rounds good; {total.acknowledged} "
            "calls acknowledged, all found once and in order; besides them "
            f"{total.in_flight} that were under way, and {total.torn} torn records"
        )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
