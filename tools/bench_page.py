"""Measure the budgets of the page in a real browser and print them as a table.

Run it as ``python tools/bench_page.py [--quick]``. It needs the extra ``dev`` and a Chromium. The
stores are made by the public API in a temporary folder: many short trials, one that another
process logs meanwhile, and twenty long ones whose curves are drawn in one chart. Times are those
that a person waits, the medians of several looks, so they are of worth only on a machine that does
nothing else. Nothing here passes or fails.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from bench_runs import Row, clean_environment
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LOOKS = 3
LIVE_POINTS = 12
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu"]
SHORT, LONG = "file:short.json?durability=process", "file:long.json?durability=process"
LIVE = "file:live.json"

FILL = """
import sys
from track import TrackClient
uri, trials, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
client = TrackClient(uri)
client.set_project(name="p")
for number in range(trials):
    parameters = {"lr": number * 1e-4, "seed": number % 5}
    with client.new_trial(force=True, name=f"t{number}", parameters=parameters) as trial:
        for step in range(steps):
            trial.log_metrics(step=step, loss=1 / (step + number + 1))
client.close()
"""

WRITE = """
import sys, time
from track import TrackClient
client = TrackClient(sys.argv[1])
client.set_project(name="p")
with client.new_trial(name="live") as trial:
    for step, _ in enumerate(sys.stdin):
        begin = time.time()
        trial.log_metrics(step=step, loss=2.0**step)
        print(begin, flush=True)
client.close()
"""

AWAIT_PIXEL = """
() => {
  const drawn = () => document.querySelector(".chart canvas")?.toDataURL();
  const before = drawn();
  window.changed = new Promise((done) => {
    const look = () => {
      if ([before, undefined].includes(drawn())) requestAnimationFrame(look);
      else done(Date.now());
    };
    look();
  });
}
"""
"""Each value is twice the one before, so it changes the whole picture."""

MOVE = """
(at) => new Promise((done) => {
  const start = performance.now();
  const wanted = new RegExp(`/api/trials[?](.*&)?at=${at}(&|$)`);
  new PerformanceObserver((list, observer) => {
    if (!list.getEntries().some((entry) => wanted.test(entry.name))) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
  }).observe({ type: "resource" });
  const slider = document.querySelector(".timeline-range");
  slider.value = at;
  slider.dispatchEvent(new Event("input"));
})
"""
"""Measured in the page: what asks it from outside takes longer than the page does."""


def fill(folder: Path, uri: str, trials: int, steps: int) -> None:
    """Make a store, in a process of its own."""
    command = [sys.executable, "-c", FILL, uri, str(trials), str(steps)]
    subprocess.run(command, cwd=folder, env=clean_environment(), check=True)


@contextmanager
def served(folder: Path, uri: str) -> Iterator[tuple[subprocess.Popen[str], str, float]]:
    """Give the server of a store, its address, and how long it took until it told that."""
    command = [sys.executable, "-m", "track", "ui", uri, "--no-browser"]
    begin = perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=clean_environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        yield process, url, perf_counter() - begin
        process.terminate()


def memory_mb(process: subprocess.Popen[str]) -> float:
    """Return what a process holds in memory."""
    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1e3


def seconds(act: Callable[[], object]) -> float:
    """Return how long something takes."""
    begin = perf_counter()
    act()
    return perf_counter() - begin


def drawn(page: Page) -> None:
    """Wait until all lines of the first chart are drawn, and the frame with them is shown."""
    page.locator(".chart .u-over").first.wait_for()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def opened(browser: Browser, url: str, awaited: str) -> tuple[float, float]:
    """Return how long a tab takes until something is there, and how many bytes it received."""
    page, received = browser.new_page(), list[int]()
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda told: received.append(told["encodedDataLength"]))
    took = seconds(lambda: (page.goto(url), page.locator(awaited).first.wait_for()))
    page.close()
    return took, sum(received)


def table_rows(browser: Browser, folder: Path, trials: int, budget_s: float) -> Iterator[Row]:
    """Measure the server, the table and the slider."""
    fill(folder, SHORT, trials, 3)
    with served(folder, SHORT) as (process, url, ready_s):
        yield Row(f"server of {trials:,} trials is ready", ready_s * 1e3, "ms", 400)
        yield Row("  memory before anybody looks", memory_mb(process), "MB", 90)
        first_s, size = opened(browser, url, ".grid-body .grid-row")
        yield Row("  first look at the table", first_s * 1e3, "ms")
        yield Row("  transferred for it, gzip", size / 1e3, "kB", 150)
        looks = [opened(browser, url, ".grid-body .grid-row")[0] for _ in range(LOOKS)]
        yield Row("  later looks", median(looks) * 1e3, "ms", budget_s * 1e3)
        page = browser.new_page()
        page.goto(url)
        slider = page.locator(".timeline-range:enabled")
        slider.wait_for()
        last = int(slider.get_attribute("max") or 0)
        moves = [go_to(page, last * n // 12) for n in range(1, 12)]
        yield Row("  slider to the picture, first move", moves[0] * 1e3, "ms")
        budget = 100 if trials <= 1000 else None  # noqa: PLR2004 - it is of a thousand trials
        yield Row("  later moves", median(moves[1:]) * 1e3, "ms", budget)
        yield Row("  memory of the server afterwards", memory_mb(process), "MB")
        page.close()


def go_to(page: Page, position: int) -> float:
    """Return how long the page takes from a move of the slider to the frame that shows the rows."""
    return float(page.evaluate(MOVE, position)) / 1e3


def chart_rows(browser: Browser, folder: Path, steps: int) -> Iterator[Row]:
    """Measure a chart of twenty long curves, and a part of it."""
    fill(folder, LONG, 20, steps)
    with served(folder, LONG) as (process, url, _):
        page = browser.new_page()
        page.goto(url)
        page.locator(".grid-body .grid-row").first.wait_for()
        rows = page.evaluate("fetch('api/trials').then((answer) => answer.json())")["rows"]
        select = "&".join(f"select={row['uid']}" for row in rows)
        took = []
        for _ in range(LOOKS):
            page.goto("about:blank")
            took.append(seconds(lambda: (page.goto(f"{url}#/charts?{select}"), drawn(page))))
        yield Row(f"20 trials x {steps:,} steps: drawn", median(took) * 1e3, "ms", 800)
        zoomed = []
        for part in range(1, LOOKS + 1):
            low = steps * part // 10
            route = f"#/charts?{select}&zoom={low},{low + steps // 20}"
            zoomed.append(seconds(lambda route=route: zoom(page, route)))
        yield Row("  zoomed", median(zoomed) * 1e3, "ms", 300)
        yield Row("  memory of the server", memory_mb(process), "MB")
        page.close()


def zoom(page: Page, route: str) -> None:
    """Go to a part of the axis, and wait for its finer points and the frame that shows them."""
    with page.expect_response(lambda answer: "first=" in answer.url):
        page.evaluate("(route) => { location.hash = route; }", route)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def live_rows(browser: Browser, folder: Path) -> Iterator[Row]:
    """Measure how long a value takes from another process to the picture."""
    command = [sys.executable, "-c", WRITE, LIVE]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, env=clean_environment(), **pipes) as writer:
        for _ in range(2):
            log(writer)
        with served(folder, LIVE) as (_, url, _):
            page = browser.new_page()
            page.goto(f"{url}#/charts")
            drawn(page)
            took = []
            for number in range(LIVE_POINTS):
                page.wait_for_timeout(1000 + 90 * number)  # at any moment between two messages
                page.evaluate(AWAIT_PIXEL)
                begin_s = log(writer)
                took.append(page.evaluate("window.changed") - begin_s * 1e3)
            page.close()
        yield Row("from log_metrics elsewhere to the pixel", median(took), "ms", 1500)
        yield Row("  the longest of them", max(took), "ms", 1500)
        writer.communicate()


def log(writer: subprocess.Popen[str]) -> float:
    """Let the other process log a value; return when it began."""
    assert writer.stdin is not None
    assert writer.stdout is not None
    print(file=writer.stdin, flush=True)
    return float(writer.stdout.readline())


def main() -> None:
    """Make the stores, look at them, and print the table."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="smaller stores")
    quick = parser.parse_args().quick
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        sys.exit(f"no browser is installed: looked for {', '.join(BROWSERS)}")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as name:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        for trials, budget_s in ((1000, 0.6),) if quick else ((1000, 0.6), (10_000, 1.0)):
            with tempfile.TemporaryDirectory(dir=name) as folder:
                for row in table_rows(browser, Path(folder), trials, budget_s):
                    print(row, flush=True)
        for row in live_rows(browser, Path(name)):
            print(row, flush=True)
        for row in chart_rows(browser, Path(name), 50_000 if quick else 1_000_000):
            print(row, flush=True)
        browser.close()


if __name__ == "__main__":
    main()
