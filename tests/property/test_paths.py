"""Check that a path can be written for any names, and leads to exactly their value."""

import json
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

import track
from track.cli.app import run
from track.projections.paths import leaves, look_up, parse_path, write_path
from track.reading.summary import split_paths, to_condition
from track.ui.app import make_app
from track.ui.security import Rules
from track.ui.store import Store

numbers = count()
names = st.one_of(
    st.text(st.sampled_from("a.1-[]\"' \\=<>!~,\t\n$#é\u00a0\x9b"), max_size=6),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.sampled_from(["\ud800", "loss", "loss.3", "3", '["loss"]', "['3']", "[3]", "metrics.loss"]),
)
plain = names.filter(lambda name: not {*".["} & {*name})


def trees(of):
    """Mappings of mappings, with a different number at each leaf."""
    inner = st.recursive(
        st.just(None),
        lambda below: st.dictionaries(of, below, min_size=1, max_size=4),
        max_leaves=9,
    )
    return inner.map(_numbered)


def _numbered(tree):
    return next(numbers) if tree is None else {name: _numbered(one) for name, one in tree.items()}


def quoted(section, *several):
    """A path with each name in quotes."""
    return section + "".join(f"[{json.dumps(name)}]" for name in several)


@given(st.lists(names, max_size=4))
def test_names_are_read_as_they_were_written(several):
    path = write_path("parameters", *several)
    assert [key.text for key in parse_path(path)] == ["parameters", *several]
    assert split_paths(f"uid,{path} , name") == ["uid", path, "name"]


@given(st.lists(names, max_size=4), st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "~", "!~"]))
def test_conditions_take_any_path(several, operator):
    path = write_path("tags", *several)
    assert to_condition(path) == (path, {"$exists": True})
    assert to_condition(f"!{path}") == (path, {"$exists": False})
    assert to_condition(f" {path} {operator} 1")[0] == path


@given(trees(names))
def test_a_quoted_path_leads_to_exactly_what_it_names(tree):
    for names_of_it, value in _leaves(tree):
        path = quoted("parameters", *names_of_it)
        assert look_up(tree, parse_path(path)[1:]) == (True, value)


@given(trees(plain))
def test_a_written_path_leads_to_what_it_names(tree):
    """This holds unless names have dots, so that two nested values could be meant."""
    for path, value in leaves(tree, "parameters"):
        assert look_up(tree, parse_path(path)[1:]) == (True, value)


def _leaves(tree, *above):
    if not isinstance(tree, dict):
        return [(above, tree)]
    return [leaf for name, one in tree.items() for leaf in _leaves(one, *above, name)]


@settings(max_examples=15)
@given(st.lists(names, min_size=1, max_size=4, unique=True))
def test_everything_finds_a_value_at_its_path(called):
    """Conditions, sorting, columns, origins, queries and the page agree."""
    uri = f"file:{next(numbers)}.json"
    client = track.TrackClient(uri)
    client.set_project(name="p")
    for factor in (1, 2):
        with client.new_trial(name=f"t{factor}") as trial:
            values = {name: factor * (10 + number) for number, name in enumerate(called)}
            trial.log_arguments(**values)
            trial.add_tags(**values)
            for step in (0, 3):
                trial.log_metrics(step=step, **values)
    client.close()
    with track.open(uri) as reader:
        page = TestClient(
            make_app(Store(reader), Rules()),
            base_url="http://127.0.0.1",
        )
        for number, name in enumerate(called):
            for section in ("parameters", "tags", "metrics"):
                path = write_path(section, name)
                where = f"{path}={2 * (10 + number)}"
                for chosen in (where, f"{path}>{10 + number}"):
                    assert [one.name for one in reader.summaries([chosen]).trials] == ["t2"]
                    (row,) = page.get("/api/trials", params={"where": chosen}).json()["rows"]
                    assert row["name"] == "t2"
                found = reader.summaries(sort=f"-{path}", columns=[path]).trials
                assert [one.name for one in found] == ["t2", "t1"]
                listed = page.get("/api/trials", params={"sort": path, "descending": "1"}).json()
                assert [row["name"] for row in listed["rows"]] == ["t2", "t1"]
                origins = reader.provenance("t2", path)
                assert origins[-1].value == 2 * (10 + number)
            (trial,) = reader.trials({quoted("metrics", name) + ".3": 2 * (10 + number)})
            assert trial.name == "t2"


@pytest.mark.parametrize(
    "name", ["loss<0.1", "01: running time in mins", " a", "a\tb", 'q"\\', "é é"]
)
def test_the_command_line_takes_quoted_names(name, capsys):
    client = track.TrackClient("file:named.json")
    client.set_project(name="p")
    for number in (1, 2):
        with client.new_trial(name=f"t{number}") as trial:
            trial.log_metrics(step=0, **{name: number, "loss": 7})
    client.close()
    path = write_path("metrics", name)

    def lines(*arguments):
        assert run([*arguments, "--store", "file:named.json", "--json"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert lines("ls", "-w", f"{path}>1", "-w", path, "--columns", path) == [{path: 2}]
    assert lines("ls", "--sort", f"-{path}", "--columns", f"name,{path}")[0] == {
        "name": "t2",
        path: 2,
    }
    assert lines("blame", "t2", path)[0]["value"] == 2
    for metric in (path, name):
        (line,) = lines("plot", "t2", "-m", metric)
        assert (line["metric"], line["points"]) == (name, [[0, 2]])


def test_what_is_nearly_a_name_is_told_with_quotes(capsys):
    client = track.TrackClient("file:named.json")
    client.set_project(name="p")
    with client.new_trial(parameters={"01: running time": 1}) as trial:
        trial.log_metrics(step=0, **{"loss<0.1": 1})
    client.close()
    wrong = {
        "metrics.loss<0.1>3": 'did you mean metrics["loss<0.1"]?',
        "parameters.running": 'did you mean parameters["01: running time"]?',
        "metrics.a b>1": 'quote names with blanks or operators: metrics["a name"]<0.1',
    }
    for condition, hint in wrong.items():
        assert run(["ls", "-w", condition, "-s", "file:named.json"]) != 0
        assert hint in capsys.readouterr().err
