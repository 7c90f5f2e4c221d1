"""Processes that reserve, release, swap, read and make trials at once, as one after the other.

``TRACK_CONCURRENCY_ROUNDS`` says how often, each time with other random choices.
"""

import os
import random
import threading
import time
from collections import Counter as Tally

import pytest

from tests.e2e.linearizability import (
    Claims,
    Counter,
    Operation,
    Recorder,
    Register,
    Reservations,
    check,
)
from tests.e2e.stores import answer, events_of, open_store, say, wait_for_word
from tests.programs import run_at_once
from track.structure import CustomStatus, Project, Trial, TrialGroup
from track.utils import ItemNotFound

ROUNDS = int(os.environ.get("TRACK_CONCURRENCY_ROUNDS", "1"))

PROCESSES, THREADS, CALLS = 6, 2, 60

START_S = 0.1
"""From the first word to the processes until all of them begin, at once."""

NEW, RESERVED = CustomStatus("new", 1), CustomStatus("reserved", 2)
VALUES = [CustomStatus(name, 1) for name in "abc"]
POOL = [f"pool{number}_0" for number in range(5)]
REGISTERS = ["left_0", "right_0"]
NAMES = range(30)
"""What is claimed: each by several threads, of which one makes it."""


def fill(uri):
    """Make the trials that are reserved, and those whose status is swapped and read."""
    store = open_store(uri)
    store.new_project(Project(name="project"))
    for name in ("pool", "registers"):
        metadata = {"value": VALUES[0].name}
        store.new_trial_group(
            TrialGroup(_uid=name, name=name, project_id="project", metadata=metadata)
        )
    for group, uids, status in (("pool", POOL, NEW), ("registers", REGISTERS, VALUES[0])):
        for uid in uids:
            store.new_trial(trial_of(uid, project_id="project", group_id=group, status=status))
    store.close()


def trial_of(uid, **kwargs):
    return Trial(_hash=uid.removesuffix("_0"), **kwargs)


class Worker:
    """One thread of one process, which makes calls at random and notes them."""

    def __init__(self, store, name):
        self.store = store
        self.random = random.Random(name)
        by_stream = ("pool", "made", "claims", "group", *REGISTERS)
        self.histories = {subject: Recorder(name) for subject in by_stream}
        self.held = []
        self.updates = Tally()
        """How often each trial was changed from here."""

    def run(self, calls):
        actions = [self.reserve, self.reserve, self.release, self.swap, self.read, self.make]
        actions += [self.claim, self.claim, self.swap_group]
        for _ in range(calls):
            self.random.choice([*actions, self.log])()

    def update(self, query, status):
        """Set the status of a trial; return its uid, None if none matched."""
        try:
            found = self.store.fetch_and_update_trial(query, "set_trial_status", status=status)
        except ItemNotFound:
            return None
        self.updates[found.uid] += 1
        return found.uid

    def reserve(self):
        pending = {"group_id": "pool", "status": NEW}
        uid = self.histories["pool"].record(("reserve",), lambda: self.update(pending, RESERVED))
        if uid is not None:
            self.held.append(uid)

    def release(self):
        if not self.held:
            return
        uid = self.held.pop(self.random.randrange(len(self.held)))
        mine = {"uid": uid, "status": RESERVED}
        self.histories["pool"].record(("release", uid), lambda: self.update(mine, NEW) == uid)

    def swap(self):
        uid = self.random.choice(REGISTERS)
        before, after = self.random.sample(VALUES, 2)
        query = {"uid": uid, "status": before}
        call = ("swap", before.name, after.name)
        self.histories[uid].record(call, lambda: self.update(query, after) == uid)

    def read(self):
        uid = self.random.choice(REGISTERS)
        query = {"uid": uid}
        self.histories[uid].record(("read",), lambda: self.store.fetch_trials(query)[0].status.name)

    def make(self):
        trial = Trial(_hash="made", project_id="project")
        self.histories["made"].record(
            ("make",), lambda: self.store.new_trial(trial, auto_increment=True).revision
        )

    def claim(self):
        """Make a project, a group or a trial that somebody else may be making."""
        name = f"{self.random.choice(['project', 'group', 'trial'])} {self.random.choice(NAMES)}"
        self.histories["claims"].record(("claim", name), lambda: self.is_made(name))

    def is_made(self, name):
        if name.startswith("project"):
            project = Project(name=name)
            return self.store.new_project(project) is project
        if name.startswith("group"):
            group = TrialGroup(_uid=name, name=name, project_id="project")
            return self.store.new_trial_group(group) is not None
        return self.store.new_trial(Trial(_hash=name, project_id="project")) is not None

    def swap_group(self):
        before, after = (value.name for value in self.random.sample(VALUES, 2))
        query = {"uid": "registers", "metadata.value": before}

        def swap():
            try:
                self.store.fetch_and_update_group(query, "set_group_metadata", value=after)
            except ItemNotFound:
                return False
            return True

        self.histories["group"].record(("swap", before, after), swap)

    def log(self):
        uid = self.random.choice([*REGISTERS, *POOL])
        self.store.log_trial_metrics(trial_of(uid), loss=0.5)
        self.updates[uid] += 1

    def outcome(self):
        histories = {name: history.operations for name, history in self.histories.items()}
        return {"histories": histories, "updates": self.updates}


def work(uri, shared, name):
    """Be one of the processes: every thread works with a store of its own, or all with one."""
    stores = [open_store(uri) for _ in range(1 if shared else THREADS)]
    workers = [Worker(stores[i % len(stores)], f"{name}.{i}") for i in range(THREADS)]
    threads = [threading.Thread(target=worker.run, args=(CALLS,)) for worker in workers]
    say("ready")
    # Whoever has begun must not be done when the next one begins.
    time.sleep(max(0, float(wait_for_word()) - time.monotonic()))
    run_at_once(threads)
    for store in stores:
        store.close()
    answer([worker.outcome() for worker in workers])


def history_of(outcomes, subject):
    """Return what all threads did with one thing, as operations."""
    return [
        Operation(process, invoked, returned, tuple(call), result)
        for outcome in outcomes
        for process, invoked, returned, call, result in outcome["histories"][subject]
    ]


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("shared", [False, True], ids=["own-clients", "one-client"])
def test_calls_at_once_are_as_if_one_came_after_the_other(uri, start, shared, seed):
    """Every result makes sense in some order of the calls, and no change of a trial is lost."""
    fill(uri)
    processes = [start(work, uri, shared, f"{seed}.{number}") for number in range(PROCESSES)]
    for process in processes:
        process.wait_for("ready")
    begin = time.monotonic() + START_S
    for process in processes:
        process.tell(begin)
    outcomes = [outcome for process in processes for outcome in process.end()]

    reservations = history_of(outcomes, "pool")
    check_order(reservations, Reservations(POOL))
    assert held_by_two(reservations) == []
    for uid in REGISTERS:
        check_order(history_of(outcomes, uid), Register(VALUES[0].name))
    check_order(history_of(outcomes, "group"), Register(VALUES[0].name))
    claims = history_of(outcomes, "claims")
    check_order(claims, Claims())
    taken = Tally(operation.call[1] for operation in claims if operation.result)
    assert set(taken.values()) == {1}
    made = history_of(outcomes, "made")
    assert sorted(operation.result for operation in made) == list(range(len(made)))
    check_order(made, Counter())

    updates = sum((Tally(outcome["updates"]) for outcome in outcomes), Tally())
    store = open_store(uri)
    counted = {trial.uid: trial.metadata["_update_count"] for trial in store.fetch_trials()}
    store.close()
    made_uids = [f"made_{number}" for number in range(len(made))]
    made_uids += [f"{name}_0" for name in taken if name.startswith("trial")]
    assert counted == {uid: updates[uid] for uid in [*POOL, *REGISTERS, *made_uids]}
    events_of(uri)


def check_order(history, specification):
    violation = check(history, specification)
    if violation is not None:
        pytest.fail(str(violation))


def held_by_two(reservations):
    """Return the trials that two threads had at the same time, each from its own point of view."""
    had = {}
    holding = {}
    for operation in sorted(reservations, key=lambda operation: operation.invoked):
        if operation.call[0] == "release":
            key = operation.process, operation.call[1]
            had.setdefault(operation.call[1], []).append((holding.pop(key), operation.invoked))
        elif operation.result is not None:
            holding[operation.process, operation.result] = operation.returned
    for (_, uid), since in holding.items():
        had.setdefault(uid, []).append((since, float("inf")))
    return [
        uid
        for uid, times in had.items()
        for (_, end), (begin, _) in zip(sorted(times), sorted(times)[1:], strict=False)
        if begin < end
    ]


def test_a_trial_that_two_have_at_once_is_noticed():
    """One that is reserved before it was released counts, one reserved afterwards does not."""
    first = Operation("a", 1, 2, ("reserve",), "x")
    released = Operation("a", 5, 6, ("release", "x"), True)
    assert held_by_two([first, Operation("b", 3, 4, ("reserve",), "x"), released]) == ["x"]
    assert held_by_two([first, Operation("b", 3, 7, ("reserve",), "x"), released]) == []
    assert held_by_two([first, Operation("b", 3, 4, ("reserve",), "y"), released]) == []
