"""Check a spool on a full disk: acknowledged events arrive, and with space logging works again.

The disk is made full as in the tests of stores in files, see there.
"""

import errno
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.crash.test_disk_full import FILL, run, small_disk
from tests.databases import KINDS, port_of, uri_of
from tests.e2e.faults import Place
from tests.e2e.stores import open_store
from tests.proxy import Proxy
from track.errors import JournalUnreachable, JournalWriteError, NotRecordedWarning
from track.events.types import MetricsLogged
from track.structure import Project, Status, Trial

TRIAL = Trial(_hash="trial")

PROGRAM = (
    FILL
    + '''
"""Log until the spool is full, make room, go on; print what each call came to, as JSON."""

import logging
import warnings as python_warnings
from itertools import count
from json import dumps
from tests.proxy import Proxy
from track import TrackClient
from track.errors import JournalWriteError

uri, port = sys.argv[1], int(sys.argv[2])
acknowledged, errors, warnings = [], [], []


class Keep(logging.Handler):
    def emit(self, record):
        warnings.append([record.name, record.getMessage()])


def log(step):
    try:
        trial.log_metrics(step=step, loss=step / 7, pad="x" * (step * 397 % 3000))
        acknowledged.append(step)
    except JournalWriteError as error:
        errors.append(str(error))


logging.getLogger("track").addHandler(Keep())
python_warnings.showwarning = lambda text, *_: warnings.append(["buffered", str(text)])
with Proxy(port) as proxy:
    client = TrackClient(uri.replace(f":{port}/", f":{proxy.port}/"))
    client.set_project(name="full")
    trial = client.new_trial(name="filling", parameters={})
    trial.start()
    proxy.refuse()
    fill()
    steps = count()
    while len(errors) < 3 and len(acknowledged) < 300:
        log(next(steps))
    make_room()
    for _ in range(20):
        log(next(steps))
    proxy.forward()
    trial.finish()
    client.close()
print(dumps({"acknowledged": acknowledged, "errors": errors, "warnings": warnings}))
'''
)


@pytest.fixture(params=KINDS)
def place(request, tmp_path):
    return Place(request.param, tmp_path)


def store_with_a_trial(uri):
    store = open_store(uri)
    store.new_project(Project(name="project"))
    store.new_trial(Trial(_hash="trial", project_id="project"))
    return store


def steps_in(uri):
    store = open_store(uri)
    steps = [r.event.step for r in store.events() if isinstance(r.event, MetricsLogged)]
    store.close()
    return steps


@pytest.fixture(params=["limit", "tmpfs"])
def outcome(request, place, tmp_path):
    """Return the results of a program whose spool was full while its server was away."""
    uri = uri_of(place.kind, place.log, spool="spool")
    program = [sys.executable, "-c", PROGRAM, uri, str(port_of(place.kind))]
    if request.param == "limit":
        return run([*program, "100000"], tmp_path)
    return run([*small_disk(tmp_path), *program, "0"], tmp_path)


def test_a_full_spool_loses_nothing_that_was_acknowledged(outcome, place):
    """Exactly the steps whose calls returned arrive, from before and after the disk was full."""
    place.check(place.uri())
    assert len(outcome["acknowledged"]) > 40
    assert len(outcome["errors"]) == 3
    assert steps_in(place.uri()) == outcome["acknowledged"]
    # Each error names the file, and says that the event is not in it and that space is needed.
    for message in outcome["errors"]:
        assert "spool" in message
        assert "free some space" in message
        assert "was not recorded" in message
        assert "keeps working" in message


def test_a_spool_that_cannot_be_made_says_what_to_do(place):
    """The call that needs the folder fails; once it can be created, the next call works."""
    place.spool.write_text("in the way")
    store = store_with_a_trial(place.uri())
    with pytest.raises(JournalWriteError, match="choose another folder"):
        store.log_trial_metrics(TRIAL, step=0, loss=0.5)
    place.spool.unlink()
    store.log_trial_metrics(TRIAL, step=1, loss=0.5)
    store.close()
    place.check(place.uri())
    assert steps_in(place.uri()) == [1]


class TestForgiving:
    """With ``log.on_error = warn`` a full spool is no error."""

    @pytest.fixture(autouse=True)
    def forgiving(self, monkeypatch):
        monkeypatch.setenv("TRACK_LOG_ON_ERROR", "warn")

    def test_everything_that_was_kept_in_memory_arrives(self, outcome, place):
        """No call fails, no event is missing, and each cause is warned of once, as is its end."""
        place.check(place.uri())
        assert outcome["errors"] == []
        assert steps_in(place.uri()) == outcome["acknowledged"] == list(range(320))
        warnings = [text for name, text in outcome["warnings"] if name.endswith("buffered")]
        full, works = warnings[:-1], warnings[-1]
        assert full
        assert len({text.split(":")[0] for text in full}) == len(full) <= 2
        assert all("free some space" in text and "kept in memory" in text for text in full)
        assert "works again" in works

    def test_a_commit_takes_what_was_kept_in_memory_along(self, place):
        """When it returns, the database has that, too."""
        store = store_with_a_trial(place.uri())
        store.forwarder.spool.on_begin = None  # nothing is sent in the background
        place.spool.write_text("in the way")
        with pytest.warns(NotRecordedWarning, match="choose another folder"):
            store.log_trial_metrics(TRIAL, step=0, loss=0.5)
        place.spool.unlink()
        store.commit()
        assert steps_in(place.uri()) == [0]
        store.close()

    def test_what_was_kept_in_memory_overtakes_nothing(self, place, monkeypatch):
        """Also when the next to write is another thread, which decides and so needs no spool."""
        with Proxy(port_of(place.kind)) as proxy:
            uri = place.uri(proxy.port, timeout=1)
            store = store_with_a_trial(uri)
            store.forwarder.spool.on_begin = None  # nothing is sent in the background
            with store.exclusive_state(), ThreadPoolExecutor(1) as pool:
                pool.submit(store.log_trial_metrics, TRIAL, step=0, loss=0.5).result()
                with monkeypatch.context() as full:
                    full.setattr(os, "write", refuse)
                    with pytest.warns(NotRecordedWarning):
                        pool.submit(store.log_trial_metrics, TRIAL, step=1, loss=0.5).result()
                store.set_trial_status(TRIAL, Status.Running)
            proxy.refuse()
            with pytest.raises(JournalUnreachable):
                store.close()
            proxy.forward()
            assert steps_in(uri) == [0, 1]


def refuse(fd, data):
    raise OSError(errno.ENOSPC, "No space left on device")
