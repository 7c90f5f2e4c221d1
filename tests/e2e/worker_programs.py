"""Scripts with pools of worker processes, which :mod:`tests.e2e.test_worker_pools` starts.

Each is run in a process of its own, so that its forks, threads and signals are those of a script.
It is told how its workers come by their client: ``inherited`` is that of their parent, after a
fork; after ``fork``, ``spawn`` or ``forkserver`` they open one of their own.
"""

import logging
import multiprocessing
import os
import sys
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor

from tests.e2e.stores import answer, end_if_stuck, with_options
from track import TrackClient
from track.errors import TrackWarning
from track.structure import Project, Status, Trial

WORKERS, STEPS = 3, 40

LONG_S = 300
"""A lock timeout that no test survives."""

mine = {}
"""What this process logs with: its client, and the logger of the trial of the script."""


def begin(uri):
    """Be a script: make a project and a trial, with which forked children can log, too."""
    client = TrackClient(with_options(uri, lock_timeout=LONG_S))
    client.set_project(name="project")
    mine["client"], mine["logger"] = client, client.new_trial(parameters={"of": "parent"})
    return client, mine["logger"]


def context_of(opening):
    return multiprocessing.get_context("fork" if opening == "inherited" else opening)


def come_by_a_client(opening, uri, uid):
    """Be a worker, and open the store if it was not inherited."""
    end_if_stuck()
    if opening != "inherited":
        mine["client"] = TrackClient(with_options(uri, lock_timeout=LONG_S))
        mine["logger"] = mine["client"].set_trial(uid=uid)


def log_steps(name, steps=STEPS):
    for step in range(steps):
        mine["logger"].log_metrics(step=step, **{name: step / 7})


def decide(name):
    """Make a trial: one more revision of the hash of that name."""
    store = mine["client"].protocol
    return store.new_trial(Trial(_hash=name, project_id="project"), auto_increment=True).revision


class Noise:
    """Threads that log, decide and read all the while that something else is done."""

    def __init__(self):
        self._quiet = threading.Event()
        noises = (self.log, swap_status, lambda: read("noise"))
        self._threads = [threading.Thread(target=self._make, args=(noise,)) for noise in noises]
        self._begun = threading.Barrier(len(noises) + 1)
        self.logged = 0

    def _make(self, noise):
        decide("noise")
        noise()
        self._begun.wait()
        while not self._quiet.is_set():
            noise()
            # Who decides again at once seldom lets others have a turn.
            time.sleep(0.0005)

    def log(self):
        mine["logger"].log_metrics(step=self.logged, noise=self.logged / 7)
        self.logged += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self._begun.wait()
        return self

    def __exit__(self, *exc_info):
        self._quiet.set()
        for thread in self._threads:
            thread.join()


def swap_status():
    store = mine["client"].protocol
    store.fetch_and_update_trial({"uid": "noise_0"}, "set_trial_status", status=Status.Running)


def read(name):
    mine["client"].protocol.fetch_trials({"hash": name})


# Processes


def be_a_child(opening, uri, uid, number):
    come_by_a_client(opening, uri, uid)
    log_steps(f"child{number}")
    decide("made")


def log_with_children(opening, uri):
    """Start children and log with them at once."""
    client, trial = begin(uri)
    context = context_of(opening)
    with trial:
        children = [
            context.Process(target=be_a_child, args=(opening, uri, trial.uid, number))
            for number in range(WORKERS)
        ]
        for child in children:
            child.start()
        log_steps("parent")
        for child in children:
            child.join()
    client.close()
    answer([child.exitcode for child in children])


# Pools


def log_item(item):
    """Be a task of a pool: log, decide, and return the item."""
    mine["logger"].log_metrics(step=item, item=item / 7)
    return item, decide("made"), os.getpid()


def begin_tasks(started, *client):
    """Be a worker of a pool that waits for its tasks, and say so."""
    come_by_a_client(*client)
    started.release()


def run_pool(kind, opening, uri):
    """Hand out tasks to a pool and log in between; leave it as its ``with`` block does."""
    client, trial = begin(uri)
    context = context_of(opening)
    started = context.Semaphore(0)
    initial = {"initializer": begin_tasks, "initargs": (started, opening, uri, trial.uid)}
    done = []
    with trial:
        if kind == "executor":
            pool = ProcessPoolExecutor(WORKERS, mp_context=context, **initial)
        else:
            pool = context.Pool(WORKERS, **initial)
            # Its end terminates the workers, in whatever they are: here they are all at work.
            for _ in range(WORKERS):
                started.acquire()
        with pool:
            results = pool.map if kind == "executor" else pool.imap
            for step, item in enumerate(results(log_item, range(STEPS))):
                trial.log_metrics(step=step, parent=step / 7)
                done.append(item)
    client.close()
    answer(done)


# Workers that are fed through queues and terminated in the end, as torch's DataLoader has them


def load_items(client, indexes, items, counted):
    """Be a worker: log each index that comes, say so, and then log until the end."""
    come_by_a_client(*client)
    for index in iter(indexes.get, None):
        mine["logger"].log_metrics(step=index, item=index / 7)
        items.put(index)
    name = f"burst{counted.value}"
    counted.value = 0
    while True:
        mine["logger"].log_metrics(step=counted.value, **{name: counted.value / 7})
        counted.value += 1


def load_data(opening, uri):
    """Feed workers that were started in the middle of logging, log in between, terminate them."""
    # The kernel may cut the very last write of a process that is killed; readers say so.
    logging.getLogger("track").setLevel(logging.ERROR)
    warnings.simplefilter("ignore", TrackWarning)
    client, trial = begin(uri)
    context = context_of(opening)
    with trial:
        items = context.Queue()
        indexes = [context.Queue() for _ in range(WORKERS)]
        counted = [context.Value("i", number, lock=False) for number in range(WORKERS)]
        workers = [
            context.Process(
                target=load_items,
                args=((opening, uri, trial.uid), indexes[number], items, counted[number]),
                daemon=True,
            )
            for number in range(WORKERS)
        ]
        with Noise() as noise:
            for worker in workers:
                worker.start()
        for index in range(STEPS):
            indexes[index % WORKERS].put(index)
        for step in range(STEPS):
            items.get()
            trial.log_metrics(step=step, parent=step / 7)
        for queue in indexes:
            queue.put(None)
        while not all(count.value > STEPS for count in counted):
            log_steps("meanwhile", 1)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
    client.close()
    exits = [worker.exitcode for worker in workers]
    answer([exits, noise.logged, [count.value for count in counted]])


def run_a_trial(opening, uri, uid, alive):
    """Be a worker that runs a trial of its own until it is terminated."""
    come_by_a_client(opening, uri, uid)
    with mine["client"].new_trial(force=True, parameters={"of": "child"}):
        alive.set()
        # A signal that comes just before Python waits is noticed only when the wait is over, so
        # no wait is for ever.
        while True:
            time.sleep(0.01)


def terminate_a_trial(opening, uri):
    """Terminate a worker that runs a trial, in the middle of the parent's trial."""
    client, trial = begin(uri)
    context = context_of(opening)
    with trial:
        alive = context.Event()
        child = context.Process(target=run_a_trial, args=(opening, uri, trial.uid, alive))
        child.start()
        alive.wait()
        child.terminate()
        child.join()
    client.close()
    answer(child.exitcode)


# Forks by hand


def fork(function, *arguments):
    """Run a function in a forked child, which leaves without any clean-up."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            end_if_stuck()
            function(*arguments)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    return pid


def wait_for(pids):
    return [os.waitpid(pid, 0)[1] for pid in pids]


def fork_and_log(depth, name):
    """Log, decide, read; and at each depth have two children do the same."""
    log_steps(name, 5)
    children = [fork(fork_and_log, depth - 1, f"{name}{i}") for i in range(2 if depth else 0)]
    decide("made")
    log_steps(f"{name}after", 5)
    read("made")
    assert wait_for(children) == [0] * len(children)


def nest_forks(uri):
    client, trial = begin(uri)
    with trial:
        fork_and_log(3, "n")
    client.close()


def fork_amid_noise(uri, count):
    """Fork over and over while other threads are in the middle of whatever they do."""
    client, trial = begin(uri)
    with trial, Noise() as noise:
        children = [fork(fork_and_log, 0, f"child{number}") for number in range(count)]
        statuses = wait_for(children)
    client.close()
    answer([statuses, noise.logged])


def fork_in_section(where, uri):
    """Fork while the main thread is in an exclusive section: there, or in another thread."""
    client, trial = begin(uri)
    children = []
    with trial:
        with client.protocol.exclusive_state():
            if where == "section":
                children.append(fork(fork_and_log, 1, "child"))
            else:
                thread = threading.Thread(
                    target=lambda: children.append(fork(fork_and_log, 1, "child"))
                )
                thread.start()
                thread.join()
            log_steps("parent")
            client.protocol.new_project(Project(name="inside"))
        decide("made")
        assert wait_for(children) == [0]
    client.close()
