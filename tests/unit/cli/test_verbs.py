"""Each verb does what it says, on the only store in the folder."""

import io
import json
from pathlib import Path

import pytest

from track import TrackClient
from track import open as open_store
from track.cli.app import DAMAGE, FAILURE, NOT_FOUND


def lines_of_json(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


# Looking


def test_trials_are_listed(track, store):
    """With what matters of each, in columns."""
    result = track("ls")
    assert (result.code, result.err) == (0, "")
    head, first, second = result.out.splitlines()
    assert head.split()[:5] == ["trial", "name", "project", "group", "status"]
    assert first.split()[1:5] == ["baseline", "paper", "sweep", "completed"]
    assert second.split()[1:5] == ["wider", "paper", "sweep", "completed"]
    assert "0.02" in first


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        (["name=baseline"], ["baseline"]),
        (["metrics.loss<0.03"], ["baseline"]),
        (["metrics.loss>=0.02", "parameters.lr!=0.1"], ["wider"]),
        (["name~^(base|wid)"], ["baseline", "wider"]),
        (["name!~^base"], ["wider"]),
        (["status=completed,lost"], ["baseline", "wider"]),
        (["status=running"], []),
        (["!metadata.note", "metadata.half"], ["baseline", "wider"]),
        (["group=sweep", "project=paper"], ["baseline", "wider"]),
        (["parameters.lr=0.2"], ["wider"]),
    ],
)
def test_conditions_choose_trials(track, store, conditions, names):
    """All of them must hold."""
    flags = [word for condition in conditions for word in ("-w", condition)]
    result = track("ls", *flags, "--json")
    assert [trial["name"] for trial in lines_of_json(result.out)] == names


def test_trials_are_sorted_and_counted(track, store):
    """By any path, upwards or downwards; those that have nothing there come last."""
    client = TrackClient(store)
    client.new_trial(force=True, name="empty", parameters={})
    client.close()

    def names(*flags):
        return [trial["name"] for trial in lines_of_json(track("ls", "--json", *flags).out)]

    assert names("--sort", "metrics.loss") == ["baseline", "wider", "empty"]
    assert names("--sort", "-metrics.loss") == ["wider", "baseline", "empty"]
    assert names("--sort", "-name", "-n", "1") == ["wider"]
    assert names("-n", "0") == []


def test_projects_and_groups_are_listed(track, store):
    """With how many trials they have."""
    assert track("ls", "projects").out.splitlines()[1].split()[:3] == ["paper", "2", "1"]
    (group,) = lines_of_json(track("ls", "groups", "--json").out)
    assert (group["name"], group["project_id"]) == ("sweep", "paper")


def test_a_trial_is_shown(track, store):
    """Everything of it; what was logged cannot steer the terminal."""
    out = track("show", "baseline").out
    for text in ("lr", "0.1", "completed", "█", "attempts:", "sweep", "raw"):
        assert text in out
    assert "\x1b" not in out
    (shown,) = lines_of_json(track("show", "baseline", "--json").out)
    assert shown["metrics"]["gaps"] == ["NaN"]
    assert (shown["status"], shown["attempts"][0]["number"]) == ("completed", 1)


def test_a_trial_is_shown_as_it_stood(track, store):
    """At a position."""
    with open_store(store) as reader:
        created = next(iter(reader.history("wider"))).position
    (shown,) = lines_of_json(track("show", "wider", "--at", created, "--json").out)
    assert (shown["metrics"], shown["attempts"]) == ({}, [])


def test_metrics_are_plotted(track, store):
    """Of all trials that have them in one plot, each with a letter; as points with --json."""
    title, *trials, top, middle, bottom, _ = track(
        "plot", "baseline", "wider", "-m", "loss", "--height", "3"
    ).out.splitlines()
    assert title == "loss"
    assert [line.split()[::2] for line in trials] == [["a", "baseline"], ["b", "wider"]]
    assert top.startswith(" 0.2 ┤bbb")
    assert middle.startswith("     ┤aaa")
    assert bottom.startswith("0.02 ┤   ")
    again = track("plot", "baseline", "wider", "baseline", "-m", "loss", "--height", "3").out
    assert again.splitlines() == [title, *trials, top, middle, bottom, _]
    client = TrackClient(store)
    client.new_trial(force=True, name="third", parameters={}).log_metrics(step=0, accuracy=1)
    client.close()
    among_others = track("plot", "baseline", "third", "wider", "-m", "loss").out.splitlines()
    assert [line.split()[::2] for line in among_others[1:3]] == [["a", "baseline"], ["c", "wider"]]
    (alone,) = (line for line in track("plot", "wider").out.splitlines() if "0.2 ┤" in line)
    assert set(alone) & set(map(chr, range(0x2801, 0x2900)))
    points = lines_of_json(track("plot", "wider", "-m", "loss", "--json").out)
    assert points[0]["points"][0] == [0.0, 0.2]


def test_the_report_is_printed(track, store):
    """That of now is the report file, that of the beginning is empty."""
    Path("report.json").write_text(track("report").out)
    assert json.loads(Path("report.json").read_text()) == json.loads(Path("store.json").read_text())
    assert track("report", "--at", "0").out == "[]\n"


def test_events_are_printed(track, store):
    """Of a trial or the store, some of them only, as lines or as JSON."""
    assert len(track("log").out.splitlines()) > len(track("log", "wider").out.splitlines()) > 10
    out = track("log", "wider", "--type", "MetricsLogged", "-n", "2").out
    assert out.count("MetricsLogged") == 2
    assert "step=4" in out
    events = lines_of_json(track("log", "wider", "--json").out)
    assert events[0]["type"] == "TrialCreated"
    middle = events[3]["position"]
    later = lines_of_json(track("log", "wider", "--since", middle, "--json").out)
    assert later == events[3:]
    until = lines_of_json(track("log", "wider", "--until", middle, "--json").out)
    assert until == events[:4]
    assert lines_of_json(track("log", "--since", "1h", "--json").out)
    assert track("log", "--until", "1h").out == ""
    assert len(track("tail", "-n", "3").out.splitlines()) == 3


def test_the_paths_of_differences_can_be_pasted(track, store):
    """A name with dots, blanks or signs is quoted, as wherever Track prints a path."""
    client = TrackClient(store)
    trial = client.new_trial(force=True, name="odd", parameters={"a": 1})
    trial.log({"val.acc": 1, "loss<0.1": 2, "": 3, "odd[0]": 4}, step=0)
    trial.log_metadata({"two words": {"a.b": 1}})
    client.close()
    rows = lines_of_json(track("diff", "baseline", "odd", "--json").out)
    paths = {row["path"] for row in rows if row["right"] is not None}
    assert paths >= {'metrics["val.acc"]', 'metrics["loss<0.1"]', 'metrics[""]'}
    assert paths >= {'metrics["odd[0]"]', 'metadata["two words"]'}
    for path in paths - {"name"}:
        assert track("blame", "odd", path).code == 0


def test_differences_are_an_exit_code(track, store):
    """Of 1; and none is 0."""
    result = track("diff", "baseline", "wider")
    assert result.code == FAILURE
    assert "parameters.lr" in result.out
    found = {row["path"]: row for row in lines_of_json(track("diff", "0", "1").out or "")} or {
        row["path"]: row for row in lines_of_json(track("diff", "baseline", "wider", "--json").out)
    }
    assert found["metrics.loss"]["first"] == 0
    same = track("diff", "baseline", "baseline")
    assert (same.code, same.out) == (0, "")
    assert track("diff", "baseline", "--at", "1w").code == NOT_FOUND
    with open_store(store) as reader:
        created = next(iter(reader.history("wider"))).position
    assert "metrics.loss" in track("diff", "wider", "--at", created).out


def test_the_origin_of_a_value_is_told(track, store):
    """Who set it, and when."""
    (row,) = lines_of_json(track("blame", "wider", "metrics.loss.3", "--json").out)
    assert (row["value"], row["replaced"], row["attempt"]) == (0.05, None, 1)
    assert "pid" in track("blame", "wider", "status").out


# Taking care


def test_a_sound_store_is_verified(track, store):
    """The exit code says the same."""
    result = track("verify")
    assert result.code == 0
    assert result.out.endswith("no damage\n")
    (found,) = lines_of_json(track("verify", "--json").out)
    assert found["findings"] == []


def test_damage_is_found_and_repaired(track, store):
    """4 says that there is some; the damaged journal is kept."""
    journal = Path("store.json.journal")
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 0xFF
    journal.write_bytes(data)
    result = track("verify")
    assert result.code == DAMAGE
    assert "corrupt" in result.out
    (found,) = lines_of_json(track("verify", "--json").out)
    (gap,) = found["gaps"]
    logged = lines_of_json(track("log", "--json").out)
    assert gap["producer"] in {event["producer"] for event in logged}
    assert track("verify", "--json").code == DAMAGE
    assert track("ls").code == DAMAGE
    assert "kept" in track("repair").out
    assert track("verify").code == 0
    assert track("repair").out == "nothing to repair\n"


def test_caches_are_computed_anew(track, store):
    """The report is that of the journal, whatever somebody made of it."""
    before = Path("store.json").read_text()
    Path("store.json").write_text("[]")
    assert track("replay").out.endswith(" events\n")
    assert json.loads(Path("store.json").read_text()) == json.loads(before)


def test_stores_are_backed_up_and_compacted(track, store):
    """Into a store of another kind, too."""
    assert track("backup", "lmdb:copy.lmdb").code == 0
    assert "baseline" in track("ls", "-s", "lmdb:copy.lmdb").out
    assert "bytes before" in track("compact", "-s", "lmdb:copy.lmdb").out
    assert track("backup", "lmdb:copy.lmdb", "-s", store).code == FAILURE


def test_trials_are_archived_and_restored(track, store):
    """They are in no list meanwhile, except in that of archived ones."""
    assert track("archive", "wider") == (0, "", "")
    assert "wider" not in track("ls").out
    assert "wider" in track("ls", "--archived").out
    assert track("restore", "wider").code == 0
    assert "wider" in track("ls").out


def test_trials_are_removed_and_restored(track, store):
    """Several at once, or none if one of them does not exist."""
    assert track("rm", "baseline", "missing").code == NOT_FOUND
    assert "baseline" in track("ls").out
    assert track("rm", "baseline", "wider") == (0, "", "")
    assert lines_of_json(track("ls", "--json").out) == []
    assert track("restore", "baseline", "wider").code == 0
    assert [trial["name"] for trial in lines_of_json(track("ls", "--json").out)] == [
        "baseline",
        "wider",
    ]


def test_removed_trials_are_erased(track, store, monkeypatch):
    """After a question, or by force; then they are in no list, and cannot be restored."""
    uid = lines_of_json(track("ls", "--json", "-w", "name=wider").out)[0]["uid"]
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    asked = track("rm", "--erase", "wider")
    assert (asked.code, asked.out) == (FAILURE, "")
    assert f"Erase everything logged for {uid}, for good?" in asked.err
    assert "wider" in track("ls").out
    assert "events erased" in track("rm", "--erase", "--force", "wider").out
    for words in (["ls"], ["ls", "--archived"], ["report"], ["export"], ["export", "-f", "json"]):
        assert uid[:8] not in track(*words).out
    assert [line.split()[1] for line in track("ls", "projects").out.splitlines()[1:]] == ["1"]
    result = track("restore", uid)
    assert (result.code, result.out) == (FAILURE, "")
    assert "cannot be restored: erased trials are gone for good" in result.err
    assert track("show", uid).code == 0


def test_of_several_revisions_one_is_named_to_be_removed(track, store):
    """What is removed should not depend on which is the latest."""
    client = TrackClient(store)
    client.new_trial(name="again", parameters={})
    client.new_trial(name="again", parameters={}, force=True)
    client.close()
    for words in (["rm", "again"], ["rm", "--erase", "--force", "again"]):
        result = track(*words)
        assert result.code == NOT_FOUND
        assert "give more of the uid" in result.err


def test_a_trial_is_redacted(track, store, monkeypatch):
    """After a question, or by force."""
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert track("redact", "wider").code == FAILURE
    assert "wider" in track("ls").out
    assert "events erased" in track("redact", "wider", "--force").out
    assert "wider" not in track("report").out
