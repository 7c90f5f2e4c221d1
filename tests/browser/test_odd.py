"""Metrics and steps that are no ordinary numbers: what is shown of them is true."""

import math

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import serve
from track import TrackClient


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A server that shows trials with texts as steps or values, and the address of each view."""
    folder = tmp_path_factory.mktemp("odd")
    client = TrackClient(f"file:{folder}/odd.json")
    client.set_project(name="odd")
    trials = {}
    for name, phases in {"one": ("load", "train", "test"), "two": ("load", "tune", "test")}.items():
        with client.new_trial(name=name) as trial:
            for place, phase in enumerate(phases):
                trial.log_metrics(step=phase, cost=place + 0.5)
        trials[name] = trial.trial.uid
    with client.new_trial(name="three") as trial:
        for step in range(5):
            trial.log_metrics(
                step=step, phase=f"phase-{step}", sometimes=step if step % 2 else "n/a"
            )
        trial.log_metrics(answer="yes", nothing=None, several={"a": 1})
        trial.log_metrics(**{" ": 1.5})
    trials["three"] = trial.trial.uid
    client.close()
    with serve(f"file:{folder}/odd.json") as served:
        yield served.url, trials


def charts_of(*uids):
    """Return the route to charts."""
    return "#/charts?" + "&".join(f"select={uid}" for uid in uids)


def test_values_that_are_texts_are_shown_and_not_called_nan(look, odd):
    """A single one, the last of several, and those among numbers."""
    url, trials = odd
    page = look(url).go(charts_of(trials["three"]))
    chart = page.locator('figure[data-metric="answer"]')
    expect(chart.locator(".results b")).to_have_text("yes")
    expect(page.locator('figure[data-metric="nothing"] .results b')).to_have_text("null")
    expect(page.locator('figure[data-metric="several"] .results b')).to_have_text('{"a":1}')
    chart = page.locator('figure[data-metric="phase"]')
    expect(chart.locator(".results b")).to_have_text("phase-4")
    expect(chart.locator(".chart-note")).to_have_text("the last of 5 texts")
    chart = page.locator('figure[data-metric="sometimes"]')
    expect(chart.locator("canvas")).to_be_visible()
    expect(chart.locator(".chart-note")).to_have_text("3 points without a number")
    expect(page.locator(".charts")).not_to_contain_text("NaN")
    chart.get_by_role("button", name="Save or list sometimes").click()
    page.get_by_role("button", name="Show as a table").click()
    expect(page.get_by_role("dialog").get_by_role("row").nth(1)).to_contain_text("n/a")


def test_steps_that_are_texts_are_the_axis(look, odd):
    """What two trials have in common is at one place, and each has its own order."""
    url, trials = odd
    page = look(url).go(charts_of(trials["one"], trials["two"]))
    area = page.locator('figure[data-metric="cost"] .chart-area')
    expect(area.locator("canvas")).to_be_visible()
    area.focus()
    said = []
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        said.append(page.locator("#announcer").inner_text())
    assert said == [
        "load: one 0.5, two 0.5",
        "tune: two 1.5",
        "train: one 1.5",
        "test: one 2.5, two 2.5",
    ]


def test_a_name_that_cannot_be_seen_is_quoted(look, odd):
    """In the title of its chart and in the results of its trial."""
    url, trials = odd
    tab = look(url)
    page = tab.go(charts_of(trials["three"]))
    expect(page.get_by_role("heading", name="“ ”")).to_be_visible()
    page = tab.go(f"#/trial/{trials['three']}")
    expect(page.get_by_role("rowheader", name="“ ”")).to_be_visible()


TICKS = {
    "1e9": ([1e9, 1e9 + 0.5, 1e9 + 1], ["1e9", "1.0000000005e9", "1.000000001e9"]),
    "steps": ([1e7, 1e7 + 5], ["10\u202f000\u202f000", "10\u202f000\u202f005"]),
    "few digits": ([0, 0.1, 0.30000000000000004], ["0", "0.1", "0.3"]),
    "round": ([0, 2.5e15], ["0", "2.5e15"]),
    "none": ([None, 1], ["", "1"]),
}


def test_ticks_have_as_many_digits_as_tell_them_apart(look, small):
    """And no more."""
    page = look(small).go()
    call = "async (values) => (await import('./static/format.js')).ticks(values)"
    assert {name: page.evaluate(call, values) for name, (values, _) in TICKS.items()} == {
        name: written for name, (_, written) in TICKS.items()
    }


@pytest.mark.parametrize(("low", "high"), [(1e17, 1e17 + 16), (5e-324, 1e-323), (-1e308, 1e308)])
def test_round_numbers_between_any_ends_are_few(look, small, low, high):
    """Also where the next number is the same one, or the distance is no number."""
    page = look(small).go()
    call = (
        "async ([low, high]) => (await import('./static/dimensions.js'))"
        ".roundNumbers({low, high, isLog: false}, 5)"
    )
    found = page.evaluate(call, [low, high])
    assert len(found) <= 10
    assert all(math.isfinite(one) for one in found)


def test_values_of_any_size_are_drawn_as_ordinary_numbers(look, small):
    """A chart divides very large and very small ones by a power of ten, so that they have ticks."""
    page = look(small).go()
    call = """async (values) => {
      const { prepare } = await import('./static/lines.js');
      const column = Float64Array.from(values);
      const steps = Float64Array.of(0, 1);
      const series = {trial: "t", metric: "m", length: 2, steps, times: column, values: column};
      const options = {x: "step", smoothing: 0, starts: new Map(), across: new Map()};
      return prepare([series], {...options, groupOf: null}).columns[0];
    }"""
    for size in (1e100, 1e308, 1e-30, 1e-310, 1.0):
        assert page.evaluate(call, [0, size]) == pytest.approx([0, 1])
