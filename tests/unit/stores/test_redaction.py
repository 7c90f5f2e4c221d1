"""Erasing a trial: nothing that was logged about it is left anywhere in its store."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

import track
from tests.databases import KINDS, uri_of
from tests.property.test_folds import dump
from track import TrackClient
from track.errors import BackendError, JournalError, TrialDoesNotExist
from track.events.types import ProcessDescribed, Redacted, TrialRedacted
from track.persistence import get_protocol
from track.projections.history import as_of
from track.reader import Reader
from track.stores.maintenance import verify
from track.stores.redaction import redact
from track.structure import Project, Status, Trial

SECRET = "Jane Doe, patient 4711"


@pytest.fixture(params=["file:store.json", "lmdb:store.lmdb", *KINDS])
def uri(request, tmp_path):
    if request.param in KINDS:
        return uri_of(request.param, str(tmp_path), spool=tmp_path / "spool")
    return request.param


def fill(uri, secret=SECRET, shared="shared"):
    """Log a trial that gives everything away, and another one; return their uids."""
    client = TrackClient(uri)
    client.set_project(name="p")
    client.set_group(name="g")
    Path("secret.txt").write_text(secret)
    Path("shared.txt").write_text(shared)
    uids = []
    for who in (secret, "nobody"):
        with client.new_trial(force=True, name=who, parameters={"who": who, "n": 1}) as trial:
            trial.log_metadata(note=who)
            trial.log_file("secret.txt" if who == secret else "shared.txt")
            trial.log_file("shared.txt")
            trial.add_tags(who=who)
            trial.log_metrics(step=0, loss=1.5, who=who)
            with trial.chrono(who):
                pass
            trial.protocol.log_trial_system_metrics(trial.trial, {who: 1.0})
            trial.protocol.log_process_code()
            trial.protocol.log_trial_output(trial.trial, [[1, 1, f"{who}\n"]])
            trial.set_status(Status.Exception, who)
        uids.append(trial.trial.uid)
    client.close()
    return uids


def content(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("store", ["file:store.json", "lmdb:store.lmdb"])
def test_a_redaction_that_is_cut_off_has_not_begun(store, tmp_path, monkeypatch):
    """No trial looks redacted whose bytes are there."""
    uid, _ = fill(store)
    Path("secret.txt").unlink()

    def power_is_lost(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("track.stores.redaction.os.replace", power_is_lost)
        with pytest.raises(KeyboardInterrupt):
            redact(store, uid)
    protocol = get_protocol(store)
    (trial,) = protocol.fetch_trials({"uid": uid})
    protocol.close()
    assert trial.name == SECRET
    redact(store, uid)
    assert SECRET.encode() not in content(tmp_path)


def test_nothing_is_left_of_an_erased_trial(uri, tmp_path):
    """Not in the journal, its caches, the report, or among the files that were logged."""
    erased, other = fill(uri)
    store = get_protocol(uri)
    before = [(event.position, event.at, event.sequence) for event in store.events()]
    (kept,) = store.fetch_trials({"uid": other})
    store.close()
    for name in ("secret.txt", "shared.txt"):
        Path(name).unlink()
    result = redact(uri, erased)
    assert result.events == 13
    assert SECRET.encode() not in content(tmp_path)
    store = get_protocol(uri)
    after = [(event.position, event.at, event.sequence) for event in store.events()]
    assert after[: len(before)] == before
    events = [event.event for event in store.events()]
    assert [type(event) for event in events].count(TrialRedacted) == 1
    assert SECRET not in repr(events)
    assert store.fetch_trials({"uid": erased}) == store.fetch_archived_trials() == []
    trial = Reader(store).trial(erased)
    assert trial.status is Status.Completed
    assert (trial.name, trial.parameters, trial.metrics, trial.tags) == (None, {}, {}, {})
    assert (trial.chronos, trial.errors, trial.group_id) == ({}, [], kept.group_id)
    assert [repr(vars(found)) for found in store.fetch_trials({"uid": other})] == [repr(vars(kept))]
    store.close()


def test_who_had_seen_it_forgets_it(uri):
    """The objects of a client are those of whoever reads what is left."""
    erased, _ = fill(uri)
    if uri.startswith(("file:", "lmdb:")):
        redact(uri, erased)
        store = get_protocol(uri)
        store.fetch_trials()
    else:
        store = get_protocol(uri)
        assert SECRET in repr(store.fetch_trials()[0].parameters)
        redact(uri, erased)
    with store.read_state() as objects:
        assert dump(objects) == dump(as_of(store.journal.read_batches()))
        assert SECRET not in repr(vars(objects.trials[erased]))
    store.close()


def test_the_processes_that_ran_it_are_not_described_any_more(uri):
    """Their commands and folders may say as much as what they logged."""
    erased, _ = fill(uri)
    store = get_protocol(uri)
    assert [e for e in store.events() if isinstance(e.event, ProcessDescribed)]
    store.close()
    redact(uri, erased)
    store = get_protocol(uri)
    assert not [e for e in store.events() if isinstance(e.event, ProcessDescribed)]
    assert [e for e in store.events() if isinstance(e.event, Redacted)]
    store.close()


def test_it_can_be_erased_again_and_used_again(uri):
    """What was logged since then is content, too."""
    erased, _ = fill(uri)
    redact(uri, erased)
    client = TrackClient(uri)
    with pytest.raises(TrialDoesNotExist, match=erased):
        client.set_trial(uid=erased)
    handle = Trial()
    handle.uid = erased
    client.protocol.log_trial_metadata(handle, note=SECRET)
    client.close()
    with track.open(uri) as reader:
        assert reader.trial(erased).metadata["note"] == SECRET
        assert erased not in [trial.uid for trial in reader.trials()]
    assert redact(uri, erased).events >= 1
    with track.open(uri) as reader:
        assert "note" not in reader.trial(erased).metadata


def test_an_erased_trial_is_in_no_list(uri):
    """Of now or of any moment, whatever is done to it afterwards; its uid stays taken."""
    erased, other = fill(uri)
    redact(uri, erased)
    client = TrackClient(uri)
    handle = Trial()
    handle.uid = erased
    client.protocol.restore_trial(handle)
    client.protocol.archive_trial(handle)
    client.protocol.restore_trial(handle)
    client.protocol.add_project_trial(Project(name="p"), handle)
    assert client.protocol.new_trial(Trial(*erased.rsplit("_", 1), project_id="p")) is None
    client.close()
    with track.open(uri) as reader:
        for at in [None, *(event.position for event in reader.events())]:
            assert erased not in [trial.uid for trial in reader.trials(at=at)]
            assert reader.trials(at=at, archived=True) == []
            assert erased not in "".join(reader.report(at=at))
        assert [len(project.trials) for project in reader.projects()] == [1]
        assert [group.trials for group in reader.groups()] == [{other}]
        assert reader.trial(erased).status is Status.Completed
        assert reader.find_uid(erased[:12]) == erased


def test_several_trials_are_erased_at_once(uri):
    """Or none of them, if there is one that does not exist."""
    uids = fill(uri)
    with pytest.raises(TrialDoesNotExist, match="no trial missing in"):
        redact(uri, [*uids, "missing"])
    with track.open(uri) as reader:
        assert [trial.uid for trial in reader.trials()] == uids
    redact(uri, uids)
    with track.open(uri) as reader:
        assert reader.trials() == []
        assert [reader.trial(uid).name for uid in uids] == [None, None]


def test_only_the_files_of_the_trial_are_removed(uri):
    """A file that another trial logged, too, stays."""
    erased, other = fill(uri)
    result = redact(uri, erased)
    assert result.files == [sha256(SECRET.encode()).hexdigest()]
    with track.open(uri) as reader:
        assert [*reader.protocol.content.digests()] == [sha256(b"shared").hexdigest()]
        with reader.open_file(other, "shared.txt") as kept:
            assert kept.read() == b"shared"


def test_the_journal_is_sound_and_the_report_is_new():
    """Everything but the trial is as it was."""
    erased, other = fill("file:store.json")
    before = json.loads(Path("store.json").read_text())
    redact("file:store.json", erased)
    assert verify("file:store.json").is_sound
    after = json.loads(Path("store.json").read_text())
    trials = [{t["uid"]: t for t in report[0]["trials"]} for report in (before, after)]
    assert trials[0][other] == trials[1][other]
    assert erased not in trials[1]
    assert [group["trials"] for group in after[0]["groups"]] == [[other]]


def test_an_unknown_trial_is_named(uri):
    """Nothing is changed then."""
    fill(uri)
    with pytest.raises(TrialDoesNotExist, match="no trial nobody_0"):
        redact(uri, "nobody_0")


def test_a_store_in_use_is_not_rewritten():
    """Somebody else would go on with the old journal."""
    erased, _ = fill("file:store.json")
    program = "import sys; from track import TrackClient; c = TrackClient('file:store.json');"
    program += "print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(JournalError, match="in use"):
            redact("file:store.json", erased)
        other.stdin.close()
    redact("file:store.json", erased)


@pytest.mark.parametrize("uri", ["memory:", "socket://localhost:1"])
def test_a_store_that_is_elsewhere_is_not_erased_from_here(uri):
    """The error says what can be given."""
    with pytest.raises(BackendError, match="not a store on disk"):
        redact(uri, "a_0")
