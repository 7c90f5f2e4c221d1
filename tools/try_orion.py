"""Run Oríon's own Track storage on every kind of store, and print a table of what was checked.

``make orion`` installs Oríon 0.2.7 and this package into an environment of their own and runs this
there. Oríon is the client here, unchanged: it decides which calls are made, and in which form.
The exit code is 1 when a check failed; how it failed is said below the table.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from itertools import count
from multiprocessing import get_context, set_forkserver_preload
from pathlib import Path
from typing import Any

import orion.core
from orion.client import build_experiment
from orion.core.io.database import DuplicateKeyError
from orion.core.worker.trial import Trial
from orion.storage.base import FailedUpdate

from tests.databases import uri_of
from tests.relays import served
from track import TrackClient
from track.utils import ItemNotFound

WORKERS = 4
RUSH = 12

numbers = count()


def with_objective(uri: str) -> str:
    """Return the URI that Oríon is given: it says which metric is the objective."""
    return uri + ("&" if "?" in uri else "?") + "objective=loss"


class Search:
    """An experiment of Oríon with a few trials, and the storage it is in.

    Parameters
    ----------
    uri
        of the store
    name
        of the experiment; a process that is given one joins it
    trials
        how many to register
    """

    def __init__(self, uri: str, name: str | None = None, trials: int = 0) -> None:
        self.uri = uri
        self.name = name or f"experiment {next(numbers)}"
        config = {"type": "track", "uri": with_objective(uri)}
        self.client = build_experiment(self.name, space={"x": "uniform(0, 1)"}, storage=config)
        self.id = self.client.id
        self.storage = self.client.storage
        self.trials = [self.register(index) for index in range(trials)]

    def register(self, index: int) -> Any:
        """Add a trial that nobody has taken yet."""
        # Oríon names trials by their parameters alone, so no two experiments may try the same.
        x = int(self.name.split()[-1]) / 100 + index / 1000
        params = [{"name": "x", "type": "real", "value": x}]
        return self.storage.register_trial(Trial(experiment=self.id, params=params))

    def reserve(self) -> Any:
        """Take the next trial, None when there is none left."""
        return self.storage.reserve_trial(self)

    def give_back_lost(self) -> None:
        """Free the trials of workers that are gone, as Oríon's workers do before they reserve."""
        for trial in self.storage.fetch_lost_trials(self):
            self.storage.set_trial_status(trial, "interrupted", was="reserved")

    def statuses(self) -> Counter[str]:
        """Count the trials by status."""
        return Counter(trial.status for trial in self.storage.fetch_trials(uid=self.id))


def expect(error: type[Exception], call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Make sure that a call raises."""
    try:
        call(*args, **kwargs)
    except error:
        return
    raise AssertionError(f"{call.__name__} did not raise {error.__name__}")


def run_script(uri: str, search: Search, trial: Any, *, in_block: bool = False) -> None:
    """Do what a training script does: find its trial in the environment, and log to it."""
    names = {
        "ORION_PROJECT": search.name,
        "ORION_EXPERIMENT": search.id,
        "ORION_TRIAL_ID": trial.id,
    }
    os.environ.update(names)
    try:
        client = TrackClient(uri)
        with ExitStack() as block:
            if in_block:
                block.enter_context(client)
            for step in range(3):
                client.log_metrics(step=step, loss=trial.params["x"] + 1 / (step + 1))
        client.close()
    finally:
        for name in names:
            del os.environ[name]


# The checks: what the table says of each is its first line.


def check_create(uri: str) -> None:
    """Create an experiment, and refuse the second of that name and version."""
    search = Search(uri)
    (config,) = search.storage.fetch_experiments({"name": search.name})
    assert (config["_id"], config["version"], config["space"]["x"]) == (
        search.id,
        1,
        "uniform(0, 1)",
    )
    expect(DuplicateKeyError, search.storage.create_experiment, dict(config, name=search.name))
    made = search.storage.create_experiment(dict(config, name=search.name, version=2))
    assert made["_id"] != search.id
    assert len(search.storage.fetch_experiments({"name": search.name})) == 2


def check_fetch_experiments(uri: str) -> None:
    """Fetch experiments by name, by id and by metadata."""
    search = Search(uri)
    other = Search(uri)
    fetch = search.storage.fetch_experiments
    user = fetch({"name": search.name})[0]["metadata"]["user"]
    assert [found["_id"] for found in fetch({"_id": search.id})] == [search.id]
    assert {search.id, other.id} <= {found["_id"] for found in fetch({"metadata.user": user})}
    assert fetch({"name": "nobody"}) == fetch({"_id": "none"}) == []


def check_update_experiment(uri: str) -> None:
    """Update an experiment, join it from elsewhere, and refuse an unknown one."""
    search = Search(uri)
    search.storage.update_experiment(uid=search.id, max_trials=7, refers={"root_id": search.id})
    joined = Search(uri, search.name)
    assert joined.id == search.id
    (config,) = joined.storage.fetch_experiments({"name": search.name})
    assert (config["max_trials"], config["refers"]["root_id"]) == (7, search.id)
    expect(ItemNotFound, search.storage.update_experiment, uid="unknown", max_trials=1)


def check_register(uri: str) -> None:
    """Register trials with their parameters and dates, each once."""
    search = Search(uri)
    before = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(seconds=1)
    trial = search.register(5)
    x = trial.storage.parameters["x"]
    assert (trial.params, trial.status, trial.heartbeat) == ({"x": x}, "new", None)
    assert before <= trial.submit_time <= before + timedelta(minutes=5)
    expect(DuplicateKeyError, search.register, 5)
    assert search.storage.get_trial(uid=trial.id).to_dict() == trial.to_dict()
    assert search.storage.get_trial(uid="unknown_0") is None


def check_fetch_trials(uri: str) -> None:
    """Fetch trials by experiment, status and condition, and count them."""
    search, other = Search(uri, trials=4), Search(uri, trials=1)
    storage, trials = search.storage, search.trials
    for trial, status in zip(trials, ("completed", "broken", "interrupted"), strict=False):
        storage.set_trial_status(trial, "reserved", was="new")
        storage.set_trial_status(trial, status, was="reserved")
    ids = [trial.id for trial in trials]
    assert [trial.id for trial in storage.fetch_trials(uid=search.id)] == ids
    assert [trial.id for trial in storage.fetch_trials(uid=other.id)] == [other.trials[0].id]
    assert [trial.id for trial in storage.fetch_pending_trials(search)] == ids[2:]
    assert [trial.uid for trial in storage.fetch_noncompleted_trials(search)] == ids[1:]
    assert [trial.id for trial in storage.fetch_trials_by_status(search, "new")] == ids[3:]
    where = {"status": {"$in": ["completed", "broken"]}}
    assert [trial.id for trial in storage.fetch_trials(uid=search.id, where=where)] == ids[:2]
    assert (storage.count_completed_trials(search), storage.count_broken_trials(search)) == (1, 1)


def check_set_status(uri: str) -> None:
    """Set a status only if it still is what it was."""
    search = Search(uri, trials=1)
    (trial,) = search.trials
    late = search.storage.get_trial(uid=trial.id)
    search.storage.set_trial_status(trial, "reserved", was="new")
    expect(FailedUpdate, search.storage.set_trial_status, late, "broken", was="new")
    expect(ValueError, search.storage.set_trial_status, trial, "nonsense")
    assert search.statuses() == {"reserved": 1}


def check_update_trials(uri: str) -> None:
    """Update one trial, and all that match."""
    search = Search(uri, trials=3)
    storage, (first, *_) = search.storage, search.trials
    assert storage.update_trial(uid=first.id, status="broken", worker="me") == 1
    end = datetime(2020, 2, 29, 1, 2, 3)  # noqa: DTZ001 - Oríon's times are naive
    assert storage.update_trials(uid=search.id, where={"status": "new"}, end_time=end) == 2
    found = storage.fetch_trials(uid=search.id)
    assert [trial.status for trial in found] == ["broken", "new", "new"]
    assert found[0].to_dict()["worker"] == "me"
    assert [trial.end_time for trial in found[1:]] == [end, end]


def check_reserve(uri: str) -> None:
    """Reserve pending trials, oldest first, until there is none."""
    search = Search(uri, trials=3)
    reserved = [search.reserve() for _ in range(3)]
    assert [trial.id for trial in reserved] == [trial.id for trial in search.trials]
    assert search.reserve() is None
    search.storage.set_trial_status(reserved[1], "suspended", was="reserved")
    again = search.reserve()
    assert (again.id, again.status) == (reserved[1].id, "reserved")


def check_heartbeat(uri: str) -> None:
    """Tell lost trials by their heartbeat, and give them to somebody else."""
    search = Search(uri, trials=2)
    alive, lost = search.reserve(), search.reserve()
    for trial in (alive, lost):
        search.storage.update_heartbeat(trial)
    assert search.storage.fetch_lost_trials(search) == []
    long_ago = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(hours=1)
    search.storage.update_trial(uid=lost.id, heartbeat=long_ago)
    assert [trial.id for trial in search.storage.fetch_lost_trials(search)] == [lost.id]
    search.give_back_lost()
    assert search.statuses() == {"reserved": 1, "interrupted": 1}
    assert search.reserve().id == lost.id


def check_results(uri: str) -> None:
    """Find the objective that a training script logged."""
    search = Search(uri, trials=2)
    trial = search.reserve()
    run_script(uri, search, trial)
    found = search.storage.retrieve_result(trial)
    assert found.objective.value == trial.params["x"] + 1 / 3
    search.storage.set_trial_status(trial, "completed", was="reserved")
    in_block = search.reserve()
    run_script(uri, search, in_block, in_block=True)
    assert search.storage.count_completed_trials(search) == 2
    (_, result) = search.storage.fetch_trials(uid=search.id)
    assert [(one.name, one.type, one.value) for one in result.results] == [
        ("loss", "objective", result.params["x"] + 1 / 3)
    ]


def check_pickled(uri: str) -> None:
    """Hand a storage to another process."""
    search = Search(uri, trials=1)
    storage = pickle.loads(pickle.dumps(search.storage))  # noqa: S301 - our own
    assert storage.fetch_trials(uid=search.id)[0].id == search.trials[0].id
    ((found, status),) = in_processes(reserve_one, 1, uri, search.name)
    assert (found, status) == (search.trials[0].id, "reserved")


def check_rush(uri: str) -> None:
    """Have twelve processes reserve from nine trials, and register the same one."""
    search = Search(uri, trials=9)
    reserved = [found for found, _ in in_processes(reserve_one, RUSH, uri, search.name)]
    assert Counter(reserved) == {None: 3, **{trial.id: 1 for trial in search.trials}}
    assert sum(in_processes(register_one, RUSH, uri, search.name)) == 1


def check_search(uri: str) -> None:
    """Run a search with four workers, one of which is killed on its way."""
    search = Search(uri, trials=9)
    context = get_context("forkserver")
    holding, victim_holds = context.Pipe(duplex=False)
    victim = context.Process(target=hold_one, args=(uri, search.name, victim_holds))
    victim.start()
    held = holding.recv()
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    assert search.storage.get_trial(uid=held).status == "reserved"
    orion.core.config.worker.heartbeat = 0  # whatever nobody works on now is lost
    try:
        search.give_back_lost()
    finally:
        orion.core.config.worker.heartbeat = 120
    done = [uid for uids in in_processes(work, WORKERS, uri, search.name) for uid in uids]
    assert Counter(done) == {trial.id: 1 for trial in search.trials}
    assert search.statuses() == {"completed": 9}
    for trial in search.storage.fetch_trials(uid=search.id):
        assert trial.objective.value == trial.params["x"] + 1 / 3


# What the processes of a check do.


def in_processes(task: Callable[..., Any], number: int, *args: Any) -> list[Any]:
    """Run a function in fresh processes at once, and return what each returned."""
    with get_context("forkserver").Pool(number) as pool:
        return pool.starmap(task, [args] * number, chunksize=1)


def reserve_one(uri: str, name: str) -> tuple[str | None, str | None]:
    """Reserve a trial."""
    trial = Search(uri, name).reserve()
    return (None, None) if trial is None else (trial.id, trial.status)


def register_one(uri: str, name: str) -> bool:
    """Register a trial that everybody registers; whether it was this process that did."""
    try:
        Search(uri, name).register(9)
    except DuplicateKeyError:
        return False
    return True


def hold_one(uri: str, name: str, connection: Any) -> None:
    """Reserve a trial, log a little, say which one it is, and never end."""
    search = Search(uri, name)
    trial = search.reserve()
    search.storage.update_heartbeat(trial)
    TrackClient(uri).set_trial(uid=trial.id).log_metrics(step=0, loss=0.0)
    connection.send(trial.id)
    signal.pause()


def work(uri: str, name: str) -> list[str]:
    """Run trials until there is none left, and return which."""
    search, done = Search(uri, name), []
    while trial := search.reserve():
        search.storage.update_heartbeat(trial)
        run_script(uri, search, trial)
        search.storage.retrieve_result(trial)
        search.storage.update_heartbeat(trial)
        search.storage.set_trial_status(trial, "completed", was="reserved")
        done.append(trial.id)
    return done


# The stores


@contextmanager
def open_socket(folder: Path) -> Iterator[str]:
    """Serve a file, with AES in between."""
    with served(f"file:{folder}/served.json", security_layer="AES") as running:
        yield running.uri(spool=folder / "spool")


@contextmanager
def open_sql(folder: Path) -> Iterator[str]:
    """Start a PostgreSQL."""
    yield uri_of("postgres", "orion", spool=folder / "spool")


@contextmanager
def open_file(folder: Path) -> Iterator[str]:
    """Name a file."""
    yield f"file:{folder}/store.json"


@contextmanager
def open_lmdb(folder: Path) -> Iterator[str]:
    """Name an environment of LMDB."""
    yield f"lmdb:{folder}/store.lmdb"


STORES = {"file": open_file, "lmdb": open_lmdb, "socket": open_socket, "postgres": open_sql}

CHECKS = [value for name, value in globals().items() if name.startswith("check_")]


def try_check(check: Callable[[str], None], uri: str) -> str:
    """Run a check, and return how it failed, if it did."""
    try:
        check(uri)
    except Exception:  # noqa: BLE001 - whatever it is, the table shows it
        return traceback.format_exc()
    return ""


def main(names: list[str]) -> int:
    """Try the stores of some names, or all; return the exit code."""
    logging.disable(logging.WARNING)
    os.environ["TRACK_LOG_FILE_MISSING_REPORT"] = "start_over"  # as Oríon's own tests need it
    set_forkserver_preload(["__main__"])  # importing Oríon takes seconds
    names = names or list(STORES)
    failures = []
    say(" ".join(f"{name:10}" for name in names))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="track-orion-")))
        uris = [stack.enter_context(STORES[name](folder)) for name in names]
        for check in CHECKS:
            said = [try_check(check, uri) for uri in uris]
            what = str(check.__doc__).rstrip(".").lower()
            marks = " ".join(f"{'FAILED' if how else 'ok':10}" for how in said)
            say(f"{marks} {what}")
            for name, how in zip(names, said, strict=True):
                if how:
                    failures.append(f"{name}: {what}\n{how}")
    for failure in failures:
        say(f"\n{failure}")
    return 1 if failures else 0


def say(line: str) -> None:
    """Write a line to the standard output."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
