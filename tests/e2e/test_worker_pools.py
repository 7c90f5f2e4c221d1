"""Pools of worker processes, of every kind there is, log together with their parent."""

import signal
from collections import defaultdict

import pytest

from tests.e2e.stores import URIS, events_of, open_store
from tests.e2e.worker_programs import (
    STEPS,
    WORKERS,
    fork_amid_noise,
    fork_in_section,
    load_data,
    log_with_children,
    nest_forks,
    run_pool,
    terminate_a_trial,
)
from track.events.types import MetricsLogged, StatusChanged, TrialCreated, TrialFinished
from track.structure import Status

OPENING = ["inherited", "spawn", "forkserver"]


def run(start, program, *arguments):
    """Run a program to its good end; return what it answered."""
    return start(program, *arguments).end()


def logged_in(uri):
    """Return the steps of each metric, sorted, with no event twice and all of its producer."""
    steps = defaultdict(list)
    for recorded in events_of(uri):
        if isinstance(recorded.event, MetricsLogged):
            for name, value in recorded.event.values.items():
                assert value == recorded.event.step / 7
                steps[name].append(recorded.event.step)
    return {name: sorted(found) for name, found in steps.items()}


def all_steps(**counts):
    return {name: list(range(count)) for name, count in counts.items()}


def trial_of(uri, **parameters):
    """Return the only trial with some parameters."""
    store = open_store(uri)
    (trial,) = store.fetch_trials({"parameters": parameters})
    store.close()
    return trial


def check_parent_completed(uri):
    """The trial of the parent ended once, and well; nobody ever said that it was interrupted."""
    trial = trial_of(uri, of="parent")
    assert (trial.status, trial.errors) == (Status.Completed, [])
    assert trial.chronos["runtime"] > 0
    store = open_store(uri)
    events = [recorded.event for recorded in store.trial_history(trial)]
    store.close()
    changes = [event.name for event in events if isinstance(event, StatusChanged)]
    assert changes == ["Running", "Completed"]
    assert sum(isinstance(event, TrialFinished) for event in events) == 1


# Processes


@pytest.mark.parametrize("opening", OPENING)
def test_children_and_their_parent_log_at_once(uri, start, opening):
    """However they were started, everything is there once, and the trial completes."""
    assert run(start, log_with_children, opening, uri) == [0] * WORKERS
    children = {f"child{number}": STEPS for number in range(WORKERS)}
    assert logged_in(uri) == all_steps(parent=STEPS, **children)
    check_parent_completed(uri)


# Pools


@pytest.mark.parametrize("opening", OPENING)
@pytest.mark.parametrize("kind", ["executor", "pool"])
def test_the_tasks_of_a_pool_log(uri, start, kind, opening):
    """Every task that returned is recorded once; its decision is its own."""
    done = run(start, run_pool, kind, opening, uri)
    assert [item for item, _, _ in done] == list(range(STEPS))
    assert sorted(revision for _, revision, _ in done) == list(range(STEPS))
    assert logged_in(uri) == all_steps(item=STEPS, parent=STEPS)
    check_parent_completed(uri)


# Workers that are fed through queues and terminated in the end, as torch's DataLoader has them


@pytest.mark.parametrize("opening", [*OPENING, "fork"])
def test_data_loaders_log(uri, start, opening, caplog):
    """Nothing that a worker was told is recorded is lost, and its end is not that of the trial."""
    exits, noise, acknowledged = run(start, load_data, opening, uri)
    assert exits == [-signal.SIGTERM] * WORKERS
    logged = logged_in(uri)
    del logged["meanwhile"]
    for number, count in enumerate(acknowledged):
        burst = logged.pop(f"burst{number}")
        assert burst == list(range(len(burst)))
        assert count <= len(burst) <= count + 1
    assert logged == all_steps(item=STEPS, parent=STEPS, noise=noise)
    check_parent_completed(uri)
    assert all("never acknowledged" in message for message in caplog.messages)
    caplog.clear()


@pytest.mark.parametrize("opening", ["inherited", "spawn"])
def test_a_terminated_worker_interrupts_the_trial_it_started(uri, start, opening):
    """That one only: the trial of its parent completes."""
    assert run(start, terminate_a_trial, opening, uri) == -signal.SIGTERM
    assert trial_of(uri, of="child").status is Status.Interrupted
    check_parent_completed(uri)
    events_of(uri)


# Forks by hand


def test_children_of_children_log(uri, start):
    """Down to the third generation each has an identity of its own, and loses nothing."""
    run(start, nest_forks, uri)
    names = ["n"]
    for _ in range(3):
        names += [name + i for name in names for i in "01" if name + i not in names]
    logged = logged_in(uri)
    assert sorted(logged) == sorted([*names, *(f"{name}after" for name in names)])
    assert all(steps == list(range(5)) for steps in logged.values())
    check_revisions(uri, "made", len(names))
    check_parent_completed(uri)


def check_revisions(uri, name, count):
    """Of trials that were made with one hash, each has the next revision."""
    made = [
        recorded.event.revision
        for recorded in events_of(uri)
        if isinstance(recorded.event, TrialCreated) and recorded.event.hash == name
    ]
    assert made == list(range(count))


def test_forks_while_threads_log_decide_and_read(uri, start):
    """No child is stuck on what a thread of its parent held when it was forked."""
    count = 30
    statuses, noise = run(start, fork_amid_noise, uri, count)
    assert statuses == [0] * count
    logged = logged_in(uri)
    assert logged.pop("noise") == list(range(noise))
    assert len(logged) == count * 2
    assert all(steps == list(range(5)) for steps in logged.values())
    check_revisions(uri, "made", count)
    check_parent_completed(uri)


@pytest.mark.parametrize("uri", URIS, indirect=True)  # nobody can lock a server
@pytest.mark.parametrize("where", ["section", "thread"])
def test_a_child_forked_in_a_section_of_its_parent_waits_for_it(uri, start, where):
    """It logs at once, and decides when its parent has left the section."""
    run(start, fork_in_section, where, uri)
    names = ["child", "child0", "child1"]
    steps = dict.fromkeys([*names, *(f"{name}after" for name in names)], 5)
    assert logged_in(uri) == all_steps(parent=STEPS, **steps)
    check_revisions(uri, "made", 4)
    check_parent_completed(uri)
    events = [recorded.event for recorded in events_of(uri)]
    inside = next(i for i, e in enumerate(events) if getattr(e, "name", None) == "inside")
    made = [i for i, e in enumerate(events) if isinstance(e, TrialCreated) and e.hash == "made"]
    assert min(made) > inside
