"""Check a server with a full disk: acknowledged events are in its journal, the rest in spools."""

import resource
import subprocess
import sys
from hashlib import shake_128
from pathlib import Path

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
    """The option for the events of a process does not matter for those that a server receives."""
    monkeypatch.setenv("TRACK_LOG_ON_ERROR", request.param)


def fill_disk(server, place):
    """Prevent the files of the server from growing."""
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
    """New trials and reservations fail; with space again, both work."""
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


def test_a_content_goes_on_where_a_full_disk_stopped_it(place, tmp_path):
    """The first part stays, events arrive, and with space again the rest follows."""
    large = shake_128(b"large").digest(3_000_000)
    with serving(place) as server:
        client = TrackClient(server.uri(spool=place.spool, timeout=1))
        client.set_project(name="full")
        trial = client.new_trial(parameters={})
        limit = 1_000_000, resource.RLIM_INFINITY
        psutil.Process(server.process.pid).rlimit(resource.RLIMIT_FSIZE, limit)
        digest = client.protocol.content.keep_bytes(large)
        small = client.protocol.content.keep_bytes(b"small")
        trial.log_metrics(step=0, loss=0.5)
        with pytest.raises(JournalUnreachable, match=r"(No space left|File too large).*kept in"):
            client.protocol.commit()
        assert place.steps() == [0]
        (begun,) = Path(f"{place.report}.files/.arriving").iterdir()
        assert begun.stat().st_size == 1_000_000
        server.kill()
        server.start()
        client.protocol.commit()
        client.close()
    place.check_contents({digest, small})
    assert place.files() == []


IN_A_FULL_FOLDER = """
import resource, sys
from track.contents.folder import FolderContents
from track.errors import TrackError
store = FolderContents(sys.argv[1])
kept = [store.keep_bytes(bytes([number]) * 1000) for number in range(3)]
resource.setrlimit(resource.RLIMIT_FSIZE, (3500, resource.RLIM_INFINITY))
for size in (1000, 2_000_000):
    try:
        store.keep_bytes(b"x" * size)
    except TrackError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
kept.append(store.keep_bytes(b"x" * 1000))
for digest in kept:
    store.open(digest).close()
print(sorted(kept) == sorted(FolderContents(sys.argv[1]).digests()))
"""


def test_a_full_disk_costs_only_the_content_that_does_not_fit(tmp_path):
    """The written part is removed again, and with space the content is kept."""
    command = [sys.executable, "-c", IN_A_FULL_FOLDER, str(tmp_path / "contents")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second, are_there = done.stdout.splitlines()
    assert "cannot keep 1000 bytes in" in first
    assert "No space left" in first
    assert "cannot keep 2000000 bytes in" in second
    assert are_there == "True"
    (pack,) = (path for path in (tmp_path / "contents").rglob("*") if path.is_file())
    assert pack.stat().st_size == 4 * (1000 + 52)
