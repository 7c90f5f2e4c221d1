"""The names of lines: below a chart and beside it, whole or by what tells them apart."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import serve
from track import TrackClient

SHARED = "resnet18-cifar10-sgd-"
COUNT = 12


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A server that shows twelve trials, whose long names begin alike."""
    folder = tmp_path_factory.mktemp("named")
    client = TrackClient(f"file:{folder}/named.json")
    client.set_project(name="named")
    for number in range(COUNT):
        name = f"{SHARED}lr{number}-batch128-warmup"
        with client.new_trial(force=True, name=name, parameters={"lr": number}) as trial:
            for step in range(5):
                trial.log_metrics(step=step, loss=step * number)
            trial.log_metrics(accuracy=number)
    client.close()
    with serve(f"file:{folder}/named.json") as served:
        yield served.url


def choose_all(page):
    """Choose all trials and go to their charts; return the chart of the loss."""
    page.locator(".grid").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    page.keyboard.down("Shift")
    for _ in range(COUNT - 1):
        page.keyboard.press("ArrowDown")
    page.keyboard.up("Shift")
    page.get_by_role("link", name="Charts", exact=True).first.click()
    chart = page.locator('figure[data-metric="loss"]')
    expect(chart.locator("canvas")).to_be_visible()
    return chart


IN_SIGHT = """
row => [...row.children].filter(one => {
  const [box, room] = [one.getBoundingClientRect(), row.getBoundingClientRect()];
  return box.top < room.bottom - 4 && box.right <= room.right + 1;
}).length
"""


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_what_the_row_below_a_chart_has_no_room_for_is_counted_and_listed(look, named, width):
    """What is in sight and what is counted are all lines; a press lists them."""
    page = look(named, viewport={"width": width, "height": 800}).go()
    expect(page.locator(".grid-body .cell-name a").first).to_be_visible()
    chart = choose_all(page)
    more = chart.locator(".chart-key-more")
    expect(more).to_be_visible()
    left_out = int(more.inner_text().removeprefix("+"))
    assert 0 < left_out < COUNT
    assert chart.locator(".chart-key-row").evaluate(IN_SIGHT) == COUNT - left_out
    more.click()
    items = chart.locator(".chart-key-list .chart-key-item")
    expect(items).to_have_count(COUNT)
    expect(items.last).to_contain_text("…lr11…")
    items.last.hover()
    expect(chart.locator(".chart-key-row .is-focused")).to_have_count(1)


def test_few_lines_need_no_count(look, small):
    """They all fit."""
    page = look(small, viewport={"width": 1440, "height": 800}).go("#/charts")
    chart = page.locator('figure[data-metric="train/loss"]')
    expect(chart.locator("canvas")).to_be_visible()
    expect(chart.locator(".chart-key-row .chart-key-item")).to_have_count(6)
    expect(chart.locator(".chart-key-more")).to_be_hidden()


def test_long_names_that_begin_alike_are_told_apart(look, named):
    """Beside the charts, below them and in a comparison; the whole name is in the title."""
    page = look(named, viewport={"width": 1024, "height": 800}).go()
    expect(page.locator(".grid-body .cell-name a").first).to_be_visible()
    chart = choose_all(page)
    beside = page.locator(".legend-item a").nth(3)
    expect(beside).to_have_text("…lr3…")
    expect(beside).to_have_attribute("title", re.compile(f"{SHARED}lr3-batch128-warmup"))
    expect(chart.locator(".chart-key-item").nth(1)).to_have_text("…lr1…")
    expect(page.locator(".results li > span.clip").nth(2)).to_have_text("…lr2…")


def test_a_chart_of_results_is_as_high_as_its_bars(look, small):
    """Unless a curve beside it is higher: there is no empty half below them."""
    page = look(small, viewport={"width": 390, "height": 800}).go("#/charts")
    results = page.locator(".results")
    expect(results.locator("li")).to_have_count(6)
    last, chart = results.locator("li").last, page.locator("figure", has=page.locator(".results"))
    below = chart.bounding_box()["y"] + chart.bounding_box()["height"]
    assert below - last.bounding_box()["y"] < 60
