"""A server whose disk is full: what it acknowledges is in its journal, the rest stays in spools."""

import resource

import psutil
import pytest

from tests.e2e.relay_work import Place, serving
from tests.e2e.stores import open_store
from track import TrackClient
from track.errors import JournalUnreachable, JournalWriteError
from track.structure import Project, Trial

STEPS = range(50)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture(params=["raise", "warn"], autouse=True)
def on_error(request, monkeypatch):
    """Whatever those who start servers and clients choose for what they log themselves."""
    monkeypatch.setenv("TRACK_LOG_ON_ERROR", request.param)


def fill_disk(server, place):
    """Let no file of the server grow any more."""
    limit = place.size, resource.RLIM_INFINITY
    psutil.Process(server.process.pid).rlimit(resource.RLIMIT_FSIZE, limit)


def test_what_a_full_server_did_not_journal_survives_its_death(place):
    """The client keeps it, however the server ends, and the next server has all of it, once."""
    with serving(place) as server:
        client = TrackClient(server.uri(spool=place.spool, timeout=1))
        client.set_project(name="full")
        trial = client.new_trial(parameters={})
        fill_disk(server, place)
        for step in STEPS:
            trial.log_metrics(step=step, loss=step / 7)
        with pytest.raises(JournalUnreachable, match=r"No space left|File too large"):
            client.protocol.commit()
        assert place.steps() == []
        assert place.files() != []
        server.kill()
        server.start()
        client.protocol.commit()
        assert place.steps() == [*STEPS]
        client.close()
    assert place.files() == []


def test_what_a_full_server_cannot_record_is_not_decided(place):
    """Neither a new trial nor a reservation; with room again, both go on."""
    with serving(place) as server:
        store = open_store(server.uri(spool=place.spool, timeout=1))
        store.new_project(Project(name="full"))
        store.new_trial(Trial(_hash="a", project_id="full"))
        before = place.payloads()
        fill_disk(server, place)
        with pytest.raises(JournalWriteError):
            store.new_trial(Trial(_hash="b", project_id="full"))
        with pytest.raises(JournalWriteError):
            store.fetch_and_update_trial({"uid": "a_0"}, "add_trial_tags", mine=True)
        assert [trial.uid for trial in store.fetch_trials()] == ["a_0"]
        assert place.payloads() == before
        server.kill()
        server.start()
        store.fetch_and_update_trial({"uid": "a_0"}, "add_trial_tags", mine=True)
        assert len(place.payloads()) == len(before) + 1
        store.close()
