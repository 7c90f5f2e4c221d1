"""Pictures of many trials: what is beside their axes can be read."""

from itertools import pairwise

from playwright.sync_api import expect


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
