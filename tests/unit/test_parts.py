"""What is left of a trial whose creation cannot be read is shown, and said to be just that."""

import json
from pathlib import Path

import pytest

import track
from tests.property.test_folds import dump, fold, recorded
from track import TrackClient
from track.cli.app import DAMAGE, run
from track.errors import DamageWarning, ItemNotFound, TrialDoesNotExist
from track.events.codec import stream_id
from track.events.types import TrialArchived, TrialCreated
from track.persistence import get_protocol
from track.relay.rows_codec import pack_whole, unpack_whole
from track.stores.redaction import redact
from track.structure import Status

# That the journal is damaged is told, too, see test_warnings.
pytestmark = pytest.mark.filterwarnings("ignore:.*hold no intact record:track.errors.DamageWarning")

LEFT = "only part of trial"


@pytest.fixture
def uid():
    """A store of two trials; the uid of the one whose creation is damaged."""
    client = TrackClient("file:s.json")
    client.set_project(name="p")
    trials = []
    for name in ("whole", "broken"):
        with client.new_trial(force=True, name=name, parameters={"lr": 0.1}) as trial:
            trials.append(trial.trial.uid)
            for step in range(3):
                trial.log_metrics(step=step, loss=1.0 / (1 + step))
            trial.add_tags(kind="test")
    client.close()
    damage_creation("s.json", trials[1])
    return trials[1]


def damage_creation(path, uid):
    """Flip a byte of the event that created a trial."""
    with track.open(f"file:{path}") as reader:
        created = next(iter(reader.history(uid)))
    assert isinstance(created.event, TrialCreated)
    journal = Path(f"{path}.journal")
    content = bytearray(journal.read_bytes())
    content[created.position - 12] ^= 0xFF
    journal.write_bytes(content)


@pytest.fixture
def shown(capsys):
    """Run a command line, and return its exit code and what it wrote where."""

    def run_here(*arguments):
        capsys.readouterr()
        return (run([*map(str, arguments)]), *capsys.readouterr())

    return run_here


def test_what_is_left_is_read(uid):
    """By its uid, with all that was recorded later, and a warning."""
    with track.open("file:s.json") as reader:
        with pytest.warns(DamageWarning, match=LEFT):
            trial = reader.trial(uid)
        assert (trial.uid, trial.name, trial.parameters) == (uid, None, {})
        assert trial.metrics == {"loss": {0: 1.0, 1: 0.5, 2: 1 / 3}}
        assert (trial.tags, trial.status) == ({"kind": "test"}, Status.Completed)
        with pytest.warns(DamageWarning, match=LEFT):
            assert reader.trial(uid, at=10**9).metrics == trial.metrics
        with pytest.warns(DamageWarning, match=LEFT):
            assert len(list(reader.history(uid))) == 9
        with pytest.warns(DamageWarning, match=LEFT):
            (attempt,) = reader.attempts(uid)
        assert attempt.status is Status.Completed
        with pytest.warns(DamageWarning, match=LEFT):
            origins = reader.provenance(uid, "metrics.loss.1")
        assert [origin.value for origin in origins] == [0.5]
        with pytest.warns(DamageWarning, match=LEFT):
            paths = {item.path for item in reader.diff("whole", uid)}
        assert paths == {"name", "parameters.lr", "chronos.runtime"}
        assert reader.status(trial) is Status.Completed


def test_what_is_left_is_among_the_trials(uid):
    """Under a uid that finds it; backends, which others decide by, do not show it."""
    with track.open("file:s.json") as reader:
        with pytest.warns(DamageWarning, match=LEFT):
            whole, part = reader.trials()
        assert (whole.name, part.name) == ("whole", None)
        assert part.uid.endswith("_partial")
        with pytest.warns(DamageWarning, match=LEFT):
            assert reader.trial(part.uid[:6]).metrics == part.metrics
        with pytest.warns(DamageWarning, match=LEFT):
            assert [*reader.history(part)][-1].stream == int(part.uid[:16], 16)
        with pytest.warns(DamageWarning, match=LEFT):
            assert len(reader.trials({"status": "completed", "metrics.loss.0": 1.0})) == 2
        assert [trial.name for trial in reader.protocol.fetch_trials()] == ["whole"]


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("show {}", "loss"),
        ("show {} --at 99999999", "loss"),
        ("blame {} metrics.loss.2", "0.333333"),
        ("diff whole {}", "parameters.lr"),
        ("plot {}", "loss"),
        ("log {}", "MetricsLogged"),
        ("tail {}", "MetricsLogged"),
        ("ls", "_partial"),
        ("export", "_partial"),
        ("export -f ndjson -w partial=true", "MetricsLogged"),
        ("report", "whole"),
    ],
)
def test_every_verb_shows_what_is_left(uid, shown, verb, words):
    """One line says that it is not all."""
    code, out, err = shown(*verb.format(uid).split())
    assert code == DAMAGE
    assert words in out
    assert [line.startswith(f"track: {LEFT}") for line in err.splitlines()] == [True, False]


def test_a_list_names_what_is_left(uid, shown):
    """With its status and its metrics, for people and programs."""
    _, out, _ = shown("ls", "-w", "partial=true", "--json")
    found = json.loads(out)
    assert (found["status"], found["metrics"]) == ("completed", {"loss": 1 / 3})
    assert found["uid"][:8] + "_partial" in shown("ls")[1]
    assert "loss" in shown("show", found["uid"])[1]


def test_what_is_left_is_archived_and_redacted(uid, shown):
    """Like any other trial, so that it is in nobody's way."""
    assert shown("archive", uid)[0] == DAMAGE
    assert "_partial" not in shown("ls")[1]
    assert "_partial" in shown("ls", "--archived")[1]
    assert shown("restore", uid)[0] == DAMAGE
    assert shown("repair")[0] == 0
    assert "_partial" in shown("ls")[1]
    assert redact("file:s.json", uid).events > 0
    assert "loss" not in shown("show", uid)[1]


def test_what_is_left_is_sent_by_a_relay(uid):
    """And is the same as in a replay."""
    store = get_protocol("file:s.json")
    with store.read_state() as objects:
        kept = unpack_whole(pack_whole(objects)).objects
        (part,), (same,) = objects.parts.values(), kept.parts.values()
        assert repr(part) == repr(same)
    store.close()


def test_a_trial_that_is_made_again_is_whole(uid):
    """What was recorded of the one before is not taken for its own."""
    store = get_protocol("file:s.json")
    with track.open("file:s.json") as reader:
        again = reader.trial("whole")
    again.name = "broken"
    again.uid = uid
    assert store.new_trial(again) is again
    (made,) = store.fetch_trials({"name": "broken"})
    assert made.uid == uid
    store.close()
    with track.open("file:s.json") as reader:
        assert len(reader.trials()) == 2


def test_a_trial_that_never_was_is_not_there(uid):
    """No part of it is made up."""
    with track.open("file:s.json") as reader, pytest.raises(TrialDoesNotExist):
        reader.trial("0" * 64 + "_0")
    with (
        track.open("file:s.json") as reader,
        pytest.warns(DamageWarning, match=LEFT),
        pytest.raises(ItemNotFound, match="did not exist"),
    ):
        reader.trial(uid, at=1)


def test_a_part_that_was_archived_leaves_nothing_once_its_trial_is_there():
    """No cache keeps that, so who reads one would know less."""
    created = TrialCreated("b", 0, None, None, {}, None, None, None, {}, {}, {}, {}, None, [])
    stream = stream_id("trial", "b_0")
    whole = fold(recorded([(stream, TrialArchived()), (stream, created)]))
    assert whole.archived == {}
    assert dump(unpack_whole(pack_whole(whole)).objects) == dump(whole)
