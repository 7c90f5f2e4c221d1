"""Pictures of many trials: what is beside their axes can be read."""

from itertools import pairwise

from playwright.sync_api import expect

from tests.browser.conftest import serve
from track import TrackClient


def test_axes_of_a_scatter_plot_have_round_numbers(look, small):
    """And no point is cut by an edge."""
    page = look(small).go("#/compare?shape=scatter&sx=parameters.lr&sy=metrics.accuracy")
    expect(page.locator(".scatter-point")).to_have_count(6)
    numbers = page.locator(".scatter .axis-tick").all_text_contents()
    assert numbers[:4] == ["0.04", "0.06", "0.08", "0.1"]
    assert set(numbers[4:]) <= {"0.5", "0.6", "0.7", "0.8", "0.9"}
    picture = page.locator(".scatter").bounding_box()
    for point in page.locator(".scatter-point").all():
        box = point.bounding_box()
        assert picture["x"] < box["x"]
        assert box["x"] + box["width"] < picture["x"] + picture["width"]


def test_parallel_axes_keep_apart_on_a_phone(look, small):
    """They are scrolled where they have no room beside each other."""
    tab = look(small, viewport={"width": 390, "height": 844})
    page = tab.go("#/compare?shape=parallel")
    lines = page.locator(".parallel-axes .axis-line")
    expect(lines).to_have_count(6)
    places = [line.bounding_box()["x"] for line in lines.all()]
    assert all(right - left > 60 for left, right in pairwise(places))
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_two_trials_are_beside_each_other_on_a_phone(look, small):
    """Next to the names of their values."""
    tab = look(small, viewport={"width": 390, "height": 844})
    page = tab.go()
    boxes = page.locator(".grid-body .check")
    expect(boxes).to_have_count(6)
    for place in range(3):
        boxes.nth(place).click()
    page.get_by_role("link", name="Compare", exact=True).first.click()
    heads = page.locator(".compare-table thead th")
    expect(heads).to_have_count(3)
    second = heads.nth(1).bounding_box()
    assert second["x"] + second["width"] <= 390


def test_the_table_shows_more_than_long_names_on_a_phone(look, tmp_path):
    """The status is in sight, too; and all of the name is in the title of its trial."""
    client = TrackClient(f"file:{tmp_path}/long.json")
    name = "resnet18-cifar10-adam-lr0.003-bs128-warmup"
    with client.new_trial(name=name) as trial:
        trial.log_metrics(step=0, loss=1.0)
    client.close()
    with serve(f"file:{tmp_path}/long.json") as served:
        page = look(served.url, viewport={"width": 390, "height": 844}).go()
        status = page.locator(".grid-body .status").bounding_box()
        assert status["x"] + status["width"] < 390
        page.locator(".cell-name a").click()
        title = page.get_by_role("heading", name=name)
        expect(title).to_be_visible()
        assert title.evaluate("e => e.scrollWidth <= e.clientWidth && e.clientHeight > 40")
        swatch = page.locator(".trial-title .swatch").bounding_box()
        assert swatch["y"] > title.bounding_box()["y"]


def test_texts_below_a_scatter_plot_do_not_overlap(look, tmp_path):
    """They are cut, or only some of them are shown."""
    client = TrackClient(f"file:{tmp_path}/kinds.json")
    client.set_project(name="kinds")
    for number in range(20):
        parameters = {"kind": f"a-long-name-{number}"}
        with client.new_trial(force=True, name=f"t{number}", parameters=parameters) as trial:
            trial.log_metrics(loss=number)
    client.close()
    with serve(f"file:{tmp_path}/kinds.json") as served:
        tab = look(served.url)
        for width in (1440, 390):
            tab.page.set_viewport_size({"width": width, "height": 844})
            route = "#/compare?shape=scatter&sx=parameters.kind&sy=metrics.loss"
            page = tab.go(route)
            ticks = page.locator(".scatter .axis-tick[text-anchor=middle]")
            expect(ticks.first).to_be_visible()
            places = [tick.bounding_box() for tick in ticks.all()]
            assert len(places) > 3
            for left, right in pairwise(places):
                assert left["x"] + left["width"] <= right["x"]
