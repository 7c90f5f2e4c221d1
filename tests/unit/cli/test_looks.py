"""Each verb looks at a store once: reads are counted at the journal, here or behind a server."""

import subprocess
import sys

import pytest

from tests.relays import served
from tests.unit.cli.conftest import fill
from track import TrackClient
from track.journals.journal import ExclusiveJournal
from track.journals.memory import MemoryJournal
from track.persistence import register
from track.persistence.journaled import JournaledProtocol
from track.stores.readonly import ReadProtocol, open_for_reading


class CountedJournal(ExclusiveJournal):
    """A journal that notes each time somebody reads another one through it."""

    def __init__(self, journal, reads):
        self._journal = journal
        self._reads = reads

    def read_batches(self, after=0):
        self._reads.append("all")
        return self._journal.read_batches(after)

    def read_stream(self, stream, after=0):
        self._reads.append(stream)
        return self._journal.read_stream(stream, after)

    def append(self, payloads):
        self._journal.append(payloads)

    def exclusive(self):
        return self._journal.exclusive()

    def last_sequence(self, producer):
        return self._journal.last_sequence(producer)

    def head(self):
        return self._journal.head()

    def sync(self):
        self._journal.sync()

    def close(self):
        self._journal.close()


@pytest.fixture
def reads():
    """What was read of the journals of ``counted:``, in order: all of them, or a stream."""
    reads = []

    def opened(uri):
        protocol = open_for_reading(uri.replace("counted:", "file:"))
        return ReadProtocol(CountedJournal(protocol.journal, reads), uri)

    register("counted", opened)
    register("kept", lambda uri: JournaledProtocol(CountedJournal(MemoryJournal(), reads), uri=uri))
    return reads


def add_trials(uri):
    """Log thirty more trials."""
    client = TrackClient(uri)
    for seed in range(30):
        with client.new_trial(name=f"seed-{seed}", parameters={"seed": seed}) as trial:
            trial.log_metrics(step=0, loss=1.0 / (1 + seed))
    client.close()


@pytest.mark.parametrize("verb", ["ls", "ls projects", "plot baseline wider", "report"])
def test_verbs_about_trials_look_once(track, store, reads, verb):
    """However many there are."""
    add_trials(store)
    assert track(*verb.split(), "-s", "counted:store.json").code == 0
    assert reads == ["all"]


@pytest.mark.parametrize(
    ("verb", "streams"),
    [
        *(("show wider", 1), ("show wider --at 99999999", 2), ("diff baseline wider", 1)),
        *(("diff wider --at 99999999", 2), ("blame wider status", 2), ("log wider", 1)),
        *(("tail wider", 1), ("export -w name=wider -f csv", 1)),
    ],
)
def test_verbs_about_a_trial_look_once(track, store, reads, verb, streams):
    """At the objects, then at the events of each process that ran one, and of each past trial."""
    track(*verb.split(), "-s", "counted:store.json")
    assert reads.count("all") == 1
    assert len(reads) == len(set(reads)) == 1 + streams


@pytest.mark.parametrize("verb", ["tail", "log -n 3", "export -f ndjson -w name=wider"])
def test_verbs_about_events_look_once_at_those(track, store, reads, verb):
    """And once at what they are about."""
    assert track(*verb.split(), "-s", "counted:store.json").code == 0
    assert reads == ["all", "all"]


@pytest.mark.parametrize(
    ("verb", "looks"), [("ls", 1), ("show wider", 3), ("plot wider", 2), ("diff wider seed-3", 4)]
)
def test_a_server_is_asked_once(track, tmp_path, reads, verb, looks):
    """Each request makes it look once, too: for the trials, a process, and each of their series."""
    with served("kept:x") as server:
        uri = server.uri(spool=tmp_path / "spool")
        fill(uri)
        add_trials(uri)
        reads.clear()
        track(*verb.split(), "-s", uri)
        assert len(reads) == looks


TRAIN = """
import sys
from track import TrackClient
client = TrackClient(sys.argv[1])
trial = client.new_trial(name="killed", parameters={}).start()
client.protocol.commit()
print("running", flush=True)
sys.stdin.read()
"""


def test_a_server_says_in_its_answer_which_trials_are_lost(track, tmp_path, reads):
    """It knows which processes of its machine are alive."""
    with served("kept:x") as server:
        uri = server.uri(spool=tmp_path / "spool")
        fill(uri)
        with subprocess.Popen(
            [sys.executable, "-c", TRAIN, uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout.readline() == b"running\n"
            assert "running" in track("show", "killed", "-s", uri).out
            process.kill()
        reads.clear()
        statuses = [line.split()[4] for line in track("ls", "-s", uri).out.splitlines()[1:]]
        assert statuses == ["completed", "completed", "lost"]
        assert reads == ["all"]
