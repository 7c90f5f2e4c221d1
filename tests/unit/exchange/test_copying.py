"""Every event of a store gets into another one, exactly once."""

import os
import subprocess
import sys
import threading
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import pytest

import track
from tests.databases import uri_of
from tests.programs import run_at_once
from tests.relays import served
from track import TrackClient
from track.errors import BackendError, JournalWriteError
from track.events.codec import Encoder, identify
from track.events.types import TagsAdded
from track.exchange import copy_journal, copy_store, copying
from track.journals.buffered import BufferedJournal
from track.journals.file import FileJournal
from track.journals.journal import PartialDuplicate
from track.journals.memory import MemoryJournal
from track.persistence import get_protocol
from track.persistence.multiplexer import ProtocolMultiplexer

pytestmark = pytest.mark.filterwarnings("ignore:the contents of logged files")

ROOT = os.path.dirname(os.path.dirname(track.__file__))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Several batches are needed for a few events."""
    monkeypatch.setattr(copying, "_BATCH_BYTES", 500)
    monkeypatch.setattr(copying, "_FILE_BATCH_BYTES", 200)


def fill(uri, steps=40):
    """Log a trial, with a file, and return the store."""
    client = TrackClient(uri)
    client.set_project(name="p")
    Path("notes.txt").write_text("some notes")
    with client.new_trial(parameters={"lr": 0.1}) as trial:
        trial.log_file("notes.txt")
        for step in range(steps):
            trial.log_metrics(step=step, loss=step / 7)
    return client.protocol


def payloads(journal):
    return [payload for _, batch in journal.read_batches() for payload in batch]


def event(producer, sequence, tag="x"):
    return Encoder().encode(TagsAdded, [{tag: 1}], 1, producer, sequence, 0)


def test_a_store_goes_through_every_kind_of_journal():
    """Its events arrive in order, its objects are the same, and its files come along."""
    source = fill("file:first.json")
    stores = [source, *map(get_protocol, ("lmdb:second.lmdb", "file:third.json", "memory:"))]
    events = len(payloads(source.journal))
    for here, there in pairwise(stores):
        done = copy_store(here, there)
        assert done[:3] == (events, 0, 0)
        assert payloads(there.journal) == payloads(source.journal)
    assert stores[-1].fetch_trials() == source.fetch_trials()
    assert stores[-1].fetch_trials()[0].metrics == source.fetch_trials()[0].metrics
    for store in stores:
        (kept,) = store.content.digests()
        assert store.content.open(kept).read() == b"some notes"
    assert '"loss"' in Path("third.json").read_text(), "the report is up to date"


def test_copying_twice_copies_nothing():
    """All of it is there already."""
    source, target = fill("file:source.json"), get_protocol("lmdb:target.lmdb")
    first = copy_store(source, target)
    assert (first.left_out, first.files) == (0, 1)
    before = payloads(target.journal)
    assert copy_store(source, target) == (0, first.events, 0, 0)
    assert payloads(target.journal) == before


def test_progress_is_told_along_the_way():
    """Up to the last event."""
    source, target = fill("memory:"), get_protocol("memory:")
    for times in (1, 2):
        told = []
        copy_store(source, target, progress=partial(_note, told))
        assert told == sorted(told), times
        assert len(told) > 3
        assert told[-1] == (source.journal.head(),) * 2


def _note(told, *how_far):
    told.append(how_far)


@pytest.mark.parametrize("calls", range(6))
@pytest.mark.parametrize(
    ("uri", "module", "name"),
    [
        ("lmdb:target.lmdb", "lmdb", "LMDBJournal"),
        ("file:target.json", "file", "FileJournal"),
    ],
)
def test_a_copy_that_was_killed_goes_on(uri, module, name, calls):
    """The next call copies what is missing, and nothing twice."""
    source = fill("file:source.json")
    source.commit()
    program = (
        "import itertools, os, sys\n"
        f"from track.journals.{module} import {name} as Journal\n"
        "append, count = Journal.append, itertools.count()\n"
        f"def dying(*args): return os._exit(7) if next(count) == {calls} else append(*args)\n"
        "Journal.append = dying\n"
        "from track.exchange import copying\n"
        "from track.persistence import get_protocol\n"
        "copying._BATCH_BYTES, copying._FILE_BATCH_BYTES = 500, 200\n"
        f"copying.copy_store(get_protocol('file:source.json'), get_protocol('{uri}'))\n"
    )
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": ROOT}, check=False)
    assert ended.returncode == 7
    target = get_protocol(uri)
    there = len(payloads(target.journal))
    assert (there > 0) == (calls > 0)
    done = copy_store(source, target)
    assert (done.left_out, done.events) == (there, len(payloads(source.journal)) - there)
    assert payloads(target.journal) == payloads(source.journal)


def test_a_target_that_fails_says_so():
    """Even one that forgives whoever logs to it. It gets the rest the next time."""

    class Failing(MemoryJournal):
        appends = 0

        def append(self, payloads):
            self.appends += 1
            if self.appends == 3:
                raise JournalWriteError(28, "no room")
            super().append(payloads)

    source, target = fill("memory:").journal, Failing()
    with pytest.raises(JournalWriteError):
        copy_journal(source, BufferedJournal(target))
    assert 0 < len(payloads(target)) < len(payloads(source))
    copy_journal(source, target)
    assert payloads(target) == payloads(source)


def test_the_source_may_be_appended_to_meanwhile():
    """What this copy does not get, the next one does."""
    source, target = fill("file:source.json"), get_protocol("memory:")
    (trial,) = source.fetch_trials()

    logged = iter(range(40))

    def log_more(position, bound):
        for number in islice(logged, 10):
            source.log_trial_metrics(trial, late=number)

    copy_store(source, target, progress=log_more)
    copy_store(source, target)
    assert payloads(target.journal) == payloads(source.journal)
    assert target.fetch_trials()[0].metrics == source.fetch_trials()[0].metrics


def test_the_target_may_have_events_of_its_own():
    """They stay, and count for nothing."""
    source, target = fill("memory:"), fill("file:target.json", steps=3)
    own = payloads(target.journal)
    copy_store(source, target)
    assert payloads(target.journal) == own + payloads(source.journal)


def test_sequences_may_have_gaps():
    """A call that failed spent its number; every event that is there is copied."""
    source, target = MemoryJournal(), MemoryJournal()
    source.append([event(1, 2), event(2, 7), event(1, 3), event(1, 900), event(2, 8)])
    assert copy_journal(source, target) == (5, 0, 0, 0)
    source.append([event(2, 5000)])
    assert copy_journal(source, target) == (1, 5, 0, 0)
    assert payloads(target) == payloads(source)


def test_what_is_twice_in_the_source_is_once_in_the_target():
    """Producer and sequence say that it is the same event."""
    source, target = MemoryJournal(), MemoryJournal()
    source.append([event(1, 1), event(1, 2), event(1, 1), event(1, 2)])
    assert copy_journal(source, target) == (2, 2, 0, 0)
    assert payloads(target) == [event(1, 1), event(1, 2)]


def test_what_is_no_event_is_left_out_and_counted():
    """Nobody could tell whether it was copied already."""
    source, target = MemoryJournal(), MemoryJournal()
    source.append([b"junk", event(1, 1)])
    assert copy_journal(source, target) == (1, 0, 1, 0)
    assert payloads(target) == [event(1, 1)]


def test_events_of_newer_versions_are_copied_as_they_are():
    """A copy need not understand what it copies."""
    newer = b"\x97\x7f\x09" + event(1, 1)[3:]
    assert identify(newer) == (1, 1)
    source, target = MemoryJournal(), MemoryJournal()
    source.append([newer])
    assert copy_journal(source, target) == (1, 0, 0, 0)
    assert payloads(target) == [newer]


def test_copies_at_once_into_one_target_copy_once():
    """Each has journals of its own, as in two processes."""
    fill("file:source.json", steps=300)
    barrier = threading.Barrier(3)

    def copy():
        here = FileJournal("source.json.journal", "process")
        there = FileJournal("target.journal", "process")
        barrier.wait()
        copy_journal(here, there)

    threads = [threading.Thread(target=copy) for _ in range(3)]
    run_at_once(threads)
    source = FileJournal("source.json.journal", "process")
    target = FileJournal("target.journal", "process")
    assert payloads(target) == payloads(source)


def test_a_store_is_copied_to_a_server_and_back():
    """Which leaves out by itself what it has."""
    source, back = fill("file:source.json"), get_protocol("memory:")
    with served("memory:") as running:
        far = get_protocol(running.uri())
        for expected in (len(payloads(source.journal)), 0):
            assert copy_store(source, far).events == expected
        copy_store(far, back)
        far.close()
    assert payloads(back.journal) == payloads(source.journal)


def test_a_store_is_copied_into_a_database_and_back(tmp_path):
    """Through the spool of this machine, each event once."""
    source, back = fill("file:source.json"), get_protocol("memory:")
    far = get_protocol(uri_of("postgres", str(tmp_path)[-255:], spool=tmp_path / "spool"))
    for expected in (len(payloads(source.journal)), 0):
        assert copy_store(source, far).events == expected
    copy_store(far, back)
    far.close()
    assert payloads(back.journal) == payloads(source.journal)


def test_what_arrives_late_is_left_out_then():
    """A server may find that a part of a batch got there meanwhile, by another way."""

    class Surprised(MemoryJournal):
        deliveries = 0

        def append_foreign(self, payloads):
            self.deliveries += 1
            if self.deliveries == 2:
                self.append(payloads[:1])
                raise PartialDuplicate(17, "some of it is there")
            super().append_foreign(payloads)

    source, target = fill("memory:").journal, Surprised()
    done = copy_journal(source, target)
    assert (done.left_out, done.events) == (1, len(payloads(source)) - 1)
    assert payloads(target) == payloads(source)


def test_a_backend_without_a_journal_is_told():
    """Whichever side it is on."""
    both = ProtocolMultiplexer(get_protocol("memory:"), get_protocol("memory:"))
    for source, target in [(both, get_protocol("memory:")), (get_protocol("memory:"), both)]:
        with pytest.raises(BackendError, match="ProtocolMultiplexer has no journal"):
            copy_store(source, target)
