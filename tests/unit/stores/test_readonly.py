"""Stores that are opened to be read are as they were before."""

from pathlib import Path

import pytest

from track.errors import JournalError, StoreNotFound
from track.persistence import get_protocol
from track.reader import Reader
from track.stores.maintenance import compact, repair, replay, verify
from track.stores.readonly import open_for_reading
from track.structure import Trial

pytestmark = pytest.mark.filterwarnings("ignore::track.errors.DamageWarning")


def files():
    return {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}


def fill(uri):
    """Log enough for caches to be made, and remove them."""
    store = get_protocol(uri)
    trial = store.new_trial(Trial(_hash="h"))
    for step in range(5000):
        store.log_trial_metrics(trial, step=step, loss=0.5)
    store.close()
    for path in Path().glob("*.cache"):
        path.unlink()


@pytest.mark.parametrize("uri", ["file:store", "lmdb:store"])
def test_reading_changes_nothing_but_caches(uri):
    """Of those, the next one makes use."""
    fill(uri)
    before = files()
    with Reader(open_for_reading(uri)) as reader:
        assert len([*reader.history("h_0")]) == 5001
        assert len(reader.trial("h_0").metrics["loss"]) == 5000
        assert reader.damage() == []
    after = files()
    assert {Path(name).suffix for name in after.keys() - before.keys()} == {".cache"}
    assert after["store"] == before["store"]


def test_of_a_damaged_journal_no_cache_is_made():
    """Whoever opened the store with one would not be told that something is missing."""
    fill("file:store")
    content = bytearray(Path("store.journal").read_bytes())
    content[len(content) // 2] ^= 0xFF
    Path("store.journal").write_bytes(content)
    before = files()
    for _ in range(2):
        with Reader(open_for_reading("file:store")) as reader:
            assert len([*reader.history("h_0")]) == 5000
            assert len(reader.damage()) == 1
    assert files() == before
    assert len(replay("file:store").findings) == 1
    assert not list(Path().glob("*.cache"))


def test_damage_is_told_behind_a_journal_that_only_warns(monkeypatch):
    """The option ``log.on_error`` is about what is written, and hides nothing of what is read."""
    monkeypatch.setenv("TRACK_LOG_ON_ERROR", "warn")
    fill("file:store")
    content = bytearray(Path("store.journal").read_bytes())
    content[len(content) // 2] ^= 0xFF
    Path("store.journal").write_bytes(content)
    store = get_protocol("file:store")
    assert len(store.fetch_trials()) == 1
    assert len(Reader(store).damage()) == 1
    store.close()


def test_an_empty_file_is_not_made_an_lmdb_store():
    """LMDB would."""
    Path("empty").touch()
    with pytest.raises(JournalError, match="is not a Track journal"):
        open_for_reading("lmdb:empty")
    assert {name: len(content) for name, content in files().items()} == {"empty": 0}


def test_an_lmdb_environment_of_somebody_else_is_left_as_it_is():
    import lmdb

    environment = lmdb.open("other", subdir=False)
    environment.close()
    with pytest.raises(JournalError, match="is not a Track journal"):
        open_for_reading("lmdb:other")
    with lmdb.open("other", subdir=False) as environment, environment.begin() as transaction:
        assert transaction.stat()["entries"] == 0


@pytest.mark.parametrize("maintain", [verify, repair, compact, replay])
def test_maintenance_makes_no_store_of_an_empty_file(maintain):
    """Whoever meant another one is told."""
    Path("empty").touch()
    with pytest.raises(JournalError, match="is not a Track journal"):
        maintain("lmdb:empty")
    assert {name: len(content) for name, content in files().items()} == {"empty": 0}


@pytest.mark.parametrize("scheme", ["file", "lmdb"])
def test_a_store_that_is_not_there_is_not_made(scheme):
    with pytest.raises(StoreNotFound, match="does not exist"):
        open_for_reading(f"{scheme}:nowhere")
    assert files() == {}
