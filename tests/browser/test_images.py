"""The images of many trials at once: a row for each trial or parameter, a column for each step."""

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import parameters_of, serve
from tests.browser.test_access import violations
from track import TrackClient
from track.media import Image
from track.reader import Reader

ROUTE = "#/compare?shape=images"


@pytest.fixture
def pictured(tmp_path):
    """A server that shows trials which log images, the client, and a trial without any."""
    client = TrackClient(f"file:{tmp_path}/s.json")
    client.set_project(name="pictures")
    for number in range(4):
        parameters = {"lr": 0.1 / (1 + number % 2)}
        with client.new_trial(force=True, name=f"t{number}", parameters=parameters) as trial:
            for step in range(3):
                grey = np.full((16, 16), step / 2)
                trial.log({"grey": Image(grey, f"caption {step}"), "loss": 1.0}, step)
                trial.log({"two": [Image(grey), Image(1 - grey)]}, step)
    with client.new_trial(force=True, name="blind", parameters={"lr": 1}) as trial:
        trial.log_metrics(step=0, loss=1.0)
    with serve(f"file:{tmp_path}/s.json") as served:
        yield served.url, client
    client.close()


def rows(page):
    return page.locator(".images-table tbody tr")


def test_each_trial_has_a_row_and_each_step_a_column(look, pictured):
    """Trials without images are counted, not shown."""
    page = look(pictured[0]).go("#/compare")
    page.get_by_role("radio", name="Images").check(force=True)
    expect(rows(page).locator("th")).to_have_text(["t3", "t2", "t1", "t0"])
    steps = page.locator(".images-table thead th")
    expect(steps).to_have_text(["step 0", "step 1", "step 2"])
    expect(rows(page).first.get_by_role("img", name="t3, step 2, caption 2")).to_be_visible()
    expect(rows(page).first.locator("img").last).to_have_js_property("naturalWidth", 16)
    expect(page.get_by_text("1 trial without images of this name")).to_be_visible()
    page.get_by_label("Images", exact=True).last.select_option("two")
    expect(rows(page).first.locator("img")).to_have_count(6)
    assert parameters_of(page) == {"shape": ["images"], "image": ["two"]}


def test_rows_are_the_values_of_a_parameter(look, pictured):
    """In their order; each cell has the images of all trials with the value."""
    page = look(pictured[0]).go(f"{ROUTE}&rows=parameters.lr")
    expect(rows(page).locator("th")).to_have_text(["0.052 trials", "0.12 trials"])
    expect(rows(page).first.locator("td").first.locator("img")).to_have_count(2)
    page.get_by_label("Rows").select_option("")
    expect(rows(page)).to_have_count(4)


def test_images_are_reached_and_opened_by_the_keyboard(look, pictured):
    """One press of Tab leads to them, arrows from one to the next, Enter opens."""
    page = look(pictured[0]).go(ROUTE)
    expect(rows(page)).to_have_count(4)
    page.get_by_role("region", name="Images by step").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # the first row has a link to its trial
    expect(page.get_by_role("button", name="t3, step 0, caption 0")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="t2, step 1, caption 1")).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("grey, step 1")
    expect(dialog.get_by_text("16 \u00d7 16")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="t2, step 1, caption 1")).to_be_focused()


def test_images_appear_while_they_are_logged_and_at_a_moment_as_they_were(look, pictured):
    """Without a reload, and without moving the focus."""
    url, client = pictured
    page = look(url).go(ROUTE)
    expect(rows(page)).to_have_count(4)
    button = page.get_by_role("button", name="t2, step 1, caption 1")
    button.focus()
    with client.new_trial(force=True, name="newest", parameters={"lr": 1}) as trial:
        trial.log_image("grey", np.zeros((16, 16)), 7)
    expect(rows(page).first.locator("th")).to_have_text("newest")
    expect(page.locator(".images-table thead th").last).to_have_text("step 7")
    expect(button).to_be_focused()
    middle = Reader(client.protocol).media("t3", "grey")[1]
    page = look(url).go(f"{ROUTE}&at={middle.position}")
    expect(rows(page).locator("th")).to_have_text(["t3", "t2", "t1", "t0"])
    images = [rows(page).nth(place).locator("img") for place in (0, 1)]
    expect(images[0]).to_have_count(2)
    expect(images[1]).to_have_count(3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(look, pictured, scheme):
    """In the table, and in what it opens."""
    page = look(pictured[0], color_scheme=scheme).go(ROUTE)
    expect(rows(page)).to_have_count(4)
    assert violations(page, scheme) == []
    page.get_by_role("button", name="t2, step 1, caption 1").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page, scheme) == []


def test_trials_without_images_say_how_to_log_them(look, small):
    """Instead of an empty table."""
    page = look(small).go(ROUTE)
    expect(page.get_by_text("These trials have no images")).to_be_visible()
    expect(page.get_by_label("Rows")).to_be_hidden()
