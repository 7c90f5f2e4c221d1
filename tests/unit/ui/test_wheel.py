"""Whoever installs the package has the page, and needs nothing else for it."""

import re
import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[3]
STATIC = ROOT / "track" / "ui" / "static"


def test_the_wheel_has_every_file_of_the_page(tmp_path):
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(path) as wheel:
        inside = {*wheel.namelist()}
    files = [file for file in STATIC.rglob("*") if file.is_file()]
    assert STATIC / "index.html" in files
    assert {file.relative_to(ROOT).as_posix() for file in files} <= inside
    assert any(name.endswith("/LICENSE-uPlot") and ".dist-info/" in name for name in inside)


NAMES = {"http://www.w3.org/2000/svg", "http://report/"}
"""Addresses that name something, and are asked by nobody."""


def test_the_page_asks_nobody_else_for_anything():
    """No address of another site is in it. (The policy of the page would not let it, either.)"""
    for file in [*STATIC.glob("*.js"), *STATIC.glob("*.html"), *STATIC.glob("*.css")]:
        found = re.findall(r"https?://[^\"'`\s)]*", file.read_text(encoding="utf-8"))
        assert {*found} <= NAMES, file
