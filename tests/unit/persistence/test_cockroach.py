"""The database backend: its URIs, its spool, and what its calls wait for."""

import json

import pytest

from tests.databases import KINDS, free_port, uri_of
from tests.programs import run_python
from track import TrackClient
from track.errors import BackendError, JournalUnreachable
from track.forwarding.spool import Spool
from track.persistence import get_protocol
from track.persistence.cockroach import Cockroach, _servers, sync
from track.structure import Project, Status, Trial


@pytest.fixture(params=KINDS)
def uri(request, tmp_path):
    return uri_of(request.param, str(tmp_path)[-200:], spool=tmp_path / "spool")


@pytest.fixture
def nowhere(tmp_path):
    """A store whose server is away."""
    return (
        f"postgres://postgres@127.0.0.1:{free_port()}/postgres"
        f"?timeout=0.1&log=x&spool={tmp_path / 'spool'}"
    )


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


# URIs


@pytest.mark.parametrize(
    ("uri", "hosts", "login"),
    [
        ("cockroach://db", [("db", 26257)], {"user": "root", "dbname": "defaultdb"}),
        ("cockroach://", [("localhost", 26257)], {"user": "root", "dbname": "defaultdb"}),
        (
            "cockroach://127.0.0.1:8123",
            [("127.0.0.1", 8123)],
            {"user": "root", "dbname": "defaultdb"},
        ),
        (
            "cockroach://me:p%40ss:w@A:1,b,c:3/mine",
            [("A", 1), ("b", 26257), ("c", 3)],
            {"user": "me", "password": "p@ss:w", "dbname": "mine"},
        ),
        ("cockroach://[::1]:5/x", [("::1", 5)], {"user": "root", "dbname": "x"}),
        ("postgres://db/x", [("db", 5432)], {"dbname": "x"}),
        ("postgresql://me@[::1]", [("::1", 5432)], {"user": "me"}),
    ],
)
def test_uris_name_servers_and_how_to_log_in(uri, hosts, login):
    """With the ports, users and databases that each kind of database has by itself."""
    assert _servers(uri) == (hosts, login)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("cockroach://me:s3cret@db?lgo=x", "did you mean 'log'"),
        ("cockroach://me:s3cret@db:port/x", "'port'"),
        ("cockroach://me:s3cret@db:70000/x", "'70000'"),
        ("cockroach://me:s3cret@db?timeout=soon", "'soon'"),
        ("cockroach://me:s3cret@db?durability=some", "'some'"),
        (f"cockroach://me:s3cret@db?log={'x' * 256}", "255"),
    ],
)
def test_a_uri_that_makes_no_sense_is_refused(uri, words):
    """By the part that is wrong, and without the password."""
    with pytest.raises(BackendError, match=words) as caught:
        get_protocol(uri)
    assert "s3cret" not in str(caught.value)


def test_options_of_clients_are_left_to_them(spool):
    """Some put their own on the URI of a store."""
    get_protocol(f"cockroach://db?objective=loss&spool={spool}").journal.journal.close()


@pytest.mark.parametrize("scheme", ["cockroach", "postgres", "postgresql"])
def test_schemes_are_registered(scheme, spool):
    """One backend has several names; making one neither connects nor writes."""
    store = get_protocol(f"{scheme}://nowhere.invalid?spool={spool}")
    assert type(store) is Cockroach
    assert not spool.exists()


def test_spools_are_where_the_system_keeps_state(monkeypatch, tmp_path):
    """Or where the URI says; each store has its own, whoever logs in and in whatever order."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def folder(uri):
        return get_protocol(uri).forwarder.spool.folder

    mine = folder("cockroach://me:s3cret@a:1,b:2/x?log=l")
    assert mine.startswith(str(tmp_path / "state" / "track" / "spool") + "/a-1-b-2-x-l-")
    assert mine == folder("cockroach://you@b:2,a:1/x?log=l")
    others = {folder(f"cockroach://a:1,b:2/{rest}") for rest in ("x?log=m", "y?log=l", "")}
    assert len({mine, *others}) == 4
    assert folder(f"cockroach://a?spool={tmp_path / 'here'}").startswith(str(tmp_path / "here"))
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert folder("cockroach://a").startswith(str(tmp_path / "home/.local/state/track/spool"))


def test_a_spool_without_a_home_is_not_in_the_working_folder(monkeypatch):
    """Where a user without a home may not write, the first event says which option to use."""
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # knows nobody
    folder = get_protocol("cockroach://a").forwarder.spool.folder
    assert folder.startswith("/.local/state/track/spool/")


def test_a_missing_driver_is_named():
    """With the extra that brings it."""
    program = """
import sys
sys.modules["psycopg2"] = None
from track import TrackClient
from track.errors import BackendError
try:
    TrackClient("cockroach://me:s3cret@db")
except BackendError as error:
    assert "track-journal[cockroach]" in str(error)
    assert "s3cret" not in str(error)
else:
    raise AssertionError
"""
    run_python(program)


def test_the_driver_is_imported_when_it_is_needed():
    """And so is everything else that stores on local disks can do without."""
    program = """
import sys
from track import TrackClient
TrackClient("memory:")
loaded = {"psycopg2", "track.forwarding.journal", "track.persistence.cockroach"}
assert not loaded & set(sys.modules)
"""
    run_python(program)


# A trial from its beginning to its end


def train(client):
    """Log a trial, with what training scripts log."""
    client.set_project(name="p", description="d", metadata={"a": 1})
    client.set_group(name="g")
    trial = client.new_trial(name="t", parameters={"lr": 0.1, "a.b": 1})
    with trial:
        for step in range(20):
            trial.log_metrics(step=step, loss=1 / (step + 1), bad=float("nan"))
        trial.log_metrics(accuracy=0.98)
        trial.log_metadata(note="x")
        trial.add_tags(kind="test")
    return trial


def report_of(client, path):
    client.save(str(path))
    (project,) = json.loads(path.read_text())
    for trial in project["trials"]:
        trial["metadata"].pop("_last_change")
        trial["chronos"]["runtime"] = 0
    return project


def test_a_trial_is_the_same_as_in_a_file(uri, tmp_path, spool):
    """The report of a database is that of a file, and nothing stays in the spool."""
    client, local = TrackClient(uri), TrackClient(f"file:{tmp_path / 'local.json'}")
    train(client)
    train(local)
    assert report_of(client, tmp_path / "a.json") == report_of(local, tmp_path / "b.json")
    client.close()
    local.close()
    assert files_in(spool) == []


def test_the_end_of_a_trial_waits_until_everything_is_there(uri):
    """Somebody else sees it as soon as the block is left."""
    other = get_protocol(uri)
    client = TrackClient(uri)
    train(client)
    (trial,) = other.fetch_trials()
    assert trial.status == Status.Completed
    assert len(trial.metrics["loss"]) == 20
    client.close()
    other.close()


def test_without_eager_the_end_of_a_trial_does_not_wait(nowhere, spool):
    """It is sent in the background, or by a commit."""
    store = Cockroach(nowhere, eager=False)
    trial = Trial(_hash="a")
    store._streams["a", 0] = 1  # as if it had been made while the server was there
    store.log_trial_start(trial)
    store.log_trial_finish(trial)
    with pytest.raises(JournalUnreachable, match=str(spool)):
        store.commit()
    with pytest.raises(JournalUnreachable, match=str(spool)):
        store.close()


def test_where_errors_are_warnings_the_end_of_a_trial_is_one(nowhere, monkeypatch, told):
    """The option is that of every store; the message says where everything is."""
    monkeypatch.setenv("TRACK_LOG_ON_ERROR", "warn")
    store = TrackClient(nowhere).protocol
    trial = Trial(_hash="a")
    store._streams["a", 0] = 1
    store.log_trial_start(trial)
    store.log_trial_finish(trial)
    assert "are safe in" in told[0]
    with pytest.raises(JournalUnreachable):
        store.new_project(Project(name="p"))
    with pytest.raises(JournalUnreachable):
        store.close()


def test_sync_sends_what_was_left_and_counts_it(uri, spool):
    """Once; the events that had arrived are not counted."""
    assert sync(uri) == 0
    store = Cockroach(uri)
    store.forwarder.spool.on_begin = None
    store.new_project(Project(name="p"))
    trial = store.new_trial(Trial(_hash="a", project_id="p"))
    for step in range(10):
        store.log_trial_metrics(trial, step=step, loss=0.5)
        if step == 4:
            store.forwarder._send_batch()
    store.forwarder.spool.current = None  # as a killed process would leave it
    store.forwarder.spool._release()
    store.forwarder.is_closed = True
    assert len(files_in(spool)) == 2
    assert sync(uri) == 5
    assert sync(uri) == 0
    assert files_in(spool) == []
    other = get_protocol(uri)
    (found,) = other.fetch_trials()
    assert list(found.metrics["loss"]) == list(range(10))
    other.close()


def test_sync_without_a_server_keeps_everything(nowhere, spool):
    """The error is clear, and nothing is gone."""
    store = Cockroach(nowhere)
    left = Spool(store.forwarder.spool.folder)
    left.append([b"a"])
    left.close()
    before = {path: path.read_bytes() for path in files_in(spool)}
    with pytest.raises(JournalUnreachable):
        sync(nowhere)
    assert {path: path.read_bytes() for path in files_in(spool)} == before


def test_the_environment_names_the_store(uri, monkeypatch):
    """As for every other backend."""
    monkeypatch.setenv("TRACK_LOG_BACKEND_NAME", uri)
    client = TrackClient()
    client.set_project(name="p")
    assert [project.uid for project in get_protocol(uri).fetch_projects()] == ["p"]
    client.close()


def test_a_program_that_closes_nothing_loses_nothing(uri, spool):
    """Its last events are sent when it ends, also those outside of a trial's block."""
    program = f"""
from track import TrackClient
client = TrackClient({uri!r})
client.set_project(name="p")
trial = client.new_trial(parameters=dict(a=1))
with trial:
    trial.log_metrics(step=1, loss=0.5)
trial.log_metadata(late=True)
"""
    run_python(program)
    store = get_protocol(uri)
    (trial,) = store.fetch_trials()
    assert trial.metadata["late"] is True
    assert files_in(spool) == []
    store.close()
