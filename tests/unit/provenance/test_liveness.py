"""Trials whose process died are told from those that run, and can be gone on with."""

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.programs import run_python
from track import TrackClient
from track.events.types import Heartbeat
from track.persistence import get_protocol
from track.persistence.multiplexer import ProtocolMultiplexer
from track.provenance import liveness
from track.provenance.liveness import derive_status
from track.structure import LOST, CustomStatus, Project, Status, Trial
from track.utils.process import this_process

ROOT = Path(__file__).resolve().parents[3]
URIS = ["file:store.json", "lmdb:store.lmdb"]

PROGRAM = """
import os, sys
sys.path.insert(0, {root!r})
from track import TrackClient
client = TrackClient({uri!r})
client.set_project(name="p")
trial = client.new_trial(parameters={{"lr": 0.1}}).start()
for step in range(5):
    trial.log_metrics(step=step, loss=step / 7)
print(trial.uid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=URIS)
def uri(request):
    return request.param


@pytest.fixture
def running(uri):
    """A process that runs a trial, and the trial's uid."""
    program = PROGRAM.format(root=str(ROOT), uri=uri)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def trial_of(store, uid):
    (trial,) = store.fetch_trials({"uid": uid})
    return trial


def test_a_trial_whose_process_was_killed_is_lost_at_once(uri, running):
    """Until then it runs, and what was recorded of it does not change."""
    process, uid = running
    store = get_protocol(uri)
    assert store.status_of(trial_of(store, uid)) == Status.Running
    process.kill()
    process.wait()
    assert store.status_of(trial_of(store, uid)) == LOST
    assert str(store.status_of(trial_of(store, uid))) == "lost"
    assert trial_of(store, uid).status == Status.Running
    store.close()


def test_a_trial_of_a_process_that_nobody_waited_for_is_lost(uri, running):
    """A zombie runs nothing any more."""
    process, uid = running
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert get_protocol(uri).status_of(Trial(_hash=uid[:-2])) == LOST


def test_a_lost_trial_is_gone_on_with(uri, running):
    """``set_trial`` and a start continue it: what both processes logged is there, and it ends."""
    process, uid = running
    process.kill()
    process.wait()
    client = TrackClient(uri)
    with client.set_trial(uid=uid) as trial:
        assert client.protocol.status_of(trial.trial) == Status.Running
        for step in range(5, 10):
            trial.log_metrics(step=step, loss=step / 7)
    found = trial_of(client.protocol, uid)
    assert found.metrics["loss"] == {step: step / 7 for step in range(10)}
    assert client.protocol.status_of(found) == found.status == Status.Completed
    assert found.chronos["runtime"] >= 0
    client.close()


def test_a_trial_that_ended_is_never_lost(uri):
    """Whatever became of its process."""
    program = PROGRAM.format(root=str(ROOT), uri=uri).replace("sys.stdin.read()", "trial.finish()")
    done = run_python(program)
    store = get_protocol(uri)
    assert store.status_of(trial_of(store, done.stdout.strip())) == Status.Completed
    store.close()


def test_without_heartbeats_nothing_is_known():
    """A status that others keep, as hyper-parameter searches do, is theirs to judge."""
    store = get_protocol("memory:")
    store.new_project(Project(name="p"))
    trial = store.new_trial(Trial(project_id="p", status=Status.Running))
    assert store.status_of(trial) == Status.Running
    assert store.status_of(Trial(_hash="unknown")) is None
    store.set_trial_status(trial, CustomStatus("waiting", 102))
    assert store.status_of(trial) == CustomStatus("waiting", 102)


# Heartbeats


@pytest.fixture
def trial():
    """A running trial in memory."""
    client = TrackClient("memory:")
    client.set_project(name="p")
    return client.new_trial(parameters={}).start()


def heartbeats(trial):
    return [
        recorded
        for recorded in trial.protocol.trial_history(trial.trial)
        if isinstance(recorded.event, Heartbeat)
    ]


def remind_now(trial):
    """Have the next heartbeat come with the next event, as after half a minute."""
    producer = trial.protocol.producer
    producer.remind(time.time_ns(), producer._remind)


def test_a_start_is_a_heartbeat_that_says_who(trial):
    """From then on there is one to be told from."""
    (first,) = heartbeats(trial)
    assert tuple(first.event) == tuple(this_process())
    assert first.event.pid == os.getpid()


@pytest.mark.parametrize(
    "log",
    [
        lambda trial: trial.log_metrics(step=1, loss=0.5),
        lambda trial: trial.log_metadata(a=1),
        lambda trial: trial.add_tags(a=1),
        lambda trial: trial.chrono("x").__enter__(),
    ],
    ids=["metrics", "metadata", "tags", "chrono"],
)
def test_log_calls_are_heartbeats_now_and_then(trial, log):
    """Those that come too early record none, the first that does not records one."""
    log(trial)
    assert len(heartbeats(trial)) == 1
    remind_now(trial)
    log(trial)
    assert len(heartbeats(trial)) == 2
    log(trial)
    assert len(heartbeats(trial)) == 2


def test_a_trial_that_ended_has_no_more_heartbeats(trial):
    """Another trial of the process goes on having its own."""
    other = TrackClient(trial.protocol)
    other.set_project(name="p")
    other.new_trial(parameters={"x": 1}).start()
    trial.finish()
    remind_now(trial)
    trial.log_metadata(late=True)
    assert len(heartbeats(trial)) == 1
    assert len(heartbeats(other)) == 2
    other.finish()
    trial.log_metadata(later=True)
    assert trial.protocol.producer._reminder_ns > time.time_ns() * 2


def test_a_client_that_ran_a_trial_is_released_when_it_is_dropped(uri):
    """Nothing in it refers back to it, so its files are closed without a garbage collection."""

    def run():
        client = TrackClient(uri)
        client.set_project(name="p")
        with client.new_trial() as trial:
            trial.log_metrics(step=1, loss=0.5)

    run()
    gc.collect()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            run()
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()


def test_heartbeats_change_nothing_that_is_seen(trial):
    """Neither the count of updates nor anything else of a trial."""
    before = trial.protocol.fetch_trials()[0]
    trial.protocol._heartbeats.beat()
    after = trial.protocol.fetch_trials()[0]
    assert vars(before) == vars(after)


def test_a_forked_child_does_not_speak_for_its_parent(trial):
    """What a child logs is no sign that the process lives which started the trial."""
    trial.protocol._heartbeats.renew_after_fork()
    trial.log_metrics(step=1, loss=0.5)
    trial.protocol._heartbeats.beat()
    assert len(heartbeats(trial)) == 1


def test_a_multiplexer_asks_its_first_backend():
    """As it does for everything else that is read."""
    store = ProtocolMultiplexer(get_protocol("memory:"), get_protocol("memory:"))
    store.new_project(Project(name="p"))
    trial = store.new_trial(Trial(project_id="p"))
    store.log_trial_start(trial)
    store.set_trial_status(trial, Status.Running)
    assert store.status_of(trial) == Status.Running


# Other machines

HERE = Heartbeat(*this_process())
ELSEWHERE = HERE._replace(host="far away", place="another boot")
DEAD = HERE._replace(started=HERE.started - 1)
NOW_S, LONG_AGO_S = 0, -3600


@pytest.mark.parametrize(
    ("beats", "expected"),
    [
        ({}, Status.Running),
        ({HERE: LONG_AGO_S}, Status.Running),
        ({DEAD: NOW_S}, LOST),
        ({DEAD: NOW_S, HERE: LONG_AGO_S}, Status.Running),
        ({ELSEWHERE: NOW_S}, Status.Running),
        ({ELSEWHERE: LONG_AGO_S}, LOST),
        ({ELSEWHERE: LONG_AGO_S, DEAD: NOW_S}, LOST),
        ({ELSEWHERE._replace(place=""): LONG_AGO_S}, LOST),
    ],
)
def test_silence_tells_where_nobody_can_look(beats, expected):
    """A process of this machine is looked for; one elsewhere must have been heard of lately."""
    at_ns = {beat: time.time_ns() + 10**9 * age_s for beat, age_s in beats.items()}
    assert derive_status(Trial(status=Status.Running), at_ns) == expected
    assert derive_status(Trial(status=Status.Completed), at_ns) == Status.Completed


def test_whatever_was_logged_lately_is_a_sign_of_life():
    """Heartbeats need not be recorded by the process that logs."""
    trial = Trial(status=Status.Running, metadata={"_last_change": time.time()})
    assert derive_status(trial, {ELSEWHERE: time.time_ns() + 10**9 * LONG_AGO_S}) == Status.Running


def test_how_long_is_too_long_is_an_option(monkeypatch):
    """Where epochs take hours, silence means less."""
    monkeypatch.setenv("TRACK_TRIAL_LOST_AFTER", "7200")
    trial = Trial(status=Status.Running)
    assert derive_status(trial, {ELSEWHERE: time.time_ns() + 10**9 * LONG_AGO_S}) == Status.Running
    assert liveness.LOST_AFTER_S < 3600
