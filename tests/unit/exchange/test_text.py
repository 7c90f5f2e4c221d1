"""CSV, JSON and JSON lines, whatever was logged; and a report read back."""

import csv
import io
import json
import math
from datetime import datetime, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import track
from tests import strategies
from track import TrackClient
from track.aggregators.aggregator import StatAggregator
from track.errors import NotAReport
from track.events.types import MetricsLogged, Recorded, TagsAdded, Unknown
from track.exchange import (
    export_csv,
    export_events,
    export_json,
    export_trials_csv,
    import_projects,
    read_report,
)
from track.exchange.tables import cell
from track.persistence import get_protocol
from track.projections.copies import copy_trial
from track.structure import CustomStatus, Project, Status, Trial, TrialGroup

BROKEN = '[{"dtype": "project", "name": "p", "trials": [{"dtype": "trial", "metrics": [1]}]}]'
LOSS = {0: 1.0, 1: 0.5, 10: math.nan}


def make_trial(**fields):
    return Trial(_hash="aaa", project_id="p", **fields)


def to_csv(export, *arguments, **options):
    """Return the rows of a CSV file, as another program reads them."""
    file = io.StringIO(newline="")
    export(*arguments, file, **options)
    return [*csv.reader(io.StringIO(file.getvalue(), newline=""))]


odd_metrics = st.dictionaries(
    strategies.texts,
    st.lists(strategies.loggable, max_size=4)
    | st.dictionaries(strategies.keys, strategies.loggable, max_size=4)
    | strategies.loggable,
    max_size=4,
)
odd_trials = st.builds(
    Trial,
    _hash=strategies.texts,
    revision=st.integers(0, 3),
    name=strategies.optional_names,
    project_id=strategies.optional_names,
    group_id=strategies.optional_names,
    tags=strategies.values,
    parameters=strategies.values,
    metadata=strategies.values,
    metrics=odd_metrics,
    status=st.none() | st.builds(CustomStatus, strategies.texts, st.integers()),
)


def test_a_row_for_each_value():
    """With the step where there is one, else the place in the list."""
    group = TrialGroup(_uid="g1", name="group")
    trial = make_trial(group_id="g1", metrics={"loss": LOSS, "cost": [1, True, "x"], "bare": 3})
    assert to_csv(export_csv, [trial], groups=[group]) == [
        ["trial", "project", "group", "metric", "step", "index", "value", "time"],
        ["aaa_0", "p", "group", "loss", "0", "", "1.0", ""],
        ["aaa_0", "p", "group", "loss", "1", "", "0.5", ""],
        ["aaa_0", "p", "group", "loss", "10", "", "NaN", ""],
        ["aaa_0", "p", "group", "cost", "", "0", "1", ""],
        ["aaa_0", "p", "group", "cost", "", "1", "true", ""],
        ["aaa_0", "p", "group", "cost", "", "2", "x", ""],
        ["aaa_0", "p", "group", "bare", "", "", "3", ""],
    ]


def test_a_statistic_has_its_name_as_step():
    """Both of a trial that is fetched and of one that is being logged."""
    store = get_protocol("memory:")
    trial = store.new_trial(Trial())
    for value in (1.0, 3.0):
        store.log_trial_metrics(trial, aggregator=StatAggregator.lazy(0), loss=value)
    for found in (trial, *store.fetch_trials()):
        rows = to_csv(export_csv, [found])
        assert ["avg", "", "2.0"] in [row[4:7] for row in rows]
        header, row = to_csv(export_trials_csv, [found])
        assert row[header.index("metrics.loss.max")] == "3.0"


def test_a_row_for_each_trial():
    """Columns are the union of what the trials have, and cells are empty where one has nothing."""
    trials = [
        Trial(
            _hash="aaa",
            name="first",
            project_id="p",
            parameters={"opt": {"name": "sgd", "lr": 0.1}, "empty": {}},
            metrics={"loss": LOSS, "none": []},
            chronos={"runtime": 1.5},
            tags={"kind": "first"},
            metadata={"_update_count": 3, "_last_change": 1.5, "note": {"n": 1}},
            status=Status.Completed,
        ),
        Trial(_hash="bbb", parameters={"opt.lr": 1}, metrics={"cost": [1, 2]}, status=None),
    ]
    header, first, second = to_csv(export_trials_csv, trials)
    assert dict(zip(header, first, strict=True)) == {
        "uid": "aaa_0",
        "name": "first",
        "revision": "0",
        "project": "p",
        "group": "",
        "status": "Completed",
        "start": "",
        "end": "",
        "runtime": "1.5",
        "parameters.opt.name": "sgd",
        "parameters.opt.lr": "0.1",
        "parameters.empty": "{}",
        "tags.kind": "first",
        "metadata.note": '{"n": 1}',
        "metrics.loss": "NaN",
        "metrics.none": "",
        "metrics.cost": "",
    }
    shown = dict(zip(header, second, strict=True))
    assert {name: text for name, text in shown.items() if text} == {
        "uid": "bbb_0",
        "revision": "0",
        "parameters.opt.lr": "1",
        "metrics.cost": "2",
    }


def test_steps_that_are_texts_are_no_columns():
    """The last value is one column, as of any other metric."""
    trial = make_trial(metrics={"loss": {f"epoch {number}": number for number in range(99)}})
    header, row = to_csv(export_trials_csv, [trial])
    assert (len(header), row[header.index("metrics.loss")]) == (10, "98")


@given(st.lists(odd_trials, max_size=3))
def test_odd_values_become_valid_csv(trials):
    """Every value is one row, and every cell is read as it was written."""
    file = io.StringIO(newline="")
    count = export_csv(trials, file)
    text = file.getvalue()
    assert text.encode().decode() == text
    rows = [*csv.reader(io.StringIO(text, newline=""))]
    assert [len(row) for row in rows] == [8] * (count + 1)
    header, *rows = to_csv(export_trials_csv, trials)
    assert [row[0] for row in rows] == [cell(trial.uid) for trial in trials]
    assert all(len(row) == len(header) for row in rows)


@given(st.lists(odd_trials, max_size=3))
def test_odd_values_become_valid_json(trials):
    """Of trials, and of the projects they are in."""
    for objects in (trials, [Project(name="p", trials=set(trials))]):
        file = io.StringIO()
        assert export_json(objects, file) == len(objects)
        written = json.loads(file.getvalue(), parse_constant=pytest.fail)
        assert len(written) == len(objects)


recorded_events = st.builds(
    Recorded,
    st.integers(1),
    strategies.times,
    strategies.streams,
    strategies.sequences,
    strategies.streams,
    strategies.events,
)


@given(st.lists(recorded_events))
def test_odd_events_become_json_lines(events):
    """One line each, with every field, and numbers that no reader of JSON rounds."""
    file = io.StringIO()
    assert export_events(events, file) == len(events)
    lines = file.getvalue().splitlines()
    assert len(lines) == len(events)
    for line, recorded in zip(lines, events, strict=True):
        written = json.loads(line, parse_constant=pytest.fail)
        assert written["type"] == type(recorded.event).__name__
        assert [*written["fields"]] == [*recorded.event._fields]
        assert int(written["producer"], 16) == recorded.producer
        assert int(written["stream"], 16) == recorded.stream
        moment = datetime.fromisoformat(written["at"][:19]).replace(tzinfo=timezone.utc)
        assert int(moment.timestamp()) * 10**9 + int(written["at"][20:-1]) == recorded.at


def test_an_event_is_a_line_that_people_can_read():
    """The encoding is the one of the report."""
    values = {
        "nan": math.nan,
        "bytes": b"\xff",
        "when": datetime(1970, 1, 2, tzinfo=timezone.utc),
        "uuid": UUID(int=1),
        "pair": (1, 2),
        3: "key",
    }
    events = [
        Recorded(7, 1_500_000_000_000_000_001, 255, 3, 16, TagsAdded(values)),
        Recorded(8, 0, 0, 0, 0, Unknown(0, 0, b"junk")),
        Recorded(9, 0, 0, 0, 0, MetricsLogged(0, {"loss": 0.5}, None)),
    ]
    file = io.StringIO()
    export_events(events, file)
    first, junk, _ = map(json.loads, file.getvalue().splitlines())
    assert first == {
        "position": 7,
        "at": "2017-07-14T02:40:00.000000001Z",
        "producer": "00000000000000ff",
        "sequence": 3,
        "stream": "0000000000000010",
        "type": "TagsAdded",
        "fields": {
            "values": {
                "nan": "NaN",
                "bytes": "/w==",
                "when": 86400.0,
                "uuid": "00000000-0000-0000-0000-000000000001",
                "pair": [1, 2],
                "3": "key",
            }
        },
    }
    assert junk["fields"]["body"] == "anVuaw=="


def test_a_report_is_read_back(tmp_path):
    """What is exported as JSON, with steps and odd numbers, comes back into another store."""
    store = get_protocol("memory:")
    store.new_project(Project(name="p", metadata={"owner": "me"}))
    store.new_trial_group(TrialGroup(_uid="g", name="group", project_id="p"))
    trial = make_trial(group_id="g", parameters={"lr": 0.1}, status=CustomStatus("reserved", 2))
    store.new_trial(trial)
    for step, value in LOSS.items():
        store.log_trial_metrics(trial, step=step, loss=value)
    store.log_trial_metrics(trial, cost=math.inf)
    path = tmp_path / "report.json"
    with open(path, "w") as file:
        export_json(store.fetch_projects(), file)

    again = get_protocol("memory:")
    projects = read_report(str(path))
    assert import_projects(again, projects) == (1, 1, 1)
    assert import_projects(again, read_report(str(path))) == (0, 0, 0)
    (found,) = again.fetch_trials()
    assert list(found.metrics["loss"]) == [0, 1, 10]
    assert math.isnan(found.metrics["loss"][10])
    assert found.metrics["cost"] == [math.inf]
    assert (found.uid, found.parameters, found.status) == (trial.uid, {"lr": 0.1}, trial.status)
    assert again.get_trial_group(TrialGroup(_uid="g")).trials == {trial.uid}
    assert again.get_project(Project(name="p")).metadata == {"owner": "me"}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, NotAReport),
        ("{", NotAReport),
        ('{"a": 1}', NotAReport),
        (
            BROKEN,
            NotAReport,
        ),
    ],
)
def test_what_is_no_report_is_one_error(text, error, tmp_path):
    """It names the file."""
    path = tmp_path / "old.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=r"old\.json"):
        read_report(str(path))


@pytest.mark.parametrize("export", [export_csv, export_trials_csv, export_json])
def test_series_are_written_as_their_dictionaries(export):
    """In pieces, from columns, whatever the name and the values are."""
    client = TrackClient("file:store.json")
    client.set_group(name='a "group", quoted')
    trial = client.new_trial(name="t", parameters={"lr": 0.1})
    for step in range(5000):
        odd = [math.nan, math.inf, -1e308][step % 3]
        trial.log_metrics(step=step, **{"a, b": step / 7, "odd": odd})
    for step in (3, 1, 2.5, "last"):
        trial.log_metrics(step=step, again=1.0)
    trial.log_metrics(alone=0.5)
    client.close()
    with track.open("file:store.json") as reader:
        trials, groups = reader.trials(), reader.groups()
        with reader.protocol.read_state() as objects:
            plain = [copy_trial(one) for one in objects.trials.values()]
        more = {} if export is export_json else {"groups": groups, "times": reader.times(trials)}
        written, expected = io.StringIO(newline=""), io.StringIO(newline="")
        assert export(trials, written, **more) == export(plain, expected, **more)
    assert written.getvalue() == expected.getvalue()
