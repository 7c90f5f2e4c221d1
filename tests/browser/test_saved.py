"""A saved report opens from a disk, and shows what the server would."""

import pytest
from playwright.sync_api import expect

import track
from tests.browser.conftest import fill, names_in
from track import TrackClient
from track.ui.saved import saved_page


@pytest.fixture
def report(tmp_path):
    """The address of a report of six trials."""
    client = TrackClient(f"file:{tmp_path}/store.json")
    fill(client, 6, 40)
    client.close()
    with track.open(f"file:{tmp_path}/store.json") as reader:
        (tmp_path / "report.html").write_text(saved_page(reader), "utf-8")
    return (tmp_path / "report.html").as_uri()


def test_its_table_is_sorted(look, report):
    """Without anybody to ask."""
    page = look(report).go()
    expect(page.locator(".live-status")).to_have_text("Saved report")
    expect(page.locator(".grid-body .cell-name a")).to_have_count(6)
    page = look(report).go("#/trials?sort=metrics.accuracy&descending=1")
    expect(page.locator(".grid-body .cell-name a").first).to_have_text("trial-5")
    assert names_in(page) == [f"trial-{number}" for number in range(5, -1, -1)]


def test_its_curves_are_drawn(look, report):
    """From the points that it holds."""
    page = look(report).go("#/charts")
    expect(page.locator("canvas").first).to_be_visible()
    expect(page.get_by_role("heading", name="train/loss")).to_be_visible()


def test_what_only_a_server_knows_is_said(look, report):
    """Not shown as if there were nothing."""
    tab = look(report)
    tab.allowed = "400"
    page = tab.go("#/trials?where=status%3Dcompleted")
    expect(page.get_by_text("A saved report cannot be searched").first).to_be_visible()
    expect(page.get_by_role("link", name="History")).to_be_hidden()
