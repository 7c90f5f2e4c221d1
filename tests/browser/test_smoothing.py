"""Smoothing: what charts do by themselves, and what somebody chooses."""

import math
import random

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import parameters_of, serve
from track import TrackClient


@pytest.fixture(scope="module")
def curves(tmp_path_factory):
    """A server that shows curves that are noisy, short, quiet, or oscillate."""
    folder = tmp_path_factory.mktemp("curves")
    client = TrackClient(f"file:{folder}/curves.json")
    client.set_project(name="curves")
    chance = random.Random(1)
    for name in ("one", "two"):
        with client.new_trial(name=name, parameters={"lr": 0.1}) as trial:
            for step in range(400):
                trend = math.exp(-step / 100)
                trial.log_metrics(
                    step=step,
                    noisy=trend + chance.gauss(0, 0.1),
                    quiet=trend + chance.gauss(0, 0.001),
                    waves=math.sin(step / 3),
                )
                if step % 5 == 0:
                    trial.log_metrics(step=step, short=trend + chance.gauss(0, 0.1))
    client.close()
    with serve(f"file:{folder}/curves.json") as served:
        yield served.url


def chart(page, metric):
    """Wait until a chart is drawn; return it."""
    found = page.locator(f'figure[data-metric="{metric}"]')
    expect(found.locator("canvas")).to_be_visible()
    return found


def test_only_long_curves_with_noise_are_smoothed_by_themselves(look, curves):
    """What is short or quiet or has a shape of its own is drawn as it was logged."""
    page = look(curves).go("#/charts")
    expect(chart(page, "noisy")).to_contain_text("smoothed by 0.88")
    for metric in ("quiet", "waves", "short"):
        expect(chart(page, metric).locator(".chart-note")).to_have_text("")
    expect(page.get_by_role("button", name="Automatic smoothing")).to_have_attribute(
        "aria-pressed", "true"
    )
    assert "smooth" not in parameters_of(page)


def test_a_smoothed_curve_is_not_late(look, curves):
    """The average of a straight line is that line, and no gap becomes a value."""
    page = look(curves).go("#/charts")
    chart(page, "noisy")
    line = [None if step == 70 else step for step in range(201)]
    averages = page.evaluate(
        "line => import('/static/smoothing.js').then(({ smoothed }) => smoothed(line, 0.5))", line
    )
    assert averages[100] == pytest.approx(100)
    assert averages[0] == pytest.approx(1, abs=1e-9)
    assert averages[70] is None


def test_of_many_points_the_noise_is_smoothed_and_not_a_slow_oscillation(look, tmp_path):
    """Though the extremes that are drawn of both go up and down."""
    client = TrackClient(f"file:{tmp_path}/many.json")
    chance = random.Random(1)
    with client.new_trial(name="many", parameters={}) as trial:
        for step in range(10_000):
            trial.log_metrics(step=step, noise=chance.gauss(0, 1), swing=math.sin(step / 40))
    client.close()
    with serve(f"file:{tmp_path}/many.json") as served:
        page = look(served.url).go("#/charts")
        note = chart(page, "noise").locator(".chart-note")
        expect(note).to_have_text("extremes of 10\u202f000 points · smoothed by 0.95")
        note = chart(page, "swing").locator(".chart-note")
        expect(note).to_have_text("extremes of 10\u202f000 points")


def test_the_slider_is_for_all_charts_and_auto_leaves_it_to_them(look, curves):
    """Off is a choice that is in the URL, too."""
    page = look(curves).go("#/charts")
    expect(chart(page, "noisy")).to_contain_text("smoothed by")
    page.get_by_role("slider", name="Smoothing").fill("0.5")
    expect(chart(page, "quiet")).to_contain_text("smoothed by 0.50")
    page.get_by_role("slider", name="Smoothing").fill("0")
    expect(chart(page, "noisy").locator(".chart-note")).to_have_text("")
    assert parameters_of(page) == {"smooth": ["0"]}
    page.get_by_role("button", name="Automatic smoothing").click()
    expect(chart(page, "noisy")).to_contain_text("smoothed by 0.88")
    expect(chart(page, "quiet").locator(".chart-note")).to_have_text("")
    assert "smooth" not in parameters_of(page)


def test_a_smoothed_chart_tells_what_was_logged(look, curves):
    """Beside the average, in the tooltip; a chart that is not smoothed has one number."""
    page = look(curves).go("#/charts")
    noisy = chart(page, "noisy")
    expect(noisy).to_contain_text("smoothed by")
    noisy.locator(".u-over").hover()
    expect(noisy.locator(".tooltip-row")).to_have_count(2)
    expect(noisy.locator(".tooltip-head")).to_contain_text("smoothed, logged")
    expect(noisy.locator(".tooltip-logged")).to_have_count(2)
    quiet = chart(page, "quiet")
    quiet.locator(".u-over").hover()
    expect(quiet.locator(".tooltip-row")).to_have_count(2)
    expect(quiet.locator(".tooltip-logged")).to_have_count(0)


def test_a_mean_is_not_smoothed_by_itself(look, curves):
    """Nor is its band, which is one of logged values."""
    page = look(curves).go("#/charts?group=parameters.lr")
    expect(chart(page, "noisy").locator(".chart-note")).to_have_text("mean, band from min to max")
