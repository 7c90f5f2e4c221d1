"""Make ``docs/terminal.svg``, the picture in the README and on the start page, from a real run.

Run it as ``python tools/make_picture.py``: it trains a few small models in a temporary folder,
inspects them with the command line on a terminal, and draws the output.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "terminal.svg"
WIDTH, LONGEST_S = 96, 60

TRAIN = """
import math, sys
from track import TrackClient

client = TrackClient("file:paper.json")
client.set_project(name="paper")
for name, lr in [("baseline", 0.1), ("wider", 0.3), ("slow", 0.01)]:
    x, trial = 3.0, client.new_trial(name=name, parameters={"lr": lr, "steps": 60})
    with trial:
        for step in range(60):
            trial.log_metrics(step=step, loss=x * x + 0.1 * math.cos(9 * x))
            x -= lr * (2 * x - 0.9 * math.sin(9 * x))
"""

COMMANDS = (
    "python train.py",
    "track ls --sort metrics.loss",
    "track plot baseline slow -m loss --height 8",
    "track diff baseline wider",
)


def shown(command: str, folder: str) -> str:
    """Return what a command shows on a terminal."""
    main, other = os.openpty()
    python = f"PATH={os.path.dirname(sys.executable)}:$PATH"
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"{python} {command}"],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=other,
        stderr=other,
    )
    os.close(other)
    pieces = []
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # the last who could have written is gone
            break
        pieces.append(piece)
    process.wait(LONGEST_S)
    os.close(main)
    return b"".join(pieces).decode().replace("\r\n", "\n").rstrip("\n")


def main() -> None:
    """Write the picture."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115 - it lives as long as this process
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "train.py").write_text(TRAIN)
        for command in COMMANDS:
            console.print(Text(f"$ {command}", style="bold green"))
            output = shown(command, folder)
            if output:
                console.print(Text.from_ansi(output))
    PICTURE.write_text(console.export_svg(title="Track"), encoding="utf-8")


if __name__ == "__main__":
    main()
