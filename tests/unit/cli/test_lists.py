"""Lists show what tells trials apart, as far as there is room, and say what is missing."""

import itertools
import json
import os
import re

import pytest

from tests.unit.cli.test_processes import on_a_terminal
from track import TrackClient
from track.cli.app import USAGE
from track.persistence import get_protocol
from track.structure import Trial

LONG = "resnet50-imagenet-pretrained-augmented-lr{}-width{}-{}-seed{}"


def sweep(uri, name=None):
    """Log twelve trials with three parameters that differ; two of the trials fail."""
    client = TrackClient(uri)
    client.set_project(name="paper")
    grid = itertools.product((0.1, 0.01, 0.001), (64, 128), ("sgd", "adam"))
    for seed, (lr, width, optimizer) in enumerate(grid):
        named = {} if name is None else {"name": name.format(lr, width, optimizer, seed)}
        parameters = {"lr": lr, "width": width, "optimizer": optimizer, "epochs": 10}
        trial = client.new_trial(force=True, parameters=parameters, **named).start()
        for step in range(3):
            values = {"val.acc": 1 - lr, "val.loss": lr, "grad_norm": 3.0, "throughput": 1234.5678}
            trial.log_metrics(step=step, loss=lr / (1 + step), acc=seed / 12, **values)
        trial.finish(ValueError if seed in (3, 7) else None)
    client.close()


def listed(columns, *flags, env=None):
    """Return the head, the rows and the last line of a list on a terminal so wide."""
    shown = on_a_terminal("--no-color", "ls", *flags, COLUMNS=str(columns), **(env or {}))
    assert "\x1b" not in shown
    head, *rows = shown.replace("\r", "").splitlines()
    last = rows.pop() if rows[-1].startswith("track: ") else ""
    assert all(len(line) <= columns for line in (head, *rows))
    return head.split(), rows, last


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", [None, "run-{3}", LONG], ids=["unnamed", "named", "long"])
def test_trials_are_told_apart(name, columns):
    """By uids that find them, the parameters that differ, and some metrics."""
    sweep("file:sweep.json", name)
    head, rows, last = listed(columns)
    identified = ["trial", *([] if name is None else ["name"]), "status"]
    assert head[: len(identified)] == identified
    assert {"lr", "width", "loss"} < set(head)
    assert "optimizer" in head or (columns == 80 and name is LONG)
    assert "epochs" not in head
    assert len({row.split()[0] for row in rows}) == 12
    assert all(re.fullmatch("[0-9a-f]{8}_0", row.split()[0]) for row in rows)
    if name is None:
        assert len({tuple(row.split()[2:5]) for row in rows}) == 12
    else:
        assert len({row.split()[1] for row in rows}) == 12
    statuses = [row.split()[len(identified) - 1] for row in rows]
    assert [statuses.index("exception"), statuses.count("exception")] == [3, 2]
    assert "parameters.epochs (the same for all)" in last
    for path in ("metrics.throughput", "changed", "runtime"):
        assert (path.rpartition(".")[2] in head) != (path in last), path
    assert "--columns" in last


def test_a_uid_that_is_shown_finds_its_trial(track):
    """However alike the uids are."""
    store = get_protocol("file:alike.json")
    for last in ("1", "2", "21"):
        store.new_trial(Trial(_hash=f"experiment-of-monday-{last}", parameters={"n": last}))
    store.close()
    _, rows, _ = listed(80)
    shown = [row.split()[0] for row in rows]
    assert len(set(shown)) == 3
    for uid, last in zip(shown, ("1", "2", "21"), strict=True):
        assert json.loads(track("show", uid, "--json").out)["parameters"] == {"n": last}


def test_lines_are_drawn_where_there_is_room_for_them():
    """Where there is none, without them there is room for more columns."""
    sweep("file:sweep.json")
    assert "┃" in on_a_terminal("ls", TERM="xterm", COLUMNS="200")
    narrow = on_a_terminal("ls", TERM="xterm", COLUMNS="80")
    assert "┃" not in narrow
    assert "loss" in narrow


def test_numbers_that_are_nearly_equal_are_told_apart(track):
    """With as many digits as that takes."""
    client = TrackClient("file:near.json")
    for lr in (0.123456781, 0.123456782):
        client.new_trial(force=True, parameters={"lr": lr})
    client.close()
    _, rows, _ = listed(80)
    words = [word for row in rows for word in row.split() if word.startswith("0.1")]
    assert words == ["0.123456781", "0.123456782"]


def test_nothing_is_left_out_where_nobody_looks(track):
    """Of what programs read, or people with a pager."""
    sweep("file:sweep.json")
    result = track("ls")
    assert result.err == ""
    head = result.out.splitlines()[0].split()
    assert {"project", "group", "epochs", "val.loss", "throughput", "changed"} < set(head)


def test_what_is_sorted_by_is_shown():
    """Before other metrics."""
    sweep("file:sweep.json", LONG)
    head, rows, _ = listed(80, "--sort", "-metrics.val.loss", "-n", "5")
    assert "val.loss" in head
    place = head.index("val.loss")
    assert [row.split()[place] for row in rows] == ["0.1"] * 4 + ["0.01"]


def test_columns_are_chosen(track):
    """By path, in tables and in JSON."""
    sweep("file:sweep.json", "run-{3}")
    flags = ("--columns", 'name,metrics["val.acc"]', "--columns", "parameters.lr", "-n", "1")
    head, row = track("ls", *flags).out.splitlines()
    assert head.split() == ["name", 'metrics["val.acc"]', "parameters.lr"]
    assert row.split() == ["run-0", "0.9", "0.1"]
    (line,) = track("ls", *flags, "--json").out.splitlines()
    assert json.loads(line) == {
        "name": "run-0",
        'metrics["val.acc"]': 0.9,
        "parameters.lr": 0.1,
    }


@pytest.mark.parametrize(
    "path", ["metrics.val.acc", 'metrics["val.acc"]', "metrics['val.acc']"], ids=str
)
def test_a_name_with_a_dot_is_addressed_everywhere(track, path):
    """In sort, where, columns, plot, export and blame."""
    sweep("file:sweep.json", "run-{3}")
    best = json.loads(track("ls", "--sort", f"-{path}", "-n", "1", "--json").out)
    assert best["parameters"]["lr"] == 0.001
    assert track("ls", "-w", f"{path}>0.95", "--columns", path).out.count("0.99") == 8
    assert track("export", "-f", "trials-csv", "-w", f"{path}>0.95").out.count("\n") == 9
    assert track("plot", "run-1", "-m", path).out.startswith("val.acc\n")
    assert track("blame", "run-1", path).out.count("\n") == 4
    assert track("blame", "run-1", f"{path}.2").out.count("\n") == 2


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        (["ls", "--sort", "metrics.los", "-n", "2"], "did you mean metrics.loss?"),
        (["ls", "--sort", "metrics.nonsense", "-n", "2"], "use one of metrics.loss, metrics.acc"),
        (["ls", "--sort", "loss"], "did you mean metrics.loss?"),
        (["ls", "--sort", "metrics.lr"], "did you mean parameters.lr?"),
        (["ls", "-w", "metrics.los<1"], "did you mean metrics.loss?"),
        (["ls", "-w", "metrics.los!=1"], "did you mean metrics.loss?"),
        (["ls", "-w", "los<1"], "did you mean metrics.loss?"),
        (["ls", "--columns", "uid,metrics.val.ac"], 'did you mean metrics["val.acc"]'),
        (["export", "-w", "parameters.widht=1"], "did you mean parameters.width?"),
        (["plot", "run-1", "-m", "los"], "did you mean metrics.loss?"),
        (["blame", "run-1", "metrics.los"], "did you mean metrics.loss?"),
        (["ls", "-w", 'metrics["\\x"]=1'], "invalid quoted key"),
    ],
)
def test_a_path_that_no_trial_has_is_an_error(track, verb, words):
    """It names the near ones; nothing is printed as if it had been understood."""
    sweep("file:sweep.json", "run-{3}")
    result = track(*verb)
    assert (result.code, result.out) == (USAGE, "")
    assert words in result.err
    assert result.err.count("\n") == 1


def test_what_nobody_has_can_be_asked_for(track):
    """By saying that it is not there; and in an empty store anything can be."""
    sweep("file:sweep.json", "run-{3}")
    assert track("ls", "-w", "!metadata.note", "--columns", "name").out.count("run-") == 12
    TrackClient("file:empty.json").close()
    assert os.path.exists("empty.json")
    assert track("ls", "-s", "file:empty.json", "--sort", "metrics.loss").code == 0
