"""The page for everybody: axe finds nothing, in the light and in the dark, on a phone too."""

import re
from importlib.resources import files

import pytest
from playwright.sync_api import expect

VIEWS = {
    "trials": ("#/trials", ".grid-body .grid-row"),
    "groups": ("#/trials?group=parameters.lr", ".groups tbody tr"),
    "nothing": ("#/trials?where=parameters.seed=7", ".blank"),
    "charts": ("#/charts?smooth=0.5", ".chart canvas"),
    "grouped": ("#/charts?group=parameters.lr", ".chart canvas"),
    "told apart": (
        "#/charts?color=parameters.lr&dash=parameters.optimizer.name&facet=parameters.seed&find=1",
        ".chart canvas",
    ),
    "compare": ("#/compare?shape=parallel", ".parallel-axes .axis-label"),
    "scatter": ("#/compare?shape=scatter", ".scatter-point"),
    "history": ("#/history", ".event-row"),
    "past": ("#/trials?at=400", ".banner-past"),
}


def violations(page, scheme="light"):
    """Return what axe finds, in short: in the dark nothing but colours is different."""
    source = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    page.evaluate(source)
    rules = {} if scheme == "light" else {"runOnly": ["color-contrast"]}
    found = page.evaluate("rules => axe.run(document, rules)", rules)["violations"]
    return [
        (
            one["id"],
            [node["target"] for node in one["nodes"]][:4],
            one["nodes"][0]["failureSummary"],
        )
        for one in found
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(look, small, scheme):
    """In every view."""
    tab = look(small, color_scheme=scheme)
    for name, (route, awaited) in VIEWS.items():
        if scheme == "dark" and name in {"groups", "nothing", "scatter"}:
            continue  # they have no colours of their own
        page = tab.go(route)
        expect(page.locator(awaited).first).to_be_visible()
        assert (name, violations(page, scheme)) == (name, [])
    page = tab.go()
    page.locator(".cell-name a", has_text="trial-3").click()
    expect(page.locator(".chart canvas").first).to_be_visible()
    assert violations(page, scheme) == []
    page = tab.go("#/trials")
    for place in (0, 1):
        page.locator("[data-check]").nth(place).click()
    page.get_by_role("link", name="Compare").first.click()
    expect(page.locator(".compare-table")).to_be_visible()
    assert violations(page, scheme) == []
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page, scheme) == []


def test_axe_finds_nothing_while_rows_and_columns_are_awaited(look, small):
    """The table has a header already."""
    tab = look(small)
    tab.page.route(re.compile("/api/(trials|columns)"), lambda route: None)
    page = tab.go()
    expect(page.get_by_role("columnheader", name="Name")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_media_machines_and_attempts(look, logging, scheme):
    """Of a trial that was started twice."""
    url, trial = logging
    for first in (0, 2):
        with trial:
            for step in range(first, first + 4):
                trial.log_metrics(step=step, loss=float(step))
    tab = look(url, color_scheme=scheme)
    tab.allowed = "Blocked script execution"
    page = tab.go(f"#/trial/{trial.uid}")
    expect(page.locator("[data-medium=picture] img")).to_be_visible()
    expect(page.locator("[data-metric='process.memory in MB'] canvas")).to_be_attached()
    assert violations(page, scheme) == []
    page = tab.go(f"#/history?trial={trial.uid}")
    expect(page.get_by_text("overwritten")).to_be_visible()
    assert violations(page, scheme) == []


@pytest.mark.parametrize("width", [390, 1024])
def test_nothing_is_wider_than_a_narrow_window(look, small, width):
    """Tables scroll by themselves."""
    tab = look(small, viewport={"width": width, "height": 844})
    for route, awaited in VIEWS.values():
        page = tab.go(route)
        expect(page.locator(awaited).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_scheme_can_be_chosen_and_is_kept(look, small):
    """Whatever the system says."""
    page = look(small, color_scheme="light").go()
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    expect(page.locator(".grid-body .grid-row").first).to_be_visible()
    page.keyboard.press("d")
    page.keyboard.press("d")
    assert page.evaluate(ground) == "rgb(20, 23, 27)"
    page.reload()
    assert page.evaluate(ground) == "rgb(20, 23, 27)"
