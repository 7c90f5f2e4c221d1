"""Media and machines in the view of a trial."""

import numpy as np
from playwright.sync_api import expect


def test_media_are_shown_by_step(look, logging):
    """The latest first; a slider leads to the others, and new ones appear by themselves."""
    url, trial = logging
    tab = look(url)
    tab.allowed = "Blocked script execution"  # of the page in HTML, as it should be
    page = tab.go(f"#/trial/{trial.uid}")
    card = page.locator("[data-medium=picture]")
    expect(card.get_by_text("after 2")).to_be_visible()
    expect(card.get_by_text("3 of 3")).to_be_visible()
    expect(card.locator("img")).to_be_visible()
    expect(card.locator("img")).to_have_js_property("naturalWidth", 64)
    card.get_by_role("slider").focus()
    page.keyboard.press("Home")
    expect(card.get_by_text("after 0")).to_be_visible()
    expect(card.get_by_text("step 0")).to_be_visible()

    trial.log_image("picture", np.zeros((8, 8)), 3, caption="the newest")
    expect(card.get_by_text("1 of 4")).to_be_visible()
    page.keyboard.press("End")
    expect(card.get_by_text("the newest")).to_be_visible()
    trial.log_image("picture", np.zeros((8, 8)), 4, caption="newer still")
    expect(card.get_by_text("newer still")).to_be_visible()


def test_each_kind_is_shown_as_what_it_is(look, logging):
    """Text is never markup, and scripts do not run."""
    url, trial = logging
    tab = look(url)
    tab.allowed = "Blocked script execution"
    page = tab.go(f"#/trial/{trial.uid}")
    expect(page.locator("[data-medium=texts] pre")).to_have_text(["<b>one", "two"])
    expect(page.locator("[data-medium=weights] svg rect")).to_have_count(64)
    expect(page.locator("[data-medium=confusion] th")).to_have_text(["<i>class", "n"])
    expect(page.locator("[data-medium=confusion] td")).to_have_text(["cat", "3"])
    page.locator("[data-medium=page]").scroll_into_view_if_needed()
    frame = page.frame_locator("[data-medium=page] iframe")
    expect(frame.get_by_role("heading", name="Title")).to_be_visible()
    expect(frame.get_by_text("ran", exact=True)).to_have_count(0)


def test_what_a_machine_measured_has_charts(look, logging):
    """In units that people read."""
    url, trial = logging
    tab = look(url)
    tab.allowed = "Blocked script execution"
    page = tab.go(f"#/trial/{trial.uid}")
    chart = page.locator("[data-metric='process.memory in MB']")
    chart.scroll_into_view_if_needed()
    expect(chart.locator("canvas")).to_be_visible()
    expect(page.locator(".panel-note", has_text="rank 0")).to_be_visible()


def test_a_trial_without_media_says_nothing_of_them(look, small):
    """No empty sections."""
    page = look(small).go("#/trials")
    page.locator(".grid-body .cell-name a").first.click()
    expect(page.get_by_role("heading", name="Parameters")).to_be_visible()
    expect(page.get_by_role("heading", name="Media")).to_have_count(0)
    expect(page.get_by_role("heading", name="Machine")).to_have_count(0)
