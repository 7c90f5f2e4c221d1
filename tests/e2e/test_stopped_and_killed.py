"""Processes that are stopped or killed in the middle of things, and what others can do meanwhile.

``TRACK_STOP_ROUNDS`` says how often a process is stopped in a burst of log calls.
"""

import os
import random
import threading
import time
from collections import Counter

import pytest

from tests.e2e.stores import (
    LOCAL_URIS,
    URIS,
    answer,
    events_of,
    open_store,
    say,
    wait_for_word,
    with_options,
)
from tests.programs import run_at_once
from track import TrackClient
from track.errors import LockTimeout
from track.events.types import MetricsLogged, StatusChanged
from track.structure import Project, Status, Trial, TrialGroup

ROUNDS = int(os.environ.get("TRACK_STOP_ROUNDS", "20"))

LONG_S = 300
"""A lock timeout that no test survives."""

WHAT_TO_DO = r"it is stopped or stuck; resume or kill it and try again"


def fill(uri):
    """Make a project, a group and a trial, and return the store."""
    store = open_store(uri)
    store.new_project(Project(name="project"))
    store.new_trial_group(TrialGroup(_uid="group", name="group", project_id="project"))
    store.new_trial(Trial(_hash="trial", project_id="project"))
    return store


def section_of(store, name):
    return store.exclusive_state() if name == "deciding" else store.journal.exclusive()


def hold(uri, section):
    """Be a process that is in the exclusive section until it is told to leave."""
    store = open_store(uri)
    with section_of(store, section):
        say("inside")
        wait_for_word()
        store.set_trial_status(Trial(_hash="trial"), Status.Suspended)
    store.close()


def fork_and_hold(uri, section):
    """Be a process that forks in the exclusive section, and whose child lives on when it dies."""
    store = open_store(uri)
    with section_of(store, section):
        if os.fork():
            wait_for_word()
        else:
            store.log_trial_metrics(Trial(_hash="trial"), child=1)
            say("inside")
            time.sleep(LONG_S)
    store.close()


def guarded_calls(store):
    """Return every kind of guarded call, each of which changes something."""
    return [
        lambda: store.new_project(Project(name="more")),
        lambda: store.new_trial_group(TrialGroup(_uid="more", name="more", project_id="project")),
        lambda: store.new_trial(Trial(_hash="trial", project_id="project"), auto_increment=True),
        lambda: store.fetch_and_update_trial(
            {"uid": "trial_0"}, "set_trial_status", status=Status.Running
        ),
        lambda: store.fetch_and_update_group({"_uid": "group"}, "set_group_metadata", tried=True),
    ]


def outcome_of(call):
    """Return what a call raised, None if it went well."""
    try:
        call()
    except Exception as error:
        return error
    return None


def at_once(calls):
    """Make calls in threads of their own; return the outcome of each."""
    outcomes = [None] * len(calls)

    def make(index):
        outcomes[index] = outcome_of(calls[index])

    threads = [threading.Thread(target=make, args=(i,)) for i in range(len(calls))]
    run_at_once(threads)
    return outcomes


@pytest.mark.parametrize("uri", URIS, indirect=True)  # nobody can lock a server
@pytest.mark.parametrize("section", ["exclusive", "deciding"])
def test_a_process_stopped_in_a_section_keeps_others_from_deciding_only(uri, start, section):
    """Log calls and reads go on; decisions end with an error, leave nothing, and work later."""
    impatient = with_options(uri, lock_timeout=1)
    # Each waits by itself, as processes do; opening a store decides, too, so it comes first.
    stores = [fill(impatient), *(open_store(impatient) for _ in range(4))]
    calls = [guarded_calls(store)[index] for index, store in enumerate(stores)]
    client = TrackClient(stores[0])
    holder = start(hold, uri, section)
    holder.wait_for("inside")
    holder.stop()
    before = list(stores[0].events())
    outcomes = at_once([*calls, lambda: client.log_arguments(lr=0.1)])
    for outcome in outcomes:
        assert isinstance(outcome, LockTimeout), outcome
        assert outcome.args[0].endswith(WHAT_TO_DO)
    assert list(stores[0].events()) == before
    for step, store in enumerate(stores):
        store.log_trial_metrics(Trial(_hash="trial"), step=step, loss=0.5)
        store.commit()
    (trial,) = stores[0].fetch_trials()
    assert list(trial.metrics["loss"]) == [0, 1, 2, 3, 4]
    assert len(list(stores[0].events())) == len(before) + 5
    holder.go_on()
    holder.tell()
    holder.end()
    assert [outcome_of(call) for call in calls] == [None] * 5
    client.log_arguments(lr=0.1)
    check_that_all_worked(stores[0])
    for store in stores:
        store.close()
    events_of(uri)


def check_that_all_worked(store):
    """Every guarded call is there, once."""
    assert [project.uid for project in store.fetch_projects()].count("more") == 1
    tried, more = store.fetch_groups()
    assert (tried.metadata, more.uid) == ({"tried": True}, "more")
    trials = store.fetch_trials({"hash": "trial"})
    assert [(trial.revision, trial.status) for trial in trials] == [
        (0, Status.Running),
        (1, Status.CreatedGroup),
    ]
    (mine,) = store.fetch_trials({"parameters": {"lr": 0.1}})
    assert mine.revision == 0
    changes = [r.event.name for r in store.events() if isinstance(r.event, StatusChanged)]
    assert changes == ["Suspended", "Running"]


@pytest.mark.parametrize("uri", LOCAL_URIS)
def test_a_store_cannot_be_opened_while_somebody_is_stopped_in_a_section(uri, start):
    """Opening waits for those who may be setting it aside; the error says what to do."""
    fill(uri).close()
    holder = start(hold, uri, "exclusive")
    holder.wait_for("inside")
    holder.stop()
    with pytest.raises(LockTimeout, match=WHAT_TO_DO):
        open_store(with_options(uri, lock_timeout=0.2))
    holder.kill()
    open_store(with_options(uri, lock_timeout=LONG_S)).close()


def decide(uri):
    """Be a process that decides, with all the patience in the world."""
    store = open_store(with_options(uri, lock_timeout=LONG_S))
    say("open")
    for _ in range(2):
        wait_for_word()
        for call in guarded_calls(store):
            call()
        say("done")
    store.close()


@pytest.mark.parametrize("uri", URIS, indirect=True)  # nobody can lock a server
@pytest.mark.parametrize(("section", "first"), [("exclusive", "running"), ("deciding", "stopped")])
@pytest.mark.parametrize("holding", [hold, fork_and_hold])
def test_a_process_killed_in_a_section_holds_nothing(uri, start, holding, section, first):
    """The next decisions do not wait, whatever else is left of the dead process."""
    fill(uri).close()
    decider = start(decide, uri)
    decider.wait_for("open")
    holder = start(holding, uri, section)
    holder.wait_for("inside")
    if first == "stopped":
        holder.stop()
    holder.kill()
    decider.tell()
    decider.wait_for("done")
    newcomer = start(decide, uri)
    newcomer.wait_for("open")
    for process in (newcomer, decider, newcomer):
        process.tell()
        process.wait_for("done")
    for process in (newcomer, decider):
        process.end()
    store = open_store(uri)
    revisions = [trial.revision for trial in store.fetch_trials({"hash": "trial"})]
    (child,) = store.fetch_trials({"uid": "trial_0"})
    store.close()
    assert revisions == list(range(5))
    assert child.metrics == ({"child": [1]} if holding is fork_and_hold else {})
    events_of(uri)


def burst(uri):
    """Be a process that logs as fast as it can until it is told to stop, and counts."""
    store = open_store(uri)
    sink = store.metrics_sink(Trial(_hash="trial"))
    told = threading.Event()
    threading.Thread(target=lambda: (wait_for_word(), told.set()), daemon=True).start()
    say("ready")
    step = 0
    while not told.is_set():
        # Now and then one that takes the kernel a moment.
        sink(step, None, {"burst": "x" * (2**17 if step % 100 == 99 else 20)})
        step += 1
    store.close()
    answer(step)


@pytest.mark.parametrize("uri", [uri for uri in LOCAL_URIS if uri.startswith("file:")])
def test_a_process_stopped_in_a_burst_of_log_calls_blocks_nobody(uri, start):
    """At whatever moment it is stopped, others log, read and decide; it then goes on where it was.

    The decisions of others do not wait for it: it is in no section. (On LMDB appends take turns;
    who stops in the middle of one is waited for, but not for ever: see the tests of that journal.)
    """
    store = fill(with_options(uri, lock_timeout=LONG_S))
    moments = random.Random(1)
    bursting = start(burst, uri)
    bursting.wait_for("ready")
    for round_number in range(ROUNDS):
        time.sleep(moments.uniform(0, 0.01))
        bursting.stop()
        store.log_trial_metrics(Trial(_hash="trial"), step=round_number, loss=0.5)
        made = store.new_trial(Trial(_hash="made", project_id="project"), auto_increment=True)
        assert made.revision == round_number
        (trial,) = store.fetch_trials({"uid": "trial_0"})
        assert list(trial.metrics["loss"]) == list(range(round_number + 1))
        bursting.go_on()
    bursting.tell()
    count = bursting.end()
    store.close()
    logged = [r.event for r in events_of(uri) if isinstance(r.event, MetricsLogged)]
    assert [event.step for event in logged if "burst" in event.values] == list(range(count))
    assert Counter(name for event in logged for name in event.values)["loss"] == ROUNDS
