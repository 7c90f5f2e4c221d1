"""Charts: what is drawn, what is not a number, zoom, what can be saved."""

import csv
import math
import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import parameters_of, serve
from track import TrackClient


def drawn(page, metric):
    """Wait until a chart is drawn; return it."""
    chart = page.locator(f'figure[data-metric="{metric}"]')
    expect(chart.locator("canvas")).to_be_visible()
    return chart


HAS_NUMBERS = """
figure => {
  const canvas = figure.querySelector("canvas");
  const width = figure.querySelector(".u-over").offsetLeft * devicePixelRatio;
  const height = figure.querySelector(".u-over").offsetHeight * devicePixelRatio;
  return canvas.getContext("2d").getImageData(0, 0, width, height).data.some(byte => byte > 0);
}
"""
"""Whether something is drawn beside the vertical axis."""


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A server that shows trials whose values are hard to draw."""
    folder = tmp_path_factory.mktemp("odd")
    client = TrackClient(f"file:{folder}/odd.json")
    client.set_project(name="odd")
    with client.new_trial(name="odd") as trial:
        for step in range(30):
            value = math.nan if step % 10 == 4 else math.inf if step == 7 else float(step)
            trial.log_metrics(step=step, broken=value, huge=(-1) ** step * 1e308, below=step - 15)
    with client.new_trial(name="long", parameters={"long": True}) as trial:
        for step in range(20_000):
            trial.log_metrics(step=step, wave=math.sin(step / 50), spike=float(step == 12_345))
    client.close()
    with serve(f"file:{folder}/odd.json") as served:
        yield served.url


def test_there_is_a_chart_for_each_metric_and_one_legend(look, small):
    """Results without steps are bars; prefixes that several metrics have are headings."""
    page = look(small).go("#/charts")
    drawn(page, "train/loss")
    drawn(page, "val/loss")
    expect(page.locator(".results li")).to_have_count(6)
    expect(page.locator(".legend-item")).to_have_count(6)
    expect(page.locator(".legend-item").first).to_contain_text("trial-5")


def test_the_cursor_is_linked_and_shows_values(look, small):
    """What a trial has at the cursor is in the legend, in the tooltip, and in the other charts."""
    page = look(small).go("#/charts")
    other = drawn(page, "val/loss")
    chart = drawn(page, "train/loss")
    box = chart.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 3)
    expect(chart.locator(".tooltip-row")).to_have_count(6)
    expect(chart.locator(".tooltip-head")).to_have_text(re.compile("step (19|20)"))
    expect(page.locator(".legend-value").first).not_to_be_empty()
    expect(other.locator(".tooltip")).to_be_hidden()
    assert "translate(-10px" not in other.locator(".u-cursor-x").evaluate("e => e.style.transform")


def test_zooming_fetches_finer_points_and_goes_into_the_url(look, odd):
    """Of a part of a long curve all points are shown."""
    page = look(odd).go("#/charts?metrics=spike")
    chart = drawn(page, "spike")
    expect(chart).to_contain_text("extremes of 20\u202f000 points")
    box = chart.locator(".u-over").bounding_box()
    middle = box["y"] + box["height"] / 2
    with page.expect_response(lambda answer: "first=" in answer.url) as answer:
        page.mouse.move(box["x"] + box["width"] * 0.60, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.63, middle, steps=4)
        page.mouse.up()
    assert answer.value.ok
    low, high = map(float, parameters_of(page)["zoom"][0].split(","))
    assert low < 12_345 < high
    assert high - low < 1000
    page.get_by_role("button", name="Reset zoom").click()
    expect(page.get_by_role("button", name="Reset zoom")).to_be_hidden()
    assert "zoom" not in parameters_of(page)


def test_what_is_no_number_is_marked_and_huge_values_are_drawn(look, odd):
    """NaN and infinities are counted; the axis of 1e308 has numbers."""
    page = look(odd).go("#/charts")
    expect(drawn(page, "broken")).to_contain_text("NaN at 3 points")
    expect(drawn(page, "broken")).to_contain_text("infinite at 1 point")
    page.wait_for_function(HAS_NUMBERS, arg=drawn(page, "huge").element_handle())
    page.get_by_label("Log y").check()
    expect(drawn(page, "below")).to_contain_text("16 points not above 0 left out")


def test_axes_and_smoothing_are_in_the_url(look, small):
    """And whoever opens the URL sees the same."""
    page = look(small).go("#/charts")
    drawn(page, "train/loss")
    page.get_by_role("radio", name="Relative").check(force=True)
    page.get_by_role("slider", name="Smoothing").fill("0.6")
    page.get_by_label("Log y").check()
    assert parameters_of(page) == {"x": ["relative"], "smooth": ["0.6"], "logy": ["1"]}
    again = look(small).go(page.url[page.url.index("#") :])
    drawn(again, "train/loss")
    expect(again.get_by_role("radio", name="Relative")).to_be_checked()
    expect(again.get_by_role("slider", name="Smoothing")).to_have_value("0.6")


def test_a_zoom_leaves_results_as_they_are(look, small):
    """They have no step that could be outside of it."""
    page = look(small).go("#/charts?zoom=3,9")
    drawn(page, "train/loss")
    expect(page.locator(".results li")).to_have_count(6)
    expect(page.locator(".results b").first).to_have_text("0.8571")


def test_the_way_back_leads_to_the_metrics_that_were_looked_for(look, small):
    """The field says which charts there are."""
    page = look(small).go("#/charts?metrics=val")
    expect(page.locator("figure.chart")).to_have_count(1)
    page.evaluate("location.hash = '#/charts'")
    expect(page.locator("figure.chart")).to_have_count(3)
    expect(page.get_by_label("Find metrics")).to_have_value("")
    page.go_back()
    expect(page.locator("figure.chart")).to_have_count(1)
    expect(page.get_by_label("Find metrics")).to_have_value("val")


def test_the_points_are_there_as_a_table_and_can_be_saved(look, small, tmp_path):
    """A table for those who do not see the chart, CSV and PNG for elsewhere."""
    page = look(small).go("#/charts")
    chart = drawn(page, "train/loss")
    chart.get_by_role("button", name="Save or list").click()
    page.get_by_role("button", name="Show as a table").click()
    expect(page.get_by_role("dialog").locator("tbody tr")).to_have_count(40)
    page.keyboard.press("Escape")
    chart.get_by_role("button", name="Save or list").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the points as CSV").click()
    download.value.save_as(tmp_path / "points.csv")
    rows = [*csv.reader((tmp_path / "points.csv").read_text().splitlines())]
    assert len(rows) == 41
    assert rows[0][0] == "step"
    assert {"trial-0", "trial-5"} < {*rows[0]}
    chart.get_by_role("button", name="Save or list").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as PNG").click()
    download.value.save_as(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_chart_is_read_and_zoomed_by_the_keyboard(look, small):
    """Arrows move the cursor, and what is there is said."""
    page = look(small).go("#/charts")
    chart = drawn(page, "train/loss")
    chart.locator(".chart-area").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#announcer")).to_contain_text("step 1: trial-")
    page.keyboard.press("+")
    assert "zoom" in parameters_of(page)
    page.keyboard.press("-")
    assert "zoom" not in parameters_of(page)


def test_groups_are_drawn_as_their_mean_with_a_band(look, small):
    """Each chart says what the band is; the legend has the groups."""
    page = look(small).go("#/charts?metrics=train")
    drawn(page, "train/loss")
    page.get_by_role("button", name="Group").click()
    page.get_by_label("One line for each").select_option("parameters.optimizer.name")
    chart = drawn(page, "train/loss")
    expect(chart).to_contain_text("mean, band from min to max")
    expect(page.locator(".legend-item")).to_have_count(2)
    expect(page.locator(".legend-item", has_text="adam")).to_contain_text("\u00d7 3")
    page.keyboard.press("Escape")
    chart.locator(".chart-area").focus()
    page.keyboard.press("ArrowRight")
    # of the losses 1, 3 and 5, or 2, 4 and 6, at the first step
    expect(page.locator("#announcer")).to_contain_text("sgd 3")
    expect(page.locator("#announcer")).to_contain_text("adam 4")
    page.get_by_role("button", name="Group").click()
    page.get_by_label("Band around the mean").select_option("deviation")
    expect(chart).to_contain_text("mean ± standard deviation")
    assert parameters_of(page)["band"] == ["deviation"]
    assert parameters_of(page)["group"] == ["parameters.optimizer.name"]
    page.get_by_label("One line for each").select_option("")
    expect(page.locator(".legend-item")).to_have_count(6)


def test_of_values_without_steps_each_group_has_its_mean(look, small):
    """As one bar, which is called and coloured as the group is."""
    page = look(small).go("#/charts?group=parameters.optimizer.name")
    results = page.locator('figure[data-metric="accuracy"]')
    results.scroll_into_view_if_needed()
    expect(results.locator(".results li")).to_have_count(2)
    means = {sum(1 - 1 / (2 + n) for n in some) / 3 for some in ((0, 2, 4), (1, 3, 5))}
    shown = {float(one) for one in results.locator(".results b").all_inner_texts()}
    assert shown == {round(one, 4) for one in means}
    expect(results.locator(".chart-note")).to_have_text("mean")


def test_any_metric_is_the_horizontal_axis(look, odd):
    """It may go down, and its part that is zoomed in is fetched by steps."""
    page = look(odd).go("#/charts?metrics=huge&x=metric:below")
    chart = drawn(page, "huge")
    chart.locator(".chart-area").focus()
    page.keyboard.press("Home")
    expect(page.locator("#announcer")).to_contain_text("below \u221215:")
    page.keyboard.press("+")
    expect(page.get_by_role("button", name="Reset zoom")).to_be_visible()
    page.get_by_role("radio", name="Step").check(force=True)
    assert "x" not in parameters_of(page)
    page.get_by_label("A metric as the horizontal axis").select_option("metric:wave")
    assert parameters_of(page)["x"] == ["metric:wave"]


def test_thousands_of_metrics_are_folded_by_their_prefix_and_found_by_a_part_of_a_name(
    look, tmp_path
):
    """Among all trials and in the view of one; only what is in sight is drawn."""
    client = TrackClient(f"file:{tmp_path}/many.json")
    client.set_project(name="many")
    with client.new_trial(name="deep", parameters={"layers": 1500}) as trial:
        for step in range(2):
            values = {f"layer{n}/{kind}": n for n in range(1500) for kind in ("weight", "bias")}
            trial.log_metrics(step=step, **values)
    client.close()
    with serve(f"file:{tmp_path}/many.json") as served:
        for route in ("#/charts", f"#/trial/{trial.uid}"):
            page = look(served.url).go(route)
            expect(page.locator(".chart-section")).to_have_count(1500)
            assert page.locator(".chart").count() < 100
            page.locator(".chart-section", has_text="layer1499").locator("summary").click()
            page.locator('figure[data-metric="layer1499/bias"]').scroll_into_view_if_needed()
            drawn(page, "layer1499/bias")
            page.get_by_role("searchbox", name="Find metrics").fill("1234/w")
            expect(page.locator(".chart")).to_have_count(1)
            drawn(page, "layer1234/weight")


def test_a_chart_whose_points_are_awaited_shows_that(look, small):
    """And why there are none, if they cannot be fetched."""
    tab = look(small)
    tab.allowed = "Failed to load resource|503 for"
    held = []

    def hold(route):
        held.append(route)

    tab.page.route("**/api/series*", hold)
    page = tab.go("#/charts?metrics=train")
    expect(page.locator(".chart .skeleton")).to_be_visible()
    while not held:
        page.wait_for_timeout(50)
    for route in held:
        route.continue_()
    expect(page.locator(".chart canvas")).to_be_visible()
    expect(page.locator(".chart .skeleton")).to_have_count(0)
    page.unroute("**/api/series*", hold)
    page.route(
        "**/api/series*", lambda route: route.fulfill(status=503, json={"error": "It is gone"})
    )
    page = tab.go("#/charts?metrics=train")
    expect(page.locator(".chart-note")).to_have_text("It is gone")
    expect(page.locator(".chart .skeleton")).to_have_count(0)
