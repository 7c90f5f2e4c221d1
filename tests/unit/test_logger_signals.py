"""How a running trial notes that its process is being ended, in real processes."""

import json
import os
import signal
import subprocess
import sys
from textwrap import dedent, indent

import pytest

import track
from track.persistence import get_protocol
from track.structure import Status

PROGRAM = """
import multiprocessing, os, signal, sys, threading, time
from track import TrackClient
client = TrackClient("file:report.json")
trial = client.new_trial(parameters={})
"""
BLOCK = """
with trial:
    print("ready", flush=True)
"""
WAIT = "while True:\n    time.sleep(0.01)\n"
ENVIRONMENT = {"PYTHONPATH": os.path.dirname(os.path.dirname(track.__file__))}


def start(body, before="", block=BLOCK):
    """Start a program whose trial does something, once it is ready for a signal."""
    code = PROGRAM + dedent(before) + block + indent(dedent(body), "    ")
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return process


def end(process, *signals):
    """Send signals, wait for the end, and return its code and what was printed."""
    for signum in signals:
        process.send_signal(signum)
    with process:
        try:
            output, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    return process.returncode, output, errors


def recorded():
    """Return the only trial of the journal and its status in the report."""
    store = get_protocol("file:report.json")
    (trial,) = store.fetch_trials()
    store.close()
    with open("report.json", encoding="utf-8") as file:
        ((written,),) = (project["trials"] for project in json.load(file))
    return trial, written["status"]["name"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "body",
    [
        WAIT,
        "step = 0\nwhile True:\n    trial.log_metrics(step=step, loss=0.5)\n    step += 1\n",
        "while True:\n    client.save()\n",
        "while True:\n    trial.set_status(trial.status)\n",
        "while True:\n    with trial.chrono('x'):\n        client.protocol.fetch_trials()\n",
    ],
    ids=["waiting", "logging", "saving", "deciding", "reading"],
)
def test_an_ended_trial_is_interrupted(signum, body):
    """Whatever it was doing, the status is recorded and the process dies by that signal."""
    code, _, errors = end(start(body), signum)
    assert code == -signum
    assert ("KeyboardInterrupt" in errors) == (signum == signal.SIGINT)
    trial, reported = recorded()
    assert trial.status is Status.Interrupted
    assert reported == "Interrupted"
    assert trial.chronos["runtime"] > 0
    assert trial.errors == []


def test_whoever_had_the_signal_before_gets_it():
    """A handler of the script's own is called once the interruption is recorded."""
    before = """
    def previous(signum, frame):
        (found,) = client.protocol.fetch_trials()
        print("previous", signum, found.status, flush=True)
        sys.exit(3)
    signal.signal(signal.SIGTERM, previous)
    """
    code, output, _ = end(start(WAIT, before), signal.SIGTERM)
    assert (code, output) == (3, f"previous {signal.SIGTERM} interrupted\n")
    assert recorded()[0].status is Status.Interrupted


def test_an_interrupt_shows_where_the_program_was():
    """And one line of ours, not the way of the signal through a dozen functions."""
    code, _, errors = end(start(WAIT), signal.SIGINT)
    assert code == -signal.SIGINT
    assert errors.count("File ") == errors.count('File "<string>"') + 1
    assert errors.endswith("KeyboardInterrupt\n")


def test_a_handler_that_goes_on_lets_the_trial_complete():
    """Who takes the signal and trains on gets the status of how it really ended."""
    before = """
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    """
    code, _, errors = end(start("while not told:\n    time.sleep(0.01)\n", before), signal.SIGTERM)
    assert code == 0, errors
    assert recorded()[0].status is Status.Completed


def test_an_ignored_signal_stays_ignored():
    """A program in the background of a shell is not ended by its interrupt."""
    before = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    process = start(WAIT, before)
    process.send_signal(signal.SIGINT)
    assert end(process, signal.SIGTERM)[0] == -signal.SIGTERM
    assert recorded()[0].status is Status.Interrupted


def test_an_interrupt_behind_the_block_changes_nothing():
    """Once a trial is complete, the signals are those of the script again."""
    block = "\nwith trial:\n    pass\nif True:\n    print('ready', flush=True)\n"
    code, _, _ = end(start(WAIT, block=block), signal.SIGTERM)
    assert code == -signal.SIGTERM
    assert recorded()[0].status is Status.Completed


def test_a_trial_in_another_thread_works():
    """Only the main thread can have signals; elsewhere they are left alone."""
    block = """
def work():
    with trial:
        trial.log_metrics(loss=1)
before = signal.getsignal(signal.SIGINT)
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert signal.getsignal(signal.SIGINT) is before
if True:
    print("ready", flush=True)
"""
    code, _, errors = end(start("pass", block=block))
    assert code == 0, errors
    assert recorded()[0].status is Status.Completed


def test_a_child_that_is_ended_does_not_interrupt_the_trial():
    """A terminated worker is not the trial: its parent goes on and completes it."""
    body = """
    context = multiprocessing.get_context("fork")
    alive = context.Event()
    child = context.Process(target=lambda: (alive.set(), time.sleep(20)))
    child.start()
    alive.wait()
    child.terminate()
    child.join()
    assert child.exitcode == -signal.SIGTERM, child.exitcode
    """
    code, _, errors = end(start(body))
    assert code == 0, errors
    assert recorded()[0].status is Status.Completed


@pytest.mark.parametrize(
    ("body", "code", "status", "errors"),
    [
        ("pass", 0, Status.Completed, []),
        ("sys.exit(0)", 0, Status.Completed, []),
        ("sys.exit(3)", 3, Status.Exception, ["<class 'SystemExit'>"]),
        ("raise ValueError", 1, Status.Exception, ["<class 'ValueError'>"]),
        ("raise KeyboardInterrupt", -signal.SIGINT, Status.Interrupted, []),
    ],
)
def test_the_end_of_the_program_ends_the_trial(body, code, status, errors):
    """A block is left by an exit or an exception."""
    done = end(start(body))
    assert done[0] == code, done
    trial, reported = recorded()
    assert (trial.status, trial.errors, reported) == (status, errors, status.name)


@pytest.mark.parametrize(
    ("body", "code", "status", "errors"),
    [
        ("pass", 0, Status.Completed, []),
        ("raise ValueError", 1, Status.Exception, ["<class 'ValueError'>"]),
    ],
)
def test_a_trial_that_nobody_finishes_is_finished_at_exit(body, code, status, errors):
    """Without a block the program's own end is the trial's."""
    block = "\nif True:\n    client.start()\n    print('ready', flush=True)\n"
    done = end(start(body, block=block))
    assert done[0] == code, done
    trial, reported = recorded()
    assert (trial.status, trial.errors, reported) == (status, errors, status.name)


def test_what_was_logged_survives_a_kill():
    """A process that dies without a word loses nothing it was told was logged."""
    body = """
    for step in range(1000):
        trial.log_metrics(step=step, loss=step / 2)
    print("logged", flush=True)
    time.sleep(20)
    """
    process = start(body)
    assert process.stdout.readline() == "logged\n"
    assert end(process, signal.SIGKILL)[0] == -signal.SIGKILL
    store = get_protocol("file:report.json")
    (trial,) = store.fetch_trials()
    assert trial.metrics["loss"] == {step: step / 2 for step in range(1000)}
    assert trial.status is Status.Running
    store.close()
