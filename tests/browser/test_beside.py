"""The list of trials beside the charts: what is drawn, what else could be, and how it is found."""

import re

import pytest
from playwright.sync_api import expect

import track
from tests.browser.conftest import fill, parameters_of, serve
from track import TrackClient
from track.ui.saved import saved_page


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A server that shows fourteen trials, which are four more than are drawn by themselves."""
    folder = tmp_path_factory.mktemp("many")
    client = TrackClient(f"file:{folder}/many.json")
    fill(client, 14, 20)
    client.close()
    with serve(f"file:{folder}/many.json") as served:
        yield served.url


def legend(page):
    return page.get_by_role("list", name="Legend").locator(".legend-item")


def others(page):
    return page.get_by_role("list", name="Other trials").locator(".legend-item")


def test_what_is_not_drawn_is_listed_and_drawn_by_a_press(look, many):
    """With the keyboard, too: the focus goes along with the trial."""
    page = look(many).go("#/charts")
    expect(legend(page)).to_have_count(10)
    expect(others(page)).to_have_text([f"trial-{number}" for number in (3, 2, 1, 0)])
    button = page.get_by_role("button", name="Show trial-3", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    expect(legend(page)).to_have_count(11)
    expect(others(page)).to_have_count(3)
    expect(page.get_by_role("button", name="Hide trial-3", exact=True)).to_be_focused()
    assert len(parameters_of(page)["select"]) == 11
    expect(page.locator('[data-metric="train/loss"] .chart-key-item')).to_have_count(11)


def test_trials_are_found_by_a_part_of_their_name_or_a_condition(look, many):
    """The charts stay as they are until what was found is drawn."""
    page = look(many).go("#/charts?find=RIAL-1")
    expect(page.get_by_label("Find trials")).to_have_value("RIAL-1")
    expect(legend(page)).to_have_text([f"trial-{number}" for number in (13, 12, 11, 10)])
    expect(others(page)).to_have_text(["trial-1"])
    expect(page.locator('[data-metric="train/loss"] .chart-key-item')).to_have_count(10)
    page.get_by_label("Find trials").fill("parameters.optimizer.name=adam")
    expect(legend(page)).to_have_count(5)
    page.get_by_role("button", name="Draw only these 7").click()
    expect(page.locator('[data-metric="train/loss"] .chart-key-item')).to_have_count(7)
    assert len(parameters_of(page)["select"]) == 7
    page.get_by_label("Find trials").fill("nowhere")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    expect(legend(page)).to_have_count(0)


def test_a_wrong_condition_is_explained_below_the_field(look, many):
    """And the list stays."""
    tab = look(many)
    tab.allowed = "400"
    page = tab.go("#/charts?find=name~(")
    expect(page.get_by_role("alert").filter(has_text="invalid regular expression")).to_be_visible()
    expect(legend(page)).to_have_count(10)


def test_to_point_at_a_trial_lights_its_curves_and_the_other_way_round(look, many):
    """In the list, and in the legend below each chart."""
    page = look(many).go("#/charts")
    keys = page.locator('[data-metric="train/loss"] .chart-key-item')
    expect(keys).to_have_count(10)
    legend(page).filter(has_text="trial-12").hover()
    lit = re.compile("is-focused")
    expect(keys.filter(has_text="trial-12")).to_have_class(lit)
    page.get_by_role("link", name="trial-11", exact=True).focus()
    expect(keys.filter(has_text="trial-11")).to_have_class(lit)
    keys.filter(has_text="trial-13").hover()
    expect(legend(page).filter(has_text="trial-13")).to_have_class(lit)


def test_a_saved_report_has_the_list_too(look, tmp_path):
    """It finds trials by their names, and draws those that are chosen."""
    client = TrackClient(f"file:{tmp_path}/store.json")
    fill(client, 12, 5)
    client.close()
    with track.open(f"file:{tmp_path}/store.json") as reader:
        (tmp_path / "report.html").write_text(saved_page(reader), "utf-8")
    page = look((tmp_path / "report.html").as_uri()).go("#/charts?find=trial-1")
    expect(others(page)).to_have_text(["trial-1"])
    page.get_by_role("button", name="Draw only these 3").click()
    expect(page.locator('[data-metric="train/loss"] .chart-key-item')).to_have_count(3)
