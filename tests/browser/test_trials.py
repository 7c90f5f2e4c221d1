"""The table of trials: what is in it, how it is searched, sorted, grouped and chosen from."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import fill, names_in, parameters_of, serve
from track import TrackClient


def test_it_shows_what_tells_trials_apart(look, small):
    """Parameters that are the same in all are left out."""
    page = look(small).go()
    expect(page.locator(".grid-body .grid-row")).to_have_count(6)
    headings = page.locator("[role=columnheader]").all_inner_texts()
    for wanted in ("Name", "Status", "Runtime", "lr", "seed", "optimizer.name", "train/loss"):
        assert wanted in headings
    assert "epochs" not in headings
    expect(page.locator(".store-counts")).to_have_text("6 trials")
    expect(page.get_by_text("exception")).to_have_count(1)


def test_a_thousand_trials_are_scrolled_through(look, large):
    """Only what is in sight is in the page, and the last one can be reached."""
    page = look(large).go()
    expect(page.get_by_text("trial-0", exact=True)).to_be_visible()
    assert page.locator(".grid-body .grid-row").count() < 100
    page.locator("[data-grid]").focus()
    page.keyboard.press("End")
    expect(page.get_by_text("trial-999", exact=True)).to_be_visible()
    expect(page.locator("[data-grid]")).to_have_attribute("aria-rowcount", "1001")


def test_the_search_completes_names_and_says_what_is_wrong(look, small):
    """A condition goes into the URL; a wrong one is told of in the server's words."""
    tab = look(small)
    page = tab.go()
    expect(page.locator(".grid-body .grid-row")).to_have_count(6)
    page.keyboard.press("/")
    page.keyboard.type("optimizer")
    expect(page.get_by_role("option").first).to_contain_text("parameters.optimizer.name")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.type("=adam")
    page.keyboard.press("Enter")
    expect(page.locator(".grid-body .grid-row")).to_have_count(3)
    assert parameters_of(page)["where"] == ["parameters.optimizer.name=adam"]
    expect(page.locator(".summary")).to_have_text("3 of 6 trials")

    tab.allowed = "400"
    page.keyboard.type("metrics.train/los<3")
    page.keyboard.press("Enter")
    expect(page.locator(".search-error")).to_contain_text("did you mean")


def test_the_search_quotes_names_that_need_it(look):
    """What is completed is the path that the server takes, whatever the name is."""
    client = TrackClient("file:named.json")
    client.set_project(name="p")
    for number in (1, 2):
        parameters = {"01: mins": number, "deep": {"a=b": number}}
        with client.new_trial(name=f"t{number}", parameters=parameters) as trial:
            trial.log_metrics(step=0, **{"loss<0.1": number})
            trial.add_tags(**{"a tag": f"tag {number}"})
    client.close()
    with serve("file:named.json") as served:
        page = look(served.url).go()
        expect(page.locator(".grid-body .grid-row")).to_have_count(2)
        page.keyboard.press("/")
        for typed, path, value in (
            ("mins", 'parameters["01: mins"]', "2"),
            ("deep", 'parameters.deep["a=b"]', "2"),
            ("loss", 'metrics["loss<0.1"]', "2"),
            ("a tag", 'tags["a tag"]', "tag 2"),
        ):
            expect(page.locator(".grid-body .grid-row")).to_have_count(2)
            page.keyboard.type(typed)
            expect(page.get_by_role("option").first).to_contain_text(path)
            page.keyboard.press("ArrowDown")
            page.keyboard.press("Enter")
            page.keyboard.type("=")
            if not path.startswith("metrics"):
                expect(page.get_by_role("option").nth(1)).to_have_text(value)
            page.keyboard.type(value)
            page.keyboard.press("Enter")
            expect(page.locator(".grid-body .grid-row")).to_have_count(1)
            assert parameters_of(page)["where"] == [f"{path}={value}"]
            page.get_by_role("button", name="Remove").click()


def test_completions_stay_while_the_box_has_the_focus(look, small):
    """A click beside it takes the focus for a moment, and gives it back."""
    tab = look(small)
    tab.page.clock.install()
    page = tab.go("#/trials?where=name=trial-1")
    expect(page.locator(".grid-body .grid-row")).to_have_count(1)
    page.keyboard.press("/")
    expect(page.get_by_role("option").first).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    page.clock.run_for(1_000)
    expect(page.locator("[data-search]")).to_be_focused()
    expect(page.get_by_role("option").first).to_be_visible()


def test_names_that_come_late_complete_what_was_typed(look, small):
    """Whoever types faster than the server answers gets the same list."""
    tab = look(small)
    waiting = []

    def hold(route):
        waiting.append(route)

    tab.page.route("**/api/columns*", hold)
    page = tab.go()
    expect(page.locator("[data-search]")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("optimizer")
    expect(page.get_by_role("option")).to_have_text(["name~optimizerin the name"])
    for route in waiting:
        route.continue_()
    expect(page.get_by_role("option").first).to_contain_text("parameters.optimizer.name")


def test_nothing_found_offers_the_way_back(look, small):
    """An empty answer is designed."""
    page = look(small).go("#/trials?where=parameters.seed=7")
    expect(page.get_by_role("heading", name="No trial matches")).to_be_visible()
    page.get_by_role("button", name="Clear the search").click()
    expect(page.locator(".grid-body .grid-row")).to_have_count(6)


def test_sorting_goes_into_the_url(look, small):
    """Once up, twice down."""
    page = look(small).go()
    page.get_by_role("button", name="train/loss").click()
    expect(page.locator(".grid-body .cell-name a").first).to_have_text("trial-0")
    page.get_by_role("button", name="train/loss").click()
    expect(page.locator(".grid-body .cell-name a").first).to_have_text("trial-5")
    assert parameters_of(page) == {"sort": ["metrics.train/loss"], "descending": ["1"]}
    expect(page.get_by_role("columnheader", name="train/loss")).to_have_attribute(
        "aria-sort", "descending"
    )


def test_columns_are_picked(look, small):
    """The least value of a metric is a column of its own."""
    page = look(small).go()
    expect(page.locator(".grid-body .grid-row")).to_have_count(6)
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("searchbox", name="Find a column").fill("train/loss min")
    page.get_by_role("checkbox", name="train/loss min").check()
    expect(
        page.get_by_role("columnheader", name="train/loss min", include_hidden=True)
    ).to_have_count(1)
    assert "min:metrics.train/loss" in parameters_of(page)["columns"]


def test_trials_are_grouped_with_mean_and_spread(look, small):
    """By the optimizer there are two groups of three."""
    page = look(small).go("#/trials?group=parameters.optimizer.name")
    rows = page.locator(".groups tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("adam")
    expect(rows.first).to_contain_text("±")
    page.get_by_role("link", name="sgd").click()
    expect(page.locator(".grid-body .grid-row")).to_have_count(3)
    assert names_in(page) == ["trial-0", "trial-2", "trial-4"]


@pytest.fixture
def writable(tmp_path):
    """A server that shows six trials of this test alone, and may write."""
    client = TrackClient(f"file:{tmp_path}/store.json")
    fill(client, 6, 2)
    client.close()
    with serve(f"file:{tmp_path}/store.json", "--write") as served:
        yield served.url


def test_trials_are_archived_and_restored(look, writable):
    """Where the server may write."""
    page = look(writable).go()
    page.locator(".grid-row", has_text="trial-2").locator("[data-check]").click()
    page.get_by_role("button", name="Archive", exact=True).click()
    expect(page.locator(".grid-body .grid-row")).to_have_count(5)
    page.get_by_role("button", name="Archived").click()
    expect(page.get_by_text("trial-2", exact=True)).to_be_visible()
    page.locator(".grid-row", has_text="trial-2").locator("[data-check]").click()
    page.get_by_role("button", name="Restore").click()
    page.get_by_role("button", name="Back to the trials").first.click()
    expect(page.locator(".grid-body .grid-row")).to_have_count(6)


def test_the_keyboard_alone_is_enough(look, small):
    """From the address to the charts of two trials, and back."""
    page = look(small).go()
    expect(page.locator(".grid-body .grid-row")).to_have_count(6)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.hasAttribute('data-grid')"):
            break
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert len(parameters_of(page)["select"]) == 2
    page.keyboard.press("2")
    legend = page.get_by_role("list", name="Legend")
    expect(legend.locator(".legend-item")).to_have_count(2)
    page.keyboard.press("1")
    expect(page.locator("[aria-selected=true]")).to_have_count(2)
    page.locator("[data-grid]").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("trial-0")


def test_trials_are_sorted_by_the_extremes_of_a_metric(look, small):
    """The least value is a column like others."""
    page = look(small).go("#/trials?columns=min:metrics.train/loss&columns=max:metrics.train/loss")
    page.get_by_role("button", name="train/loss min").click()
    expect(page.locator(".grid-body .cell-name a").first).to_have_text("trial-0")
    page.get_by_role("button", name="train/loss min").click()
    expect(page.locator(".grid-body .cell-name a").first).to_have_text("trial-5")
    assert parameters_of(page)["sort"] == ["curves.train/loss.minimum"]
