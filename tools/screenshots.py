"""Make the pictures of the page in ``docs/images`` from a real run, for the light and the dark.

Run it as ``python tools/screenshots.py``: it trains small models with ``examples/digits.py`` in a
temporary folder, has ``track ui`` show them, and looks at each view with Chromium. It needs the
extra ``dev`` and a Chromium (``apt-get install chromium``).
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1280, "height": 760}
TALL = {"width": 1280, "height": 1420}
"""Of the view of one trial, which has media below its curves."""

COLOURS = 256
FLAGS = ["--no-sandbox", "--disable-gpu"]

SWEEP = [(lr, seed) for lr in ("0.4", "0.1", "0.02") for seed in ("0", "1", "2")]
"""Learning rates and seeds of the models."""

PICTURED = """
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from sklearn.neural_network import MLPClassifier
from track import TrackClient
from track.media import Histogram, Image

images, labels = load_digits(return_X_y=True)
images, batch = images / 16, 128
model = MLPClassifier((64,), solver="sgd", learning_rate_init=0.1, random_state=0)
client = TrackClient("file:digits.json")
client.set_project(name="digits")
client.set_group(name="one-hidden-layer")
parameters = {"epochs": 24, "batch_size": batch, "lr": 0.1, "seed": 3}
with client.new_trial(name="mlp-pictured", parameters=parameters) as trial:
    trial.log_system_metrics(interval=0.2)
    for epoch in range(24):
        for start in range(0, 1400, batch):
            some = slice(start, min(start + batch, 1400))
            model.partial_fit(images[some], labels[some], classes=range(10))
        weights = model.coefs_[0].T.reshape(8, 8, 8, 8).transpose(0, 2, 1, 3).reshape(64, 64)
        grey = (weights - weights.min()) / (weights.max() - weights.min())
        picture = Image(grey.repeat(4, 0).repeat(4, 1), caption="a square for each hidden unit")
        accuracy = model.score(images[1400:], labels[1400:])
        trial.log_metrics(step=epoch, loss=model.loss_, valid_accuracy=accuracy)
        trial.log({"weights": picture, "weights/all": Histogram(weights)}, epoch)
    wrong = confusion_matrix(labels[1400:], model.predict(images[1400:]))
    columns = {str(digit): [*map(int, wrong[:, digit])] for digit in range(10)}
    trial.log_table("confusion", {"is": [*range(10)]} | columns)
client.close()
"""
"""A model whose trial has media, and samples of its machine."""


def environment() -> dict[str, str]:
    """Return the environment of this tree's Track."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def train(folder: str) -> subprocess.Popen[bytes]:
    """Train all models, and return the process of one more, which goes on."""
    script = [sys.executable, str(ROOT / "examples" / "digits.py")]
    quiet: dict[str, Any] = {"cwd": folder, "env": environment(), "stdout": subprocess.DEVNULL}
    Path(folder, "pictured.py").write_text(PICTURED, "utf-8")
    # The command is seen in a picture: no path of this machine is to be in it.
    command = ["python", "pictured.py"]
    subprocess.run(command, executable=sys.executable, check=True, **quiet)
    for lr, seed in SWEEP:
        subprocess.run([*script, "--epochs", "12", "--lr", lr, "--seed", seed], check=True, **quiet)
    return subprocess.Popen([*script, "--epochs", "100000", "--lr", "0.2"], **quiet)


@contextmanager
def served(folder: str) -> Iterator[str]:
    """Give the address of the page."""
    command = [sys.executable, "-m", "track", "ui", "file:digits.json", "--no-browser"]
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def get(url: str) -> Any:
    """Return the JSON at an address of the page."""
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - our own server
        return json.load(answer)


def views(url: str) -> dict[str, tuple[str, str]]:
    """Return the route of each view, and what is there when it is drawn."""
    rows = get(f"{url}api/trials")["rows"]
    finished = [row for row in rows if row["status"] != "running"]
    select = "&".join(f"select={row['uid']}" for row in finished[::2][:5])
    position = get(f"{url}api/store")["position"]
    return {
        "trials": (f"#/trials?{select}", ".grid-body .grid-row"),
        "groups": ("#/trials?group=parameters.lr", ".groups tbody tr"),
        "charts": (f"#/charts?{select}", ".chart canvas"),
        "trial": (f"#/trial/{finished[0]['uid']}", ".chart canvas"),
        "compare": ("#/compare?shape=parallel", ".parallel-axes .axis-label"),
        "history": ("#/history", ".event-row"),
        "past": (f"#/trials?at={int(position * 0.7)}", ".banner-past"),
    }


def save(page: Page, path: Path) -> None:
    """Save what is seen, with few colours: such pictures are a fifth as large."""
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1000} kB")


def look(url: str, scheme: str, browser: Any) -> None:
    """Make the pictures of all views in one scheme."""
    page = browser.new_page(viewport=SIZE, color_scheme=scheme)
    for name, (route, awaited) in views(url).items():
        page.set_viewport_size(TALL if name == "trial" else SIZE)
        page.goto("about:blank")
        page.goto(url + route)
        page.wait_for_selector(awaited)
        page.wait_for_timeout(1200)
        if name == "charts":
            box = page.locator(".u-over").first.bounding_box()
            page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.5)
            page.wait_for_timeout(300)
        save(page, IMAGES / f"ui-{name}-{scheme}.png")
    page.close()


def main() -> None:
    """Make all pictures."""
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        sys.exit("no Chromium is installed: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        running = train(folder)
        try:
            with served(folder) as url, sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
                for scheme in ("light", "dark"):
                    look(url, scheme, browser)
                browser.close()
        finally:
            running.kill()
            running.wait()


if __name__ == "__main__":
    main()
