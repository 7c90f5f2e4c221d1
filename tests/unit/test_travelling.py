"""Clients, loggers and readers are pickled and copied: what arrives is a handle of the store."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cloudpickle
import joblib
import pytest

import track
from tests.databases import uri_of as database_uri
from tests.programs import run_at_once
from tests.relays import served
from track import TrackClient
from track.errors import BackendError, NotRecordedWarning, TrackError
from track.events.types import MetricsLogged, StatusChanged
from track.journals.memory import MemoryJournal
from track.persistence import get_protocol, register
from track.persistence.deferred import DeferredProtocol, anchored
from track.persistence.journaled import JournaledProtocol
from track.persistence.local import FileProtocol
from track.persistence.multiplexer import ProtocolMultiplexer
from track.structure import Status

WORKERS = 3


def work(logger, number):
    """Log from wherever this runs."""
    logger.log({"loss/worker": number}, step=number)
    logger.log_metrics(step=number, **{f"m{number}": number / 7})
    return os.getpid()


def producers_of(protocol, uid):
    """Return which producers logged metrics of a trial."""
    history = protocol.trial_history(track.Trial(_hash=uid[:64], revision=int(uid[65:])))
    return {one.producer for one in history if isinstance(one.event, MetricsLogged)}


def check(uri, uid, *, producers):
    """Everything that the workers logged is there, each from a producer of its own."""
    protocol = get_protocol(uri)
    (trial,) = protocol.fetch_trials({"uid": uid})
    assert trial.metrics["loss/worker"] == {number: number for number in range(WORKERS)}
    assert len(producers_of(protocol, uid)) >= producers
    history = protocol.trial_history(trial)
    changes = [one.event.name for one in history if isinstance(one.event, StatusChanged)]
    assert changes == ["Running", "Completed"]  # the workers began and ended nothing
    protocol.close()


@pytest.fixture(params=["file", "lmdb", "socket", "postgres"])
def uri(request, tmp_path):
    """A store of each kind that other processes can open."""
    if request.param == "socket":
        with served(f"file:{tmp_path}/far.json") as running:
            yield running.uri(spool="spool")
    elif request.param == "postgres":
        yield database_uri("postgres", str(tmp_path)[-255:], spool="spool")
    else:
        yield f"{request.param}:store.{request.param}"


def test_workers_of_every_start_method(uri):
    """Spawned and forked ones get the logger as an argument, and log to the one trial."""
    client = TrackClient(uri)
    with client.new_trial(parameters={"lr": 0.1}) as trial:
        for number, method in enumerate(("spawn", "fork", "forkserver")):
            worker = multiprocessing.get_context(method).Process(target=work, args=(trial, number))
            worker.start()
            worker.join()
            assert worker.exitcode == 0
    client.close()
    check(uri, trial.uid, producers=WORKERS)


def test_joblib_and_loky(tmp_path):
    """What scikit-learn runs its searches with."""
    client = TrackClient("file:s.json")
    with client.new_trial(parameters={"lr": 0.1}) as trial:
        pool = joblib.Parallel(n_jobs=2, backend="loky")
        pids = pool(joblib.delayed(work)(trial, number) for number in range(WORKERS))
    assert os.getpid() not in pids
    client.close()
    check(f"file:{tmp_path}/s.json", trial.uid, producers=len(set(pids)))


def test_cloudpickle_as_ray_does_it(tmp_path):
    """In a process with another working folder."""
    client = TrackClient("file:s.json")
    with client.new_trial(parameters={"lr": 0.1}) as trial:
        for number in range(WORKERS):
            Path("work.pickle").write_bytes(cloudpickle.dumps((trial, number)))
            code = (
                "import os, pickle, sys\n"
                "trial, number = pickle.load(open(sys.argv[1], 'rb'))\n"
                "trial.log({'loss/worker': number}, step=number)\n"
            )
            command = [sys.executable, "-c", code, os.path.abspath("work.pickle")]
            environment = {"PYTHONPATH": str(Path(track.__file__).parents[1])}
            subprocess.run(command, env=environment, cwd="/", check=True)
    client.close()
    check("file:s.json", trial.uid, producers=WORKERS)


def test_a_client_arrives_with_its_project_and_trial():
    """So that new trials of the worker are beside the one that was there."""
    client = TrackClient("file:s.json")
    client.set_project("p")
    client.set_group("g")
    client.new_trial("first", parameters={"lr": 0.1})
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        uid = pool.submit(next_trial, client).result()
    (first, second) = client.protocol.fetch_trials({"project_id": "p"})
    assert (first.uid, second.uid) == (client.uid, uid)
    assert second.group_id == client.group.uid
    client.close()


def next_trial(client):
    client.finish()
    with client.new_trial("second", parameters={"lr": 0.2}) as trial:
        return trial.uid


def test_a_trial_that_waits_is_inserted_before_it_travels():
    """What is logged anywhere belongs to one trial, so it must be known which."""
    client = TrackClient("file:s.json")
    trial = client.new_trial("t")
    copies = [pickle.loads(pickle.dumps(one)) for one in (trial, client)]
    for number, one in enumerate(copies):
        one.log({"x": number})
        one.protocol.close()
    assert [one.uid for one in client.protocol.fetch_trials()] == [trial.uid]
    assert trial.metrics == {"x": [0, 1]} or client.protocol.fetch_trials()[0].metrics == {
        "x": [0, 1]
    }
    client.close()


def test_a_reader_arrives_as_one():
    """It opens the store to look at it when somebody asks."""
    client = TrackClient("file:s.json?durability=process")
    client.new_trial("t", parameters={"lr": 0.1}).log({"loss": 1}, step=0)
    client.close()
    with track.open("file:s.json?durability=process") as reader:
        arrived = pickle.loads(pickle.dumps(reader))
        assert copy.deepcopy(reader).trials()[0].name == "t"
    os.mkdir("elsewhere")
    os.chdir("elsewhere")
    with arrived as store:
        assert store.trial("t").metrics["loss"] == {0: 1}
        assert store.status(store.trial("t")) is Status.CreatedGroup
        assert [one.event for one in store.history("t")] != []
    arrived.close()


def test_nothing_is_opened_before_it_is_used():
    """Schedulers pickle and copy what nobody may ever use, on machines that have no store."""
    client = TrackClient("file:s.json")
    trial = client.new_trial(parameters={})
    sent = pickle.dumps((client, trial, track.open("file:s.json")))
    client.close()
    for path in Path().glob("s.json*"):
        path.rename(f"gone-{path}")
    arrived, logger, reader = pickle.loads(sent)
    assert pickle.dumps((arrived, logger, reader))
    assert logger.uid == trial.uid
    assert "s.json" in repr(reader)
    for one in (arrived, reader, logger.protocol):
        one.close()
    logger.protocol.commit()
    logger.protocol.when_idle(lambda: None)
    assert list(Path().glob("s.json*")) == []
    with pytest.raises(track.errors.StoreNotFound):
        reader.trials()


def test_copies_in_one_process_share_the_store():
    """As those that scikit-learn makes of what it clones; a store in memory can be copied so."""
    client = TrackClient("memory:")
    with client.new_trial(parameters={"a": 1}) as trial:
        copied, cloned = copy.copy(trial), copy.deepcopy({"callbacks": [trial]})["callbacks"][0]
        assert (copied.uid, cloned.uid) == (trial.uid, trial.uid)
        assert not copied.is_running
        copied.log({"x": 1})
        cloned.log({"x": 2})
    assert copy.deepcopy(client).protocol is client.protocol
    (found,) = client.protocol.fetch_trials()
    assert (found.metrics, found.status) == ({"x": [1, 2]}, Status.Completed)


def test_a_store_in_memory_does_not_travel():
    """Nobody else could open it, and it is better to know that at once."""
    client = TrackClient("memory:")
    client.new_trial(parameters={})
    with pytest.raises(TrackError, match="MemoryProtocol, a store in memory, cannot be opened by"):
        pickle.dumps(client)


def test_threads_that_use_a_handle_at_once_open_it_once():
    """Whoever comes second waits."""
    opened = []
    both = threading.Barrier(2)

    def opens(uri):
        opened.append(uri)
        return get_protocol(uri)

    handle = DeferredProtocol("memory:", opens)

    def use():
        both.wait()
        handle.fetch_trials()

    threads = [threading.Thread(target=use) for _ in range(2)]
    run_at_once(threads)
    assert opened == ["memory:"]


def test_what_fails_to_write_waits_elsewhere_too(monkeypatch):
    """The option belongs to the client, whatever the environment of its workers says."""
    monkeypatch.setenv("TRACK_LOG_ON_ERROR", "warn")
    client = TrackClient("file:s.json")
    trial = client.new_trial(parameters={})
    monkeypatch.delenv("TRACK_LOG_ON_ERROR")
    arrived = pickle.loads(pickle.dumps(trial))
    full = os.open("/dev/full", os.O_RDWR)
    arrived.log({"x": 0})
    os.dup2(full, arrived.protocol.journal.journal.file.descriptor())
    with pytest.warns(NotRecordedWarning):
        arrived.log({"x": 1})
    os.close(full)
    client.close()


def test_a_backend_of_ones_own_that_is_registered():
    """It is opened by its URI, in a process that knows it."""

    def opens(uri):
        return JournaledProtocol(MemoryJournal(), uri=uri)

    register("mine", opens)
    arrived = pickle.loads(pickle.dumps(opens("mine:x")))
    assert type(arrived.opened) is JournaledProtocol
    with pytest.raises(BackendError, match="unknown backend 'unknown:'"):
        pickle.loads(pickle.dumps(opens("unknown:x"))).fetch_trials()


class Mine(FileProtocol):
    """A backend of a user, derived from one of ours."""


def test_backends_arrive_as_what_they_were():
    """Also those of users, and several at once."""
    first = Mine("file:a.json", strict=False, eager=False)
    second = get_protocol("file:b.json")
    arrived = pickle.loads(pickle.dumps(ProtocolMultiplexer(first, second)))
    opened = arrived.backends[0].opened
    assert (type(opened), opened.strict, opened.eager) == (Mine, False, False)
    assert opened.producer is not first.producer
    assert arrived.backends[0].content is opened.content
    for protocol in (first, second, *arrived.backends):
        protocol.close()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("file:a.json", "file:{}/a.json"),
        ("file://a.json?durability=always", "file:{}/a.json?durability=always"),
        ("a.json", "file:{}/a.json"),
        ("file:/b/a.json", "file:/b/a.json"),
        ("lmdb:a.lmdb?lock_timeout=3", "lmdb:{}/a.lmdb?lock_timeout=3"),
        ("socket://ada:pw@host:81?spool=s&ca=c.pem", "socket://ada:pw@host:81?spool={0}/s&ca={0}/c.pem"),
        ("postgres://host/db?log=x", "postgres://host/db?log=x"),
        ("byob://x?a=b", "byob://x?a=b"),
        ("memory:", "memory:"),
        ("none", "none"),
    ],
)  # fmt: skip
def test_a_uri_that_travels_names_the_same_store(uri, expected, tmp_path):
    """Paths in it are absolute; whatever else it said, it says."""
    assert anchored(uri) == expected.format(tmp_path)


def test_no_secret_is_added(tmp_path, monkeypatch):
    """What the environment knows stays in the environment."""
    monkeypatch.setenv("PGPASSWORD", "hunter2-secret")
    protocol = get_protocol(database_uri("postgres", str(tmp_path)[-255:], spool=tmp_path / "s"))
    assert b"hunter2" not in pickle.dumps(protocol)
    protocol.close()
