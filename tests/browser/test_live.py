"""Live: what a process logs is seen as it comes, its death is seen, and so is a server's."""

import re
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Error, expect

import track
from tests.browser.conftest import fill, serve
from track import TrackClient

WRITER = """
import sys, time
from track import TrackClient

client = TrackClient(sys.argv[1])
client.set_project(name="live")
with client.new_trial(name="running") as trial:
    step = 0
    while True:
        trial.log_metrics(step=step, loss=1 / (step + 1))
        step += 1
        if step == 20:
            print("logged", flush=True)
        time.sleep(0.02)
"""


@pytest.fixture
def write(tmp_path):
    """Return what starts a process that logs into a store until it is killed."""
    started = []

    def start(uri):
        command = [sys.executable, "-c", textwrap.dedent(WRITER), uri]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        started.append(process)
        assert process.stdout.readline() == "logged\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(20)
        process.stdout.close()


def value_in(page):
    """Return the last value in the only row."""
    return page.locator(".grid-body .grid-row .cell").last.inner_text()


def test_an_empty_store_says_how_to_begin_and_shows_what_comes(look, tmp_path, write):
    """Without a reload; and a trial whose process is killed is lost."""
    uri = f"file:{tmp_path}/live.json"
    TrackClient(uri).close()
    with serve(uri) as served:
        page = look(served.url).go()
        expect(page.get_by_role("heading", name="Nothing has been logged yet")).to_be_visible()
        writer = write(uri)
        row = page.locator(".grid-body .grid-row")
        expect(row).to_contain_text("running")
        expect(page.get_by_role("columnheader", name="loss")).to_be_visible()
        before = value_in(page)
        expect(page.locator(".grid-body .grid-row .cell").last).not_to_have_text(before)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        page.reload()
        expect(row).to_contain_text("lost")


def test_a_curve_grows_and_events_come_until_they_are_paused(look, tmp_path, write):
    """In two tabs, which share a stream."""
    uri = f"file:{tmp_path}/live.json"
    with serve_written(uri, write) as served:
        tab = look(served.url)
        streams = []
        tab.page.context.on(
            "request", lambda request: "/api/live" in request.url and streams.append(request)
        )
        page = tab.go("#/history")
        first = page.locator(".event-row").first
        expect(first).to_contain_text("Metrics logged")
        before = first.get_attribute("data-position")
        expect(first).not_to_have_attribute("data-position", before)
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_role("button", name="Resume, ")).to_be_visible()
        page.get_by_role("button", name="Resume, ").click()
        expect(page.get_by_role("button", name="Pause")).to_be_visible()

        other = page.context.new_page()
        other.goto(served.url + "#/charts")
        expect(other.locator(".chart canvas")).to_be_visible()
        expect(other.locator(".live-status")).to_have_text("Live")
        assert len(streams) == 1
        with other.expect_response(lambda answer: "/api/series" in answer.url):
            pass  # the curve is fetched again as it grows
        other.close()


def test_events_after_a_lost_connection_have_no_gap_and_no_repeat(look, tmp_path):
    """The list goes on where it was, whatever was logged while the server was away."""
    uri = f"file:{tmp_path}/store.json"
    client = TrackClient(uri)
    client.set_project(name="live")
    trial = client.new_trial(name="running", parameters={"lr": 1})
    trial.log_metrics(step=0, loss=1.0)
    with serve(uri) as served:
        tab = look(served.url)
        tab.allowed = "Failed to load resource|ERR_"
        page = tab.go("#/history")
        expect(page.locator(".event-row").first).to_contain_text("Metrics logged")
        expect(page.locator(".live-status")).to_have_text("Live")
        port = served.url.rstrip("/").rpartition(":")[2]
        served.end()
        expect(page.get_by_role("alert")).to_contain_text("The server is not responding")
        for step in range(1, 40):
            trial.log_metrics(step=step, loss=1 / step)
        with serve(uri, "--port", port):
            expect(page.locator(".live-status")).to_have_text("Live")
            with track.open(uri) as reader:
                expected = [str(one.position) for one in reader.events()]
            expect(page.locator(".event-row")).to_have_count(len(expected))
            trial.log_metrics(step=40, loss=0.0)
            expect(page.locator(".event-row")).to_have_count(len(expected) + 1)
            shown = page.locator(".event-row").evaluate_all(
                "all => all.map((one) => one.dataset.position)"
            )
            assert shown[:0:-1] == expected
    client.close()


def test_of_a_live_curve_only_what_changed_is_fetched(look, tmp_path, write):
    """And a fetch that takes longer than the next change is not given up for it."""
    uri = f"file:{tmp_path}/live.json"
    with TrackClient(uri) as client:
        client.set_project(name="live")
        with client.new_trial(name="done", parameters={"lr": 1}) as trial:
            trial.log_metrics(step=0, loss=1.0)
            trial.log_metrics(step=1, loss=0.5)
    with serve_written(uri, write) as served:
        tab = look(served.url)
        page = tab.go("#/charts")
        expect(page.locator(".chart canvas")).to_be_visible()
        expect(page.locator(".live-status")).to_have_text("Live")
        asked, given_up = [], []
        page.on("requestfailed", lambda request: given_up.append(request.url))

        def answer_late(route):
            query = parse_qs(urlsplit(route.request.url).query)
            asked.append(query["trial"])
            time.sleep(1.2)
            route.continue_()

        page.route("**/api/series*", answer_late)
        for _ in range(3):
            with page.expect_response(lambda answer: "/api/series" in answer.url) as answer:
                pass
            assert answer.value.ok
        assert not given_up
        done = page.evaluate("fetch('api/trials?where=name=done').then((a) => a.json())")
        assert not any(done["rows"][0]["uid"] in uids for uids in asked)
        page.unroute_all(behavior="wait")


def test_answers_that_take_longer_than_the_next_change_arrive(look, tmp_path, write):
    """Of the store and of a trial: no request is given up because more was logged meanwhile."""
    uri = f"file:{tmp_path}/live.json"
    with serve_written(uri, write) as served:
        with track.open(uri) as reader:
            [trial] = reader.trials()
        tab = look(served.url)
        page = tab.go(f"#/trial/{trial.uid}")
        expect(page.locator(".live-status")).to_have_text("Live")
        points = page.get_by_role("row", name="loss").get_by_role("cell").last
        before = points.inner_text()
        given_up = []
        page.on("requestfailed", lambda request: given_up.append(request.url))

        def answer_late(route):
            time.sleep(0.8)
            route.continue_()

        page.route(re.compile("/api/(store|trial/)"), answer_late)
        expect(points).not_to_have_text(before)
        with page.expect_response(lambda answer: "/api/store" in answer.url):
            pass
        assert not given_up
        page.unroute_all(behavior="wait")


def log_one(client, name):
    """Log a trial without metrics."""
    with client.new_trial(force=True, name=name):
        pass


def test_what_is_logged_before_the_first_answer_about_the_store_is_shown(look, tmp_path):
    """Although the table was answered before it, and the store only when asked again."""
    uri = f"file:{tmp_path}/store.json"
    client = TrackClient(uri)
    log_one(client, "first")
    with serve(uri) as served:
        tab = look(served.url)
        tab.allowed = "503"
        asked = []

        def answer(route):
            asked.append(route.request.url)
            if len(asked) == 1:
                route.fulfill(status=503, json={"error": "the store is busy"})
                return
            if len(asked) == 2:
                log_one(client, "second")
            route.continue_()

        tab.page.route(re.compile("/api/store"), answer)
        page = tab.go()
        expect(page.locator(".grid-body .cell-name a", has_text="first")).to_be_visible()
        expect(page.locator(".grid-body .cell-name a", has_text="second")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
        page.unroute_all(behavior="wait")
    client.close()


def test_what_is_logged_while_rows_are_on_their_way_is_shown(look, tmp_path):
    """An answer that is older than a change is not taken for the newest."""
    uri = f"file:{tmp_path}/store.json"
    client = TrackClient(uri)
    log_one(client, "first")
    with serve(uri) as served:
        page = look(served.url).go()
        expect(page.locator(".grid-body .grid-row")).to_have_count(1)
        expect(page.locator(".live-status")).to_have_text("Live")
        held = []

        def hold_the_first(route):
            if held:
                route.continue_()
            else:
                held.append((route, route.fetch()))

        page.route(re.compile("/api/trials"), hold_the_first)
        log_one(client, "second")
        while not held:
            page.wait_for_timeout(50)
        with page.expect_response(lambda answer: "/api/store" in answer.url):
            log_one(client, "third")  # after this change the rows would be asked for
        [(route, answer)] = held
        route.fulfill(response=answer)
        expect(page.locator(".grid-body .cell-name a", has_text="third")).to_be_visible()
        page.unroute_all(behavior="wait")
    client.close()


def test_events_asked_with_another_filter_are_not_put_into_the_list(look, tmp_path, write):
    """When their answer comes after the choice of the filter."""
    uri = f"file:{tmp_path}/live.json"
    with serve_written(uri, write) as served:
        tab = look(served.url)
        page = tab.go("#/history")
        expect(page.locator(".live-status")).to_have_text("Live")
        held = []

        def hold(route):
            held.append(route)

        page.route(re.compile("/api/events.*after="), hold)
        expect(page.locator(".event-row").first).to_contain_text("Metrics logged")
        while not held:
            page.wait_for_timeout(50)
        page.get_by_label("Kinds of events").select_option("Starts and ends")
        expect(page.locator(".event-row", has_text="Metrics logged")).to_have_count(0)
        expect(page.locator(".event-row").first).to_be_visible()
        for route in held:
            with suppress(Error):  # it is given up with the list
                route.continue_()
        page.unroute_all(behavior="wait")
        with page.expect_response(lambda answer: "/api/events" in answer.url):
            pass  # a later answer
        expect(page.locator(".event-row", has_text="Metrics logged")).to_have_count(0)


def serve_written(uri, write):
    """Serve a store into which a process writes."""
    write(uri)
    return serve(uri)


def test_a_server_that_comes_back_is_caught_up_with(look, tmp_path):
    """The page says that it is gone, keeps what it shows, and then has what came meanwhile."""
    uri = f"file:{tmp_path}/store.json"
    client = TrackClient(uri)
    fill(client, 2, 3)
    with serve(uri) as served:
        tab = look(served.url)
        tab.allowed = "Failed to load resource|ERR_"
        page = tab.go()
        expect(page.locator(".grid-body .grid-row")).to_have_count(2)
        expect(page.locator(".live-status")).to_have_text("Live")
        port = served.url.rstrip("/").rpartition(":")[2]
        served.end()
        expect(page.get_by_role("alert")).to_contain_text("The server is not responding")
        expect(page.locator(".grid-body .grid-row")).to_have_count(2)
        with client.new_trial(force=True, name="meanwhile"):
            pass
        client.close()
        with serve(uri, "--port", port):
            expect(page.get_by_text("meanwhile").first).to_be_visible()
            expect(page.get_by_text("The server is not responding")).to_be_hidden()
            expect(page.locator(".live-status")).to_have_text("Live")
