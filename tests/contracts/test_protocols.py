"""Every backend keeps the contract; those that processes share keep it between processes."""

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.contracts.archiving_contract import ArchivingContract
from tests.contracts.backends import BACKENDS, open_file
from tests.contracts.protocol_contract import ProtocolContract, fill
from tests.contracts.query_contract import (
    RESERVED,
    QueryContract,
    filled,  # noqa: F401 - a fixture of the suite
)
from track.persistence import get_protocol
from track.structure import Project, Status, Trial, TrialGroup


@pytest.fixture(params=BACKENDS)
def store(request, tmp_path):
    """A fresh store of each backend."""
    opened = BACKENDS[request.param](tmp_path)
    yield opened
    opened.close()


class TestProtocol(ProtocolContract, ArchivingContract):
    """Objects and what is logged of them."""


class TestQueries(QueryContract):
    """Queries and conditional updates."""


def report_of(folder):
    return json.loads((folder / "store.json").read_text())


def test_the_report_is_on_disk_after_commit(tmp_path):
    """A commit writes the whole state as JSON, with trials inside their project."""
    store = open_file(tmp_path)
    assert report_of(tmp_path) == []
    trial = fill(store, parameters={"a.b": 1})
    store.log_trial_metrics(trial, step=0, loss=float("nan"))
    store.set_trial_status(trial, RESERVED)
    store.commit()
    (project,) = report_of(tmp_path)
    (written,) = project["trials"]
    assert (project["dtype"], written["dtype"], written["uid"]) == ("project", "trial", "hash_0")
    assert written["parameters"] == {"a": {"b": 1}}
    assert written["metrics"] == {"loss": {"0": "NaN"}}
    assert written["status"] == {"name": "reserved", "value": 2}
    store.log_trial_start(trial)
    store.log_trial_finish(trial, None, None, None)
    store.commit()
    assert "runtime" in report_of(tmp_path)[0]["trials"][0]["chronos"]


def test_a_lazy_store_writes_only_when_told(tmp_path):
    """Without eagerness the end of a trial leaves the report to the next commit."""
    from track.persistence import make_local

    store = make_local(f"file:{tmp_path / 'store.json'}", strict=True, eager=False)
    trial = fill(store)
    store.log_trial_start(trial)
    store.log_trial_finish(trial, None, None, None)
    assert report_of(tmp_path) == []
    store.commit()
    assert len(report_of(tmp_path)) == 1
    store.close()


def test_a_lenient_store_takes_trials_of_unknown_projects(tmp_path):
    """Without strictness a trial may name a project and a group that do not exist."""
    from track.persistence import make_local

    store = make_local("memory:", strict=False)
    trial = Trial(project_id="unknown", group_id="unknown")
    assert store.new_trial(trial) is trial
    assert store.fetch_trials({"group_id": "unknown"}) == [trial]


# Between processes, each with a store of its own; tests/e2e has those that reserve trials.


def update(uri):
    store = get_protocol(uri)
    trial = Trial(_hash="hash")
    for value in range(5):
        store.log_trial_metadata(trial, value=value)
        store.log_trial_metrics(trial, loss=value)
    store.set_trial_status(trial, Status.Running)
    store.close()


def insert(uri):
    store = get_protocol(uri)
    store.new_project(Project(name="project"))
    store.new_trial_group(TrialGroup(_uid="group", name="g", project_id="project"))
    trial = store.new_trial(Trial(_hash="hash", project_id="project"), auto_increment=True)
    store.close()
    return trial.revision


def in_processes(task, uri, count):
    with ProcessPoolExecutor(max_workers=count, mp_context=get_context("fork")) as pool:
        return [future.result() for future in [pool.submit(task, uri) for _ in range(count)]]


def test_no_update_of_twenty_processes_is_lost(tmp_path):
    """Each change of each process is counted, and the open store sees them all."""
    store = open_file(tmp_path)
    fill(store)
    in_processes(update, store.uri, 20)
    (trial,) = store.fetch_trials()
    assert trial.metadata["_update_count"] == 20 * 11
    assert sorted(trial.metrics["loss"]) == sorted([0, 1, 2, 3, 4] * 20)
    (written,) = report_of(tmp_path)[0]["trials"]
    assert written["metadata"]["_update_count"] == 20 * 11


def test_processes_that_start_at_once_share_one_project(tmp_path):
    """Whoever is first makes the project; the revisions of the trials differ."""
    revisions = in_processes(insert, f"file:{tmp_path / 'store.json'}", 8)
    assert sorted(revisions) == list(range(8))
    store = open_file(tmp_path)
    assert len(store.fetch_projects()) == len(store.fetch_groups()) == 1
