"""Many threads of many processes append at once: all readers see one order, with everything in it.

``TRACK_CONCURRENCY_ROUNDS`` says how often.
"""

import os
import threading
from collections import defaultdict

import pytest

from tests.e2e.stores import answer, by_producer, events_of, open_store, say, wait_for_word
from tests.programs import run_at_once
from track.events.types import MetadataLogged, MetricsLogged, StatusChanged, TrialCreated
from track.structure import Project, Status, Trial

ROUNDS = int(os.environ.get("TRACK_CONCURRENCY_ROUNDS", "1"))

PROCESSES, THREADS, STEPS = 4, 2, 100
DECISION_EVERY = 25
"""Guarded calls come between so many plain ones."""

COMMON = Trial(_hash="common")
"""The trial that everybody logs to, besides one of their own."""


def key(recorded):
    """Return what must be the same for all readers."""
    return [recorded.position, recorded.producer, recorded.sequence]


def is_end(recorded):
    return isinstance(recorded.event, MetadataLogged) and "end" in recorded.event.values


def work(uri, number, shared):
    """Be a process whose threads log and decide, with a store for each or one for all."""
    stores = [open_store(uri) for _ in range(1 if shared else THREADS)]
    names = [f"{number}.{i}" for i in range(THREADS)]
    threads = [
        threading.Thread(target=log_and_decide, args=(stores[i % len(stores)], name))
        for i, name in enumerate(names)
    ]
    say("ready")
    wait_for_word()
    run_at_once(threads)
    for store in stores:
        store.close()
    answer(names)


def log_and_decide(store, name):
    """Log steps to a trial of one's own and to the common one, large and small."""
    mine = store.new_trial(Trial(_hash=name, project_id="project"))
    sink = store.metrics_sink(mine)
    for step in range(STEPS):
        sink(step, None, {"loss": step / 7, "pad": "x" * (step % 100 * 50)})
        if step % 3 == 0:
            store.log_trial_metrics(COMMON, **{f"loss {name}": step})
        if step % DECISION_EVERY == 0:
            store.fetch_and_update_trial(
                {"uid": mine.uid}, "set_trial_status", status=Status.Running, error=step
            )


def tail(uri):
    """Be a reader that sees events as they come, and return what it saw."""
    store = open_store(uri)
    say("ready")
    seen = []
    for recorded in store.journal.tail(poll_s=0.001):
        seen.append(key(recorded))
        if is_end(recorded):
            break
    store.close()
    answer(seen)


def read_until_end(store, seen):
    """Be a thread that reads on from where it was, over and over, with the store of others."""
    while not (seen and is_end(seen[-1])):
        seen.extend(store.journal.read(seen[-1].position if seen else 0))


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("shared", [False, True], ids=["own-clients", "one-client"])
def test_everybody_sees_one_order_with_everything_in_it(uri, start, shared, seed):
    """Readers at the end, and those that read all along, see the same events at the same places."""
    store = open_store(uri)
    store.new_project(Project(name="project"))
    store.new_trial(Trial(_hash="common", project_id="project"))
    tailing = start(tail, uri)
    tailing.wait_for("ready")
    workers = [start(work, uri, number, shared) for number in range(PROCESSES)]
    for worker in workers:
        worker.wait_for("ready")
    read = []
    reader = threading.Thread(target=read_until_end, args=(store, read), daemon=True)
    reader.start()
    for worker in workers:
        worker.tell()
    names = [name for worker in workers for name in worker.end()]
    store.log_trial_metadata(COMMON, end=True)
    store.commit()  # what is in a spool of this process is nowhere else yet

    events = events_of(uri)
    order = [key(recorded) for recorded in events]
    assert [key(recorded) for recorded in events_of(uri)] == order
    assert tailing.end() == order
    reader.join(60)
    assert read == events
    check_content(events, names, identities=2 if uri.startswith("socket:") else 1)
    check_objects(store, names)
    store.close()


def check_content(events, names, identities):
    """Each thread's calls are there once, in its own order, and by one producer.

    What a server was asked to decide is by another one.
    """
    owners = {r.stream: r.event.hash for r in events if isinstance(r.event, TrialCreated)}
    producers = defaultdict(set)
    steps, decisions, common = defaultdict(list), defaultdict(list), defaultdict(list)
    for recorded in events:
        owner, event = owners.get(recorded.stream), recorded.event
        if owner in names:
            producers[owner].add(recorded.producer)
        if isinstance(event, MetricsLogged) and owner == "common":
            ((name, value),) = event.values.items()
            common[name.removeprefix("loss ")].append(value)
            producers[name.removeprefix("loss ")].add(recorded.producer)
        elif isinstance(event, MetricsLogged):
            assert event.values["loss"] == event.step / 7
            steps[owner].append(event.step)
        elif isinstance(event, StatusChanged):
            decisions[owner].append(int(event.error))
    assert steps == {name: list(range(STEPS)) for name in names}
    assert common == {name: list(range(0, STEPS, 3)) for name in names}
    assert decisions == {name: list(range(0, STEPS, DECISION_EVERY)) for name in names}
    assert {len(found) for found in producers.values()} == {identities}
    # Besides the threads, only this process recorded anything.
    assert len(by_producer(events)) == (len(names) + 1) * identities


def check_objects(store, names):
    """What is folded from the events has every value, too."""
    trials = {trial.hash: trial for trial in store.fetch_trials()}
    assert sorted(trials) == sorted([*names, "common"])
    for name in names:
        assert list(trials[name].metrics["loss"]) == list(range(STEPS))
        assert trials["common"].metrics[f"loss {name}"] == list(range(0, STEPS, 3))
