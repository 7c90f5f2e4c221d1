"""Lines told apart by parameters: their colour, their dashes, and the chart that they are in."""

from playwright.sync_api import expect

from tests.browser.conftest import parameters_of

ROUTE = "#/charts?metrics=train"

LOOKS = """
list => list.map(one => [one.textContent, one.querySelector(".swatch").style.background])
"""


ONE_AXIS = """
() => {
  const axis = canvas => {
    const width = canvas.closest(".u-wrap").querySelector(".u-over").offsetLeft * devicePixelRatio;
    return [...canvas.getContext("2d").getImageData(0, 0, width, canvas.height).data];
  };
  const axes = [...document.querySelectorAll(".chart canvas")].map(axis);
  return axes[0].some(byte => byte > 0) && new Set(axes.map(bytes => bytes.join())).size === 1;
}
"""
"""Whether what is left of all charts, which is the numbers of the axis, is drawn and equal."""


def looks(page):
    """Return the name of each trial in the list and how its line looks."""
    items = page.get_by_role("list", name="Legend").locator(".legend-item")
    return dict(items.evaluate_all(LOOKS))


def choose(page, label, value):
    page.get_by_role("button", name="Group").click()
    page.get_by_label(label, exact=True).select_option(value)
    page.keyboard.press("Escape")
    expect(page.get_by_label(label, exact=True)).to_be_hidden()


def test_a_parameter_has_colours_another_one_dashes_and_a_third_one_charts(look, small):
    """At once; the URL has all of it, and the list says what stands for what."""
    page = look(small).go(ROUTE)
    expect(page.locator(".chart canvas")).to_have_count(1)
    choose(page, "Colour", "parameters.lr")
    colours = page.get_by_role("list", name="Colour of lr").locator("li")
    expect(colours).to_have_text(["0.025", "0.03333", "0.05", "0.1"])
    choose(page, "Dashes", "parameters.optimizer.name")
    expect(page.get_by_role("list", name="Dashes of optimizer.name").locator("li")).to_have_text(
        ["adam", "sgd"]
    )
    found = looks(page)
    assert found["trial-0"] == found["trial-4"]  # both have lr=0.1 and sgd
    assert len({*found.values()}) == 4
    choose(page, "A chart for each", "parameters.seed")
    charts = page.locator('figure[data-metric="train/loss"]')
    expect(charts).to_have_count(3)
    expect(charts.locator("h3")).to_have_text(["seed 0", "seed 1", "seed 2"])
    for place in range(3):
        expect(charts.nth(place).locator("canvas")).to_be_visible()
    expect(charts.nth(1).locator(".chart-key-item")).to_have_text(["trial-4", "trial-1"])
    assert parameters_of(page) == {
        "metrics": ["train"],
        "color": ["parameters.lr"],
        "dash": ["parameters.optimizer.name"],
        "facet": ["parameters.seed"],
    }
    again = look(small).go(page.url[page.url.index("#") :])
    expect(again.locator('figure[data-facet="seed 2"] canvas')).to_be_visible()
    expect(again.get_by_role("list", name="Colour of lr")).to_be_visible()
    assert looks(again) == found


def test_charts_of_one_metric_have_one_vertical_axis(look, small):
    """Or they could not be compared: only the trials of seed 2 have a loss of 6."""
    page = look(small).go(f"{ROUTE}&facet=parameters.seed")
    expect(page.locator(".chart canvas")).to_have_count(3)
    page.wait_for_function(ONE_AXIS)
    page.get_by_role("button", name="Hide trial-5").click()
    page.wait_for_function(ONE_AXIS)


def test_a_mean_has_one_look(look, small):
    """So groups are split by what their lines are told apart by."""
    page = look(small).go(f"{ROUTE}&group=parameters.optimizer.name&color=parameters.seed")
    items = page.get_by_role("list", name="Legend").locator(".legend-item")
    expect(items).to_have_count(6)
    expect(items.first).to_contain_text("adam \u00b7 seed 2")


def test_other_views_have_a_colour_for_each_trial(look, small):
    """As before."""
    page = look(small).go(f"{ROUTE}&color=parameters.optimizer.name")
    expect(page.get_by_role("list", name="Colour of optimizer.name")).to_be_visible()
    assert len({*looks(page).values()}) == 2
    page.get_by_role("link", name="trial-2", exact=True).click()
    expect(page.locator("h1")).to_have_text("trial-2")
    page.go_back()
    expect(page.get_by_role("list", name="Colour of optimizer.name")).to_be_visible()
    assert len({*looks(page).values()}) == 2
