"""Whatever people log is shown as text: nothing of it runs, and nothing of it breaks the page."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import serve
from track import TrackClient

MARKUP = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
NAMES = {
    "markup": MARKUP,
    "attribute": '"><svg onload="document.title=\'run\'">',
    "address": "javascript:document.title='run'",
    "emoji": "👩🏽‍🚀 run 🚀",
    "arabic": "تجربة \u202e123\u202c",
    "control": "a\x00b\x1b[31mc\nd",
    "long": "long-" + "x" * 10_000,
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A server that shows trials of which every name and value is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    client = TrackClient(f"file:{folder}/hostile.json?durability=process")
    client.set_project(name=MARKUP, description=MARKUP)
    client.set_group(name=MARKUP)
    for kind, name in NAMES.items():
        parameters = {name: name, "kind": kind, "nested": {name: [name]}}
        trial = client.new_trial(force=True, name=name, description=name, parameters=parameters)
        trial.add_tags(**{name: name})
        trial.log_metadata(**{name: name})
        try:
            with trial:
                for step in range(3):
                    trial.log_metrics(step=step, **{name: float(step)})
                raise RuntimeError(name)
        except RuntimeError:
            pass
    client.close()
    with serve(f"file:{folder}/hostile.json") as served:
        yield served.url


def assert_harmless(page):
    """Nothing ran, and the page is no wider than its window."""
    assert page.title().endswith("Track")
    assert page.locator("main img, main svg[onload], main script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("route", ["", "#/charts", "#/compare", "#/history", "#/trials?group=name"])
def test_views_show_hostile_names_as_text(look, hostile, route):
    """In each view."""
    page = look(hostile).go(route)
    shown = page.locator("main").get_by_text("<img src=x", exact=False)
    expect(shown.or_(page.locator("main svg text", has_text="<img")).first).to_be_attached()
    page.wait_for_timeout(300)
    assert_harmless(page)


def test_a_trial_shows_everything_of_its_as_text(look, hostile):
    """Parameters, metadata, tags, failure, charts."""
    page = look(hostile).go("#/trials?where=parameters.kind=markup")
    page.locator(".cell-name a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("<img src=x onerror=")
    expect(page.locator(".chart canvas")).to_be_visible()
    expect(page.get_by_role("heading", name="Metadata")).to_be_visible()
    assert_harmless(page)


def test_control_characters_and_directions_are_shown_not_obeyed(look, hostile):
    """A zero byte is a picture of one, and a right-to-left override turns nothing."""
    page = look(hostile).go()
    expect(page.get_by_text("a␀b␛[31mc␊d").first).to_be_visible()
    expect(page.get_by_text("تجربة ⟨202e⟩123⟨202c⟩").first).to_be_visible()
    expect(page.get_by_text("👩🏽‍🚀 run 🚀").first).to_be_visible()


def test_an_address_of_another_store_says_so(look, hostile):
    """Trials that are not here, conditions that make no sense, moments that never were."""
    tab = look(hostile)
    tab.allowed = "400|404"
    page = tab.go("#/trial/0123456789abcdef")
    expect(page.get_by_role("heading", name="No such trial")).to_be_visible()
    page = tab.go("#/trials?where=%3D%3D")
    expect(page.locator(".search-error")).to_contain_text("write e.g. status=completed")
    page = tab.go("#/trials?at=0")
    expect(page.get_by_role("heading", name="No trial existed yet")).to_be_visible()
    page = tab.go("#/trials?sort=metrics.elsewhere")
    expect(page.locator(".search-error")).to_contain_text("metrics.elsewhere")
    page = tab.go("#/charts?select=0123456789abcdef&hide=0123&x=metric:elsewhere")
    expect(page.get_by_role("heading", name="No trial to draw")).to_be_visible()
    page = tab.go("#/nowhere/%E0%A4%A?sort=")
    expect(page.locator(".grid-body .grid-row")).to_have_count(len(NAMES))


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A server of two trials with a loss, and a later one with a thousand metrics in one call."""
    folder = tmp_path_factory.mktemp("crowded")
    client = TrackClient(f"file:{folder}/crowded.json?durability=process")
    for name in ("first", "second"):
        with client.new_trial(name, force=True) as trial:
            trial.log_metrics({"loss": 0.5})
    with client.new_trial("many", force=True) as trial:
        trial.log_metrics({f"m{number:04}": number for number in range(1000)})
    client.close()
    with serve(f"file:{folder}/crowded.json") as served:
        yield served.url


def test_an_event_with_a_thousand_values_shows_the_first_ones(look, crowded):
    page = look(crowded).go("#/history")
    event = page.locator(".event-row", has_text="Metrics logged").first
    expect(event).to_contain_text('"m0000":0,"m0001":1')


def test_metrics_of_several_trials_come_before_those_of_one(look, crowded):
    page = look(crowded).go("#/charts")
    expect(page.locator(".chart").first).to_have_attribute("data-metric", "loss")
