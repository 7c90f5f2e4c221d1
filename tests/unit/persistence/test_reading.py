"""Stores that are opened to be read are as they were before."""

from pathlib import Path

import pytest

from track.errors import JournalError, StoreNotFound
from track.persistence import get_protocol
from track.persistence.reading import open_for_reading
from track.structure import Project, Trial


@pytest.fixture(params=["file:store", "lmdb:store"])
def uri(request):
    """The URI of a store with more events than a snapshot is made of."""
    store = get_protocol(request.param)
    store.new_project(Project(name="p"))
    trial = store.new_trial(Trial(_hash="h", project_id="p"))
    for step in range(5000):
        store.log_trial_metrics(trial, step=step, loss=0.5)
    store.close()
    for path in (*Path().glob("*.snapshot"), *Path().glob("*.streams")):
        path.unlink()
    return request.param


def files():
    return {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}


def test_reading_leaves_no_cache_behind(uri):
    """Neither a snapshot nor an index, however many events were read."""
    before = files()
    store = open_for_reading(uri)
    (trial,) = store.fetch_trials()
    assert len(store.trial_history(trial)) == 5001
    store.close()
    assert files().keys() == before.keys()
    assert files()["store"] == before["store"]


def test_an_empty_file_is_not_made_an_lmdb_store():
    """LMDB would."""
    Path("empty").touch()
    with pytest.raises(JournalError, match="is no journal of Track"):
        open_for_reading("lmdb:empty")
    assert {name: len(content) for name, content in files().items()} == {"empty": 0}


def test_an_lmdb_environment_of_somebody_else_is_left_as_it_is():
    import lmdb

    environment = lmdb.open("other", subdir=False)
    environment.close()
    with pytest.raises(JournalError, match="is no journal of Track"):
        open_for_reading("lmdb:other")
    with lmdb.open("other", subdir=False) as environment, environment.begin() as transaction:
        assert transaction.stat()["entries"] == 0


@pytest.mark.parametrize("scheme", ["file", "lmdb"])
def test_a_store_that_is_not_there_is_not_made(scheme):
    with pytest.raises(StoreNotFound, match="there is no store"):
        open_for_reading(f"{scheme}:nowhere")
    assert files() == {}
