"""A real Chromium that looks at real stores, and complains of all that the page must not do."""

import json
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright

from track import TrackClient
from track.media import Histogram, Image, Text

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]

PATIENCE_MS = 60_000
"""So long a condition is waited for: a machine that does much else is slow, not wrong."""

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser():
    """A browser, where there is one. While it is open, no test can run an event loop of its own."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser is installed: looked for {', '.join(NAMES)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class Served:
    """A store that a process of its own shows."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def end(self) -> None:
        """End the server as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)


@contextmanager
def serve(uri: str, *options: str, folder: Path | None = None):
    """Give the address where ``track ui`` shows a store."""
    command = [sys.executable, "-m", "track", "ui", uri, "--no-browser", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
    served = Served(process, process.stdout.readline().strip())
    try:
        yield served
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)
        process.stdout.close()


class Look:
    """A tab of the browser.

    Attributes
    ----------
    page
        of playwright
    wrong
        what the page did that it must not: errors, requests to elsewhere, dialogs
    allowed
        an expression of errors that the test provokes
    """

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url = page, url
        self.wrong: list[str] = []
        self.allowed = ""
        page.on("console", lambda said: said.type == "error" and self.wrong.append(said.text))
        page.on("pageerror", lambda error: self.wrong.append(f"{error}\n{error.stack}"))
        page.on("response", self._answered)
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        page.on("request", self._requested)
        page.set_default_timeout(PATIENCE_MS)

    def _answered(self, response: Any) -> None:
        if response.status >= 400:
            self.wrong.append(f"{response.status} for {response.url}")

    def _requested(self, request: Any) -> None:
        if not request.url.startswith((self.url, "blob:", "data:")):
            self.wrong.append(f"a request to {request.url}")

    def go(self, route: str = "") -> Any:
        """Go to a view, as a link in an e-mail does; return the page."""
        self.page.goto("about:blank")
        self.page.goto(self.url + route)
        return self.page

    def complaints(self) -> list[str]:
        """Return what was wrong and not expected."""
        return [one for one in self.wrong if not (self.allowed and re.search(self.allowed, one))]


@pytest.fixture
def look(browser):
    """Return what opens a tab that looks at a server; whatever goes wrong in it fails the test."""
    opened: list[Look] = []

    def open_tab(url: str, **options: Any) -> Look:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | options)
        opened.append(Look(context.new_page(), url))
        return opened[-1]

    yield open_tab
    wrong = [one for tab in opened for one in tab.complaints()]
    for tab in opened:
        tab.page.context.close()
    assert not wrong


def fill(client: TrackClient, count: int, steps: int) -> None:
    """Log a sweep: half with adam, three seeds, the fourth trial fails."""
    client.set_project(name="digits")
    client.set_group(name="sweep")
    for number in range(count):
        parameters = {
            "lr": 0.1 / (1 + number % 4),
            "seed": number % 3,
            "epochs": 5,
            "optimizer": {"name": "adam" if number % 2 else "sgd"},
        }
        trial = client.new_trial(force=True, name=f"trial-{number}", parameters=parameters)
        try:
            with trial:
                trial.add_tags(model="mlp")
                for step in range(steps):
                    loss = (1 + number) / (1 + step)
                    trial.log_metrics(step=step, **{"train/loss": loss, "val/loss": loss * 1.1})
                trial.log_metrics(accuracy=1 - 1 / (2 + number))
                if number % 10 == 3:
                    raise ValueError("the loss is not finite")
        except ValueError:
            pass


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A server that shows six trials, and may write."""
    folder = tmp_path_factory.mktemp("small")
    client = TrackClient(f"file:{folder}/small.json")
    fill(client, 6, 40)
    client.close()
    with serve(f"file:{folder}/small.json", "--write") as served:
        yield served.url


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """A server that shows a thousand trials."""
    folder = tmp_path_factory.mktemp("large")
    client = TrackClient(f"file:{folder}/large.json?durability=process")
    fill(client, 1000, 3)
    client.close()
    with serve(f"file:{folder}/large.json") as served:
        yield served.url


@pytest.fixture
def logging(tmp_path):
    """A trial that logs media, and a server that shows it."""
    client = TrackClient(f"file:{tmp_path}/s.json")
    trial = client.new_trial(name="t", parameters={"lr": 0.1})
    picture = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    for step in range(3):
        values = {
            "picture": Image(picture, f"after {step}"),
            "texts": [Text("<b>one"), Text("two")],
        }
        trial.log({"loss": 1.0, "weights": Histogram(picture), **values}, step)
    trial.log_table("confusion", {"<i>class": ["cat"], "n": [3]})
    trial.log_html("page", "<h1>Title</h1><script>document.body.innerHTML = 'ran'</script>")
    client.protocol.log_trial_system_metrics(trial.trial, {"process.memory_bytes": 2e9}, rank=0)
    client.protocol.log_trial_system_metrics(trial.trial, {"process.memory_bytes": 3e9}, rank=0)
    at = 1_700_000_000 * 10**9
    lines = [[at, 1, "<b>one\n"], [at, 2, "\x1b[31m10%"], [at, 1, 7]]
    client.protocol.log_trial_output(trial.trial, lines)
    with serve(f"file:{tmp_path}/s.json") as served:
        yield served.url, trial
    client.close()


def names_in(page: Any) -> list[str]:
    """Return the names of the trials in sight."""
    return page.locator(".grid-body .cell-name a").all_inner_texts()


def parameters_of(page: Any) -> dict[str, list[str]]:
    """Return what the URL says."""
    query = page.url.partition("?")[2]
    found: dict[str, list[str]] = {}
    for name, value in json.loads(
        page.evaluate("q => JSON.stringify([...new URLSearchParams(q)])", query)
    ):
        found.setdefault(name, []).append(value)
    return found
