"""The slider, the events, who set a value, and what changed."""

from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

import track
from tests.browser.conftest import fill, parameters_of, serve
from track import TrackClient


def test_the_slider_shows_the_store_as_it_stood(look, small):
    """All views, at the moment in the URL, and the keyboard moves it."""
    page = look(small).go()
    expect(page.locator(".grid-body .grid-row")).to_have_count(6)
    slider = page.get_by_role("slider", name="Moment to show")
    expect(slider).to_be_enabled()
    slider.focus()
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    assert "at" in parameters_of(page)
    expect(page.locator(".banner-past")).to_be_visible()
    expect(page.locator(".grid-body .grid-row")).not_to_have_count(6)
    page.keyboard.press("n")
    expect(page.locator(".grid-body .grid-row")).to_have_count(6)
    assert "at" not in parameters_of(page)


def test_a_moment_is_what_as_of_says(look, tmp_path):
    """The values of a trial at a position are those that a reader gives for it."""
    uri = f"file:{tmp_path}/store.json"
    client = TrackClient(uri)
    fill(client, 1, 20)
    client.close()
    with track.open(uri) as reader:
        events = [one for one in reader.events() if type(one.event).__name__ == "MetricsLogged"]
        position = events[7].position
        [trial] = reader.trials(at=position)
        expected = trial.metrics["train/loss"][7]
        assert 8 not in trial.metrics["train/loss"]
    with serve(uri) as served:
        page = look(served.url).go(f"#/trials?at={position}&columns=metrics.train/loss")
        expect(page.locator(".grid-body .cell").last).to_have_text(f"{expected:.4f}")
        page = look(served.url).go(f"#/charts?at={position}")
        expect(page.locator('figure[data-metric="train/loss"] canvas')).to_be_visible()


def test_an_event_shows_its_payload_and_leads_to_its_moment(look, small):
    """And can be filtered by kind."""
    page = look(small).go("#/history")
    expect(page.locator(".event-row").first).to_contain_text("Trial finished")
    page.get_by_label("Kinds of events").select_option("Metrics")
    first = page.locator(".event-row").first
    expect(first).to_contain_text("Metrics logged")
    first.click()
    expect(page.locator(".payload")).to_contain_text('"accuracy"')
    position = parameters_of(page)["event"][0]
    page.get_by_role("button", name="Show this moment").click()
    assert parameters_of(page)["at"] == [position]
    page.get_by_role("button", name="Only this trial").click()
    expect(page.get_by_role("heading", name="Attempts")).to_be_visible()


def test_any_value_tells_who_set_it(look, small):
    """The event, its time, and what ran."""
    page = look(small).go("#/trials?where=name=trial-4")
    page.locator(".cell-name a").first.click()
    button = page.get_by_role("button", name="Who set lr?")
    button.hover()
    button.click()
    origin = page.locator(".origin").first
    expect(origin).to_contain_text("0.1")
    expect(origin.get_by_role("link", name="TrialCreated")).to_be_visible()


def test_what_changed_since_an_event_is_told(look, small):
    """From its first metric to now a trial got more."""
    page = look(small).go("#/trials?where=name=trial-4")
    page.locator(".cell-name a").first.click()
    page.get_by_role("link", name="Events").click()
    page.get_by_label("Kinds of events").select_option("Starts and ends")
    page.locator(".event-row", has_text="Trial started").click()
    page.get_by_role("button", name="What changed since").click()
    expect(page.locator(".differences tbody tr").first).to_be_visible()
    expect(page.locator(".differences")).to_contain_text("accuracy")


def test_the_history_plays(look, small):
    """From the beginning to now; it can be stopped on the way."""
    tab = look(small)
    tab.page.clock.install()
    page = tab.go()
    expect(page.locator(".grid-body .grid-row")).to_have_count(6)
    page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    page.get_by_role("button", name="Play the history").click()
    page.clock.run_for(1_000)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".banner-past")).to_be_visible()
    assert "at" in parameters_of(page)
    page.get_by_role("button", name="Play the history").click()
    page.clock.run_for(12_000)
    expect(page.get_by_role("button", name="Play the history")).to_be_visible()
    assert "at" not in parameters_of(page)


def test_points_that_a_later_attempt_wrote_over_are_shown_in_the_lanes(look, tmp_path):
    """A trial that was continued from a checkpoint logged some steps twice."""
    uri = f"file:{tmp_path}/store.json"
    client = TrackClient(uri)
    client.set_project(name="digits")
    trial = client.new_trial(name="resumed", parameters={"lr": 0.1})
    for first in (0, 6):
        with trial:
            for step in range(first, 10):
                trial.log_metrics(step=step, loss=1 / (step + 1), accuracy=step / 10)
        trial = client.set_trial(uid=trial.uid)
    uid = trial.uid
    client.close()
    with serve(uri) as served:
        page = look(served.url).go(f"#/history?trial={uid}")
        expect(page.locator(".lane")).to_have_count(2)
        first, second = page.locator(".lane").all()
        expect(first).to_contain_text("8 points overwritten by attempt 2: steps 6 to 9")
        expect(first.locator(".lane-lost")).to_be_visible()
        expect(second.locator(".lane-lost")).to_have_count(0)


def test_a_moment_in_the_future_is_now_and_one_before_the_first_event_is_empty(look, small):
    """Whether it is a position or a time, and the way back is there."""
    tab = look(small)
    for at in ("99999999", "2100-01-01"):
        page = tab.go(f"#/trials?at={at}")
        expect(page.locator(".grid-body .grid-row")).to_have_count(6)
        expect(page.locator(".banner-past")).to_be_visible()
    for at in ("0", "1999-12-31"):
        page = tab.go(f"#/trials?at={at}")
        expect(page.get_by_role("heading", name="No trial existed yet")).to_be_visible()
        page = tab.go(f"#/charts?at={at}")
        expect(page.get_by_role("heading", name="No trial to draw")).to_be_visible()
    page.keyboard.press("n")
    expect(page.locator(".chart canvas").first).to_be_visible()
