"""What a prompt or a notebook shows of a store and what is in it fits a screen, and is escaped."""

import copy
import pickle

import pytest

import track
from track import TrackClient
from track.containers.series import StepSeries
from track.structure import Project, Trial, TrialGroup


@pytest.fixture(params=[80, 120])
def columns(request, monkeypatch):
    """A terminal of some width."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def fill(count, steps=2, **parameters):
    """Log trials, the names of which are odd."""
    client = TrackClient("file:s.json")
    client.set_project(name="<script>alert(1)</script>")
    client.set_group(name="group")
    for number in range(count):
        given = {"number": number, **parameters}
        name = f"<b>{number}</b> \x1b[31m"
        with client.new_trial(name=name, parameters=given, force=True) as trial:
            for step in range(steps):
                trial.log_metrics(step=step, loss=1.0 / (step + 1), accuracy=0.5)
    client.close()


def test_a_list_of_trials_is_a_table(columns):
    """As `track ls` prints it, with as many columns as fit; a part of the list, too."""
    fill(3, wide="x" * 500, **{f"parameter_{n}": [n] * 50 for n in range(20)})
    with track.open() as store:
        trials = store.trials()
        lines = repr(trials).splitlines()
        assert len(lines) == 4
        assert all(len(line) <= columns for line in lines)
        assert lines[0].split()[:3] == ["trial", "name", "status"]
        assert all(trial.uid[:8] in line for trial, line in zip(trials, lines[1:], strict=True))
        assert repr(trials[:2]).splitlines()[1].split()[0] == lines[1].split()[0]
        assert "\x1b" not in repr(trials)
        assert repr(store.trials({"name": "missing"})) == "[]"


def test_a_long_list_shows_its_ends(columns):
    """And how much is between them."""
    fill(60)
    with track.open() as store:
        lines = repr(store.trials()).splitlines()
        assert len(lines) == 22
        assert lines[11] == "… 40 more"
        assert "<b>0</b>" in lines[1]
        assert "<b>59</b>" in lines[-1]
        html = store.trials()._repr_html_()
        assert "<caption>60 in all</caption>" in html
        assert html.count("<tr>") == 22


def test_projects_groups_and_the_store_are_shown(columns):
    """With how much is in them."""
    fill(3)
    with track.open() as store:
        assert repr(store) == "Reader('file:s.json')"
        projects, groups = repr(store.projects()), repr(store.groups())
        html = store._repr_html_()
    assert projects.splitlines()[1].split() == ["<script>alert(1)</script>", "3", "1", "-"]
    assert groups.splitlines()[1].split()[:2] == ["group", "3"]
    assert html.startswith("<p>Reader(&#x27;file:s.json&#x27;)</p><table>")
    assert store._repr_html_() is None  # closed: a notebook shows the other text then


def test_html_is_escaped():
    """Whatever was logged does nothing to a notebook."""
    fill(2)
    with track.open() as store:
        for item in (store, store.projects(), store.groups(), store.trials(), store.trials()[0]):
            html = item._repr_html_()
            assert "<script>" not in html
            assert "<b>" not in html
        assert "&lt;b&gt;" in store.trials()._repr_html_()
        assert "&lt;script&gt;" in store._repr_html_()


def test_a_list_is_a_list():
    """It is compared, copied, sorted, sent and put together as any other one."""
    fill(3)
    with track.open() as store:
        for items in (store.trials(), store.projects(), store.groups()):
            plain = list(items)
            assert isinstance(items, list)
            assert items == plain
            assert [*items] == plain
            for other in (pickle.loads(pickle.dumps(items)), copy.deepcopy(items), items.copy()):
                assert other == plain
        items.sort(key=lambda group: group.name)
        past = store.trials(at=store.protocol.journal.head())
        assert repr(past).splitlines()[0].split()[0] == "trial"


@pytest.mark.parametrize(
    "shown",
    [
        Trial(
            name="n" * 1000,
            parameters={f"p{n}": {"deep": ["x" * 100] * 100} for n in range(100)},
            metrics={"loss": StepSeries((n, n / 2) for n in range(5000)), "listed": [0.5] * 5000},
            metadata={f"m{n}": "x" * 1000 for n in range(100)},
            errors=["e" * 1000] * 100,
        ),
        TrialGroup(name="g", project_id="p", trials={f"{n:064x}_0" for n in range(1000)}),
        Project(
            name="p",
            trials={Trial(name=str(n)) for n in range(100)},
            groups={TrialGroup(name=str(n), project_id="p") for n in range(100)},
        ),
    ],
    ids=lambda shown: type(shown).__name__,
)
def test_one_object_fits_a_screen(shown):
    """However much it holds."""
    assert len(repr(shown)) < 24 * 80
    assert repr(shown).startswith(f"{type(shown).__name__}(")


def test_a_small_object_is_shown_whole():
    """With all its attributes, and its whole uid."""
    trial = Trial(_hash="a" * 64, name="t", parameters={"lr": 0.1})
    assert f"hash='{'a' * 64}', revision=0, name='t'" in repr(trial)
    assert "parameters={'lr': 0.1}" in repr(trial)
    assert "trials=<2>" in repr(TrialGroup(name="g", project_id="p", trials={"a_0", "b_0"}))
