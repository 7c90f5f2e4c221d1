"""Who writes the report when several have a store open: the last one, if it takes long."""

import json
import os
import signal
import subprocess
import sys
from multiprocessing import get_context

import pytest

import track
from tests.e2e.stores import end_if_stuck
from track.persistence import get_protocol
from track.structure import Project, Trial

URI = "file:store.json"

STEPS = 40_000
"""Enough that a report would take a long time, compared with how long the store has been open."""

LOGS = """
import sys
from track import TrackClient
client = TrackClient("file:store.json")
client.set_project(name="p")
trial = client.new_trial(name=sys.argv[1], parameters={"name": sys.argv[1]}).start()
print("open", flush=True)
sys.stdin.readline()
for step in range(int(sys.argv[2])):
    trial.log_metrics(step=step, loss=step / 7)
print("logged", flush=True)
sys.stdin.readline()
"""


class Logging:
    """A process that logs to the store, and closes it by its exit."""

    def __init__(self, name, steps):
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOGS, name, str(steps)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.expect("open")

    def expect(self, line):
        assert self.process.stdout.readline() == line + "\n"

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def log(self):
        self.go_on()
        self.expect("logged")

    def end(self):
        self.process.communicate("\n")
        assert self.process.returncode == 0


def open_store(steps=STEPS, name="mine"):
    """Open the store here, and log to a trial of it."""
    store = get_protocol(URI)
    store.new_project(Project(name="p"))
    trial = store.new_trial(Trial(name=name, project_id="p", parameters={"name": name}))
    log = store.metrics_sink(trial)
    for step in range(steps):
        log(step, None, {"loss": step / 7})
    return store, trial


def reported():
    """Return how many steps of each trial the report has."""
    with open("store.json", encoding="utf-8") as file:
        projects = json.load(file)
    trials = [trial for project in projects for trial in project["trials"]]
    return {trial["name"]: len(trial["metrics"].get("loss", ())) for trial in trials}


def shown():
    """Return how many steps of each trial a reader finds."""
    with track.open(URI) as reader:
        return {trial.name: len(trial.metrics.get("loss", ())) for trial in reader.trials()}


def test_the_last_one_writes_the_report_for_all():
    """The others end without one, whatever the last one recorded itself."""
    last = Logging("last", 0)
    store, _ = open_store()
    store.close()
    assert reported() == {}
    assert shown() == {"mine": STEPS, "last": 0}
    last.end()
    assert reported() == {"mine": STEPS, "last": 0}


def test_four_that_end_at_once_leave_a_report_of_all():
    """However their ends are interleaved, one of them finds nobody to leave it to."""
    for turn in range(3):
        names = [f"{turn}-{number}" for number in range(4)]
        processes = [Logging(name, STEPS // 4) for name in names]
        for process in processes:
            process.go_on()
        for process in processes:
            process.expect("logged")
        for process in processes:
            process.go_on()
        for process in processes:
            process.end()
        assert {name: reported()[name] for name in names} == dict.fromkeys(names, STEPS // 4)
    assert reported() == shown()


def test_what_was_logged_is_read_after_a_report_was_left_to_others():
    """The metrics of a trial come from its journal then."""
    other = Logging("other", 0)
    store, trial = open_store()
    store.close()
    assert len(trial.metrics["loss"]) == STEPS
    other.end()
    assert len(trial.metrics["loss"]) == STEPS


def test_a_report_that_takes_no_time_is_never_left_to_others():
    """Who closes a small store finds its own trial in the report."""
    other = Logging("other", 0)
    store, _ = open_store(steps=10)
    store.close()
    assert reported() == {"mine": 10, "other": 0}
    other.end()


def test_commit_writes_whoever_has_the_store_open():
    """To ask for the report is to get it."""
    other = Logging("other", 0)
    store, _ = open_store()
    store.commit()
    assert reported() == {"mine": STEPS, "other": 0}
    store.close()
    other.end()


@pytest.mark.parametrize("opened", ["to read", "by a child"])
def test_who_will_never_write_the_report_is_not_left_it(opened):
    """Readers do not write it, nor do the forked children of who opened the store."""
    store, _ = open_store()
    if opened == "to read":
        with track.open(URI) as reader:
            assert len(reader.trials()) == 1
            store.close()
            assert reported() == {"mine": STEPS}
        return
    context = get_context("fork")
    ready, done = context.Event(), context.Event()

    def be_a_child():
        end_if_stuck()
        store.fetch_trials({})
        ready.set()
        done.wait()

    child = context.Process(target=be_a_child)
    child.start()
    ready.wait()
    store.close()
    assert reported() == {"mine": STEPS}
    done.set()
    child.join()
    assert child.exitcode == 0


@pytest.mark.parametrize("logs", [0, 1])
def test_the_last_one_is_killed(logs):
    """Readers see everything at once, and whoever opens and closes the store next reports it."""
    last = Logging("last", STEPS)
    store, _ = open_store()
    last.log()
    store.close()
    os.kill(last.process.pid, signal.SIGKILL)
    last.process.communicate()
    assert shown() == {"mine": STEPS, "last": STEPS}
    store = get_protocol(URI)
    if logs:
        trial = store.fetch_trials({"name": "mine"})[0]
        store.log_trial_metrics(trial, step=STEPS, loss=1.0)
    store.close()
    assert reported() == {"mine": STEPS + logs, "last": STEPS}


def test_one_of_several_is_killed():
    """The last one reports what the killed one had logged, too."""
    killed = Logging("killed", STEPS)
    store, _ = open_store(steps=10)
    store.commit()
    killed.log()
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.communicate()
    store.close()
    assert reported() == {"mine": 10, "killed": STEPS}


def test_who_records_nothing_leaves_the_report_alone():
    """To open and to close a store that nobody else uses writes nothing."""
    store, _ = open_store()
    store.close()
    before = os.stat("store.json")
    store = get_protocol(URI)
    assert len(store.fetch_trials({})) == 1
    store.close()
    assert os.stat("store.json").st_mtime_ns == before.st_mtime_ns
    assert os.stat("store.json").st_ino == before.st_ino
