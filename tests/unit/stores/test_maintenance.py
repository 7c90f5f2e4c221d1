"""Stores are verified, repaired, compacted and backed up."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.programs import run_python
from track import TrackClient
from track.contents.folder import FolderContents
from track.errors import BackendError, JournalError, NewerFormat, NotAReport
from track.persistence import get_protocol
from track.stores.maintenance import Gap, backup, compact, repair, verify
from track.structure import Project, Trial

pytestmark = pytest.mark.filterwarnings("ignore::track.errors.DamageWarning")

ROOT = Path(__file__).resolve().parents[3]
JOURNALS = {"file:store.json": "store.json.journal", "lmdb:store.lmdb": "store.lmdb"}


@pytest.fixture(params=JOURNALS)
def uri(request):
    return request.param


@pytest.fixture
def path(uri, tmp_path):
    return tmp_path / JOURNALS[uri]


def fill(uri, steps=20):
    """Log a trial, with a file."""
    client = TrackClient(uri)
    client.set_project(name="p")
    Path("notes.txt").write_text("some notes")
    with client.new_trial(parameters={"lr": 0.1}) as trial:
        trial.log_file("notes.txt")
        for step in range(steps):
            trial.log_metrics(step=step, loss=step / 7, text=f"<step {step}>")
    client.close()


def damage(path, step):
    """Change what was logged at a step, wherever the file has it."""
    data = path.read_bytes()
    text = stored(f"<step {step}>", data)
    path.write_bytes(data.replace(text, text[:2] + bytes((text[2] ^ 0x20,)) + text[3:]))


def stored(text, data):
    """Return a text as it is found in a journal: one record in some hundreds has a mask."""
    masked = [bytes(byte ^ mask for byte in text.encode()) for mask in range(256)]
    return next(found for found in masked if found in data)


def losses(uri):
    store = get_protocol(uri)
    (trial,) = store.fetch_trials()
    store.close()
    return trial.metrics["loss"]


def payloads_of(uri):
    store = get_protocol(uri)
    found = [payload for _, batch in store.journal.read_batches() for payload in batch]
    store.close()
    return found


# Verify


def test_a_sound_store_is_said_to_be_sound(uri, path):
    """With the number of its events, and where the last one is."""
    fill(uri)
    found = verify(uri)
    assert found.is_sound
    assert found.path == str(path)
    assert found.events == len(payloads_of(uri))
    assert (found.findings, found.gaps, found.unknown) == ([], [], [])
    assert found.head == get_protocol(uri).journal.head()


def test_every_damaged_range_is_found(uri, path):
    """With its bounds, and what can be made out in it."""
    fill(uri)
    events = verify(uri).events
    for step in (3, 4, 9):
        damage(path, step)
    found = verify(uri)
    assert not found.is_sound
    assert found.events == events - 3
    assert {finding.reason for finding in found.findings} == {"corrupt"}
    held = " ".join(finding.holds for finding in found.findings)
    for step in (3, 4, 9):
        assert f"step={step}, values={{'loss': {step / 7}, 'text': '<sTep {step}>'}}" in held
    if uri.startswith("file"):
        data = path.read_bytes()
        for finding in found.findings:
            assert stored("<sTep", data[finding.start : finding.end])
        assert len(found.findings) == 2  # two neighbours are one range
    else:
        assert [finding.end - finding.start for finding in found.findings] == [0, 0, 0]


def test_a_record_of_a_newer_format_behind_a_cut_group_is_no_sound_store(tmp_path):
    """Who reads only the older one must not take the journal for whole."""
    head = bytes.fromhex("c1544a010000000064000000c81f1452c40f2ac2")
    newer = bytes.fromhex("c1544a0200000000000000005943dddf")
    Path(tmp_path, "store.journal").write_bytes(head + newer)
    with pytest.raises(NewerFormat, match="byte 20 has format version 2"):
        verify(f"file:{tmp_path}/store")


@pytest.mark.parametrize("size", [1000, 2**20 + 1, 2**22])
def test_zeros_at_the_end_are_unfinished_and_no_damage(tmp_path, size):
    """However many a loss of power left there."""
    uri, path = f"file:{tmp_path}/store", tmp_path / "store.journal"
    get_protocol(uri).close()
    store = get_protocol(uri)
    store.new_project(Project("p"))
    store.close()
    end = path.stat().st_size
    with path.open("ab") as file:
        file.write(bytes(size))
    found = verify(uri)
    assert found.is_sound
    assert [finding[:3] for finding in found.findings] == [(end, end + size, "unsettled")]


def test_missing_events_of_each_producer_are_named(uri, path):
    """Their numbers say how many are gone, and the position says where."""
    fill(uri)
    store = get_protocol(uri)
    gone = [r for r in store.events() if getattr(r.event, "step", None) in (3, 4)]
    following = next(r for r in store.events() if getattr(r.event, "step", None) == 5)
    store.close()
    damage(path, 3)
    damage(path, 4)
    assert verify(uri).gaps == [
        Gap(gone[0].producer, gone[0].sequence, gone[1].sequence, following.position)
    ]


def test_events_that_nobody_understands_are_listed(uri):
    """They are intact, and kept; some later version may know them."""
    store = get_protocol(uri)
    store.journal.append([b"garbage"])
    position = store.journal.head()
    store.close()
    found = verify(uri)
    assert found.is_sound
    assert found.unknown == [position]


def test_the_end_of_a_file_may_be_a_write_under_way(tmp_path):
    """What is cut short there is reported, but it is no proof of damage."""
    fill("file:store.json")
    path = tmp_path / "store.json.journal"
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(path.read_bytes()[:54])
    (finding,) = verify("file:store.json").findings
    assert (finding.start, finding.end, finding.reason) == (size, size + 54, "unsettled")
    assert "part of event 1 of producer" in finding.holds
    assert verify("file:store.json").is_sound


def test_noise_is_shown_as_bytes(tmp_path):
    """Where nothing can be made out, the first bytes help people to see what it is."""
    fill("file:store.json")
    path = tmp_path / "store.json.journal"
    data = path.read_bytes()
    path.write_bytes(b"<html>not found</html>" + data)
    (finding,) = verify("file:store.json").findings
    assert (finding.start, finding.end) == (0, 22)
    assert "bytes: b" in finding.holds


def test_a_damaged_header_does_not_hide_its_event(tmp_path):
    """What is behind it may be whole."""
    fill("file:store.json")
    path = tmp_path / "store.json.journal"
    data = bytearray(path.read_bytes())
    data[4] ^= 1
    path.write_bytes(data)
    (finding,) = verify("file:store.json").findings
    assert "ProjectCreated(name='p'" in finding.holds


def test_verifying_changes_nothing(uri, path):
    """It may be done while others log."""
    fill(uri)
    damage(path, 3)
    store = get_protocol(uri)
    before = {name: Path(name).read_bytes() for name in os.listdir() if Path(name).is_file()}
    verify(uri)
    assert {name: Path(name).read_bytes() for name in before} == before
    store.close()


# Repair


def test_a_damaged_journal_is_repaired(uri, path):
    """What is intact is all there, in order; what was there before is kept beside it."""
    fill(uri)
    damage(path, 7)
    damaged, expected = path.read_bytes(), payloads_of(uri)
    done = repair(uri)
    assert verify(uri).is_sound
    assert payloads_of(uri) == expected
    assert losses(uri) == {step: step / 7 for step in range(20) if step != 7}
    assert done.events == len(expected)
    assert done.path == str(path)
    assert Path(done.kept).parent == path.parent
    assert Path(done.kept).name.startswith(f"{path.name}.damaged-")
    assert Path(done.kept).read_bytes() == damaged
    assert "<sTep 7>" in done.findings[0].holds
    assert not list(path.parent.glob("*.tmp*"))


def test_a_repaired_store_goes_on(uri, path):
    """It is logged into, and opened with snapshots, as ever."""
    fill(uri)
    damage(path, 7)
    repair(uri)
    client = TrackClient(uri)
    uid = client.protocol.fetch_trials()[0].uid
    with client.set_trial(uid=uid) as trial:
        trial.log_metrics(step=7, loss=1.0)
    client.close()
    assert losses(uri) == {step: step / 7 for step in range(20)}


def test_a_sound_store_needs_no_repair(uri, path):
    """It is left as it is."""
    fill(uri)
    before = path.read_bytes()
    assert repair(uri) is None
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.damaged-*"))


def test_a_torn_end_is_cut_off(tmp_path):
    """Nobody has the store open, so it is no write under way."""
    fill("file:store.json")
    path = tmp_path / "store.json.journal"
    sound = path.read_bytes()
    path.write_bytes(sound + sound[:50])
    repair("file:store.json")
    assert path.read_bytes() == sound


@pytest.mark.parametrize("change", [repair, compact])
def test_a_store_in_use_is_not_written_anew(uri, path, change):
    """Neither when this process has it open, nor when another one does; when it ends, it is."""
    fill(uri)
    damage(path, 7)
    if change is compact:
        repair(uri)
    store = get_protocol(uri)
    with pytest.raises(JournalError, match="in use"):
        change(uri)
    store.close()
    program = (
        "import sys; from track.persistence import get_protocol; s = get_protocol(sys.argv[1])"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program + "; print(1, flush=True); sys.stdin.read()", uri],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout.readline() == b"1\n"
    with pytest.raises(JournalError, match="in use"):
        change(uri)
    other.kill()
    other.communicate()
    assert change(uri) is not None


def test_a_store_cannot_be_opened_while_it_is_written_anew(uri, path):
    """Whoever tried would log into the journal that is being replaced."""
    fill(uri)
    store = get_protocol(uri)
    file = store.journal.file
    file.claim()
    program = "import sys; from track.persistence import get_protocol; get_protocol(sys.argv[1])"
    said = run_python(program, uri, status=1).stderr
    assert "is being rewritten by another process: try again" in said
    store.close()


# Compact


def test_a_compacted_store_says_the_same(uri, path):
    """And takes no more room than before."""
    fill(uri, 3000)
    expected = payloads_of(uri)
    before, after = compact(uri)
    assert after <= before
    (pack,) = Path().glob("*.files/*")
    assert path.stat().st_size + pack.stat().st_size == after
    assert payloads_of(uri) == expected
    assert verify(uri).is_sound
    assert not list(path.parent.glob("*.tmp*"))


def test_a_damaged_store_is_not_compacted(uri, path):
    """Damage would be gone without a trace."""
    fill(uri)
    damage(path, 7)
    with pytest.raises(JournalError, match="repair"):
        compact(uri)


# Back up


@pytest.mark.parametrize("target", ["file:copy.json", "lmdb:copy.lmdb", "copy"])
def test_a_backup_is_a_store_of_its_own(uri, target):
    """With all events, the report where there is one, and the files that were logged."""
    fill(uri)
    done = backup(uri, target)
    assert payloads_of(target) == payloads_of(uri)
    assert losses(target) == {step: step / 7 for step in range(20)}
    assert done.events == len(payloads_of(uri))
    assert verify(target).is_sound
    name = target.partition(":")[2] or target
    content = FolderContents(f"{name}.files")
    (digest,) = content.digests()
    assert content.open(digest).read() == b"some notes"
    if not target.startswith("lmdb"):
        assert len(json.loads(Path(name).read_text())[0]["trials"]) == 1


def test_a_backup_of_a_damaged_store_is_sound(uri, path):
    """And it says what is not in it."""
    fill(uri)
    damage(path, 7)
    done = backup(uri, "copy")
    assert "<sTep 7>" in done.findings[0].holds
    assert verify("copy").is_sound
    assert losses("copy") == {step: step / 7 for step in range(20) if step != 7}
    assert done.kept is None


def test_a_live_store_is_backed_up_as_it_was_at_some_moment(uri):
    """Whatever others log meanwhile, the copy has everything up to somewhere, and nothing else."""
    store = get_protocol(uri)
    store.new_project(Project(name="p"))
    trial = store.new_trial(Trial(project_id="p"))
    done = threading.Event()
    logged = []

    def log():
        while not done.is_set():
            store.log_trial_metrics(trial, step=len(logged), loss=0.5)
            logged.append(None)

    thread = threading.Thread(target=log)
    thread.start()
    for number in range(3):
        acknowledged = len(logged)
        assert backup(uri, f"copy{number}").events == len(payloads_of(f"copy{number}"))
        steps = list(losses(f"copy{number}")) if acknowledged else []
        assert steps == list(range(len(steps)))
        assert acknowledged <= len(steps)
    done.set()
    thread.join()
    store.close()


@pytest.mark.parametrize("target", ["file:copy.json", "lmdb:copy.json"])
def test_a_backup_overwrites_nothing(uri, target):
    """Neither a store nor any other file."""
    fill(uri)
    Path("copy.json").write_text("precious")
    with pytest.raises(NotAReport, match="exists"):
        backup(uri, target)
    assert Path("copy.json").read_text() == "precious"


# Bad input


@pytest.mark.parametrize("function", [verify, repair, compact, lambda uri: backup(uri, "copy")])
def test_a_store_that_is_not_there_is_not_made(uri, function):
    """The error names the path, and nothing is left behind."""
    with pytest.raises(JournalError, match=r"the journal .*store.* does not exist"):
        function(uri)
    assert os.listdir() == []


def test_stores_that_are_not_on_disk_are_refused():
    """They have nothing to verify."""
    with pytest.raises(BackendError, match="not a store on disk"):
        verify("socket://localhost:1")
    with pytest.raises(BackendError):
        verify("memory:")
