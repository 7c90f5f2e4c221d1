"""The Python snippets of the README and of the pages in docs/ run as they are written."""

import re
import sys
from pathlib import Path

import pytest

from tests.databases import uri_of

ROOT = Path(__file__).resolve().parents[2]

SNIPPET = re.compile(r"^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
"""A fence. Code that needs more than this machine has belongs into a fence without ``python``."""


def snippets(page):
    """Return the code of each fence, moved down to its line so that tracebacks point into it."""
    text = page.read_text(encoding="utf-8")
    return [
        "\n" * text.count("\n", 0, match.start("code")) + match["code"]
        for match in SNIPPET.finditer(text)
    ]


PAGES = [page for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))) if page.exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_snippets_run(page, monkeypatch, tmp_path):
    """In order, in one namespace per page, in an empty folder."""
    monkeypatch.setattr(sys, "argv", [str(page)])
    if page.name == "database.md":
        uri = uri_of("postgres", str(tmp_path)[-255:], spool=tmp_path / "spool")
        monkeypatch.setenv("TRACK_LOG_BACKEND_NAME", uri)
    namespace = {"__name__": "__main__", "__file__": str(page)}
    for code in snippets(page):
        exec(compile(code, page, "exec"), namespace)


def test_snippets_are_found_and_keep_their_lines(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n```python\nx = 1\n```\n\n```sh\nls\n```\n\n```python\ny = x\n```\n")
    assert snippets(page) == ["\n" * 3 + "x = 1\n", "\n" * 11 + "y = x\n"]
