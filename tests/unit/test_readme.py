"""The snippets of the README and of the pages in docs/ run as they are written.

The blocks of a page run in order, in one namespace, in an empty folder. A block of Python that
begins with the comment ``# name.py`` is saved there, and the commands of a block of ``sh`` that
begins with ``python`` or ``track`` run in a shell. ``<!-- not run: why -->`` in front of a block of
Python is the exception. Only the ports are others, as two pages, or two who run the tests, may name
the same ones.
"""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.databases import free_port, uri_of
from track.relay.users import Users

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]

FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]*\w[^\n]*) -->\n+)?"
    r"```(?P<language>[^`\n]*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
ANY_FENCE = re.compile(r"^[> \t]*(```|~~~)", re.MULTILINE)
SCRIPT = re.compile(r"# (?P<name>\w+\.py)\n")
PORT = re.compile(r"\b81[0-9][0-9]\b")
IMPORT = re.compile(r"^(>>> )?(from [\w.]+ )?import \w", re.MULTILINE)

IN_SHELL = ("python ", "track ")
"""How blocks of commands begin that are run."""

SHELL = f"""\
set -e
python() {{ '{sys.executable}' "$@"; }}
track() {{ python -m track "$@"; }}
"""
"""Which Python, and which Track, that is."""


PATIENCE_S = 200
"""How long a page may take before something is said to hang."""


class Block(NamedTuple):
    """What is between two fences, and why it is not run, if it is not."""

    language: str
    code: str
    reason: str | None
    lines_before: int


def blocks_of(page):
    text = page.read_text(encoding="utf-8")
    ports = {port: str(free_port()) for port in PORT.findall(text)}
    return [
        Block(
            match["language"],
            PORT.sub(lambda port: ports[port[0]], match["code"]),
            match["reason"],
            text.count("\n", 0, match.start("code")),
        )
        for match in FENCE.finditer(text)
    ]


def run(block, page, namespace):
    """Run a block if it is to be."""
    if block.language == "sh" and block.code.startswith(IN_SHELL):
        subprocess.run(["bash", "-c", SHELL + block.code], check=True)
    if block.language != "python" or block.reason is not None:
        return
    if script := SCRIPT.match(block.code):
        Path(script["name"]).write_text(block.code, encoding="utf-8")
        return
    # Moved down to its line, so that tracebacks point into the page.
    exec(compile("\n" * block.lines_before + block.code, page, "exec"), namespace)


@pytest.fixture
def nothing_stays_behind():
    """Whatever becomes of a page, it ends, and so do the servers that it started."""

    def too_long(*_):
        raise TimeoutError(f"the page did not end in {PATIENCE_S} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(PATIENCE_S)
    others = {*multiprocessing.active_children()}
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    for child in {*multiprocessing.active_children()} - others:
        child.kill()
        child.join()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.usefixtures("nothing_stays_behind")
def test_snippets_run(page, monkeypatch, tmp_path, told):
    """What a page says can be done can be done, by doing what it says."""
    monkeypatch.setattr(sys, "argv", [str(page)])
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # processes that a page starts are of this Track
    if page.name == "database.md":
        uri = uri_of("postgres", str(tmp_path)[-255:], spool=tmp_path / "spool")
        monkeypatch.setenv("TRACK_LOG_BACKEND_NAME", uri)
    namespace = {"__name__": "__main__", "__file__": str(page)}
    for block in blocks_of(page):
        run(block, page, namespace)
    assert (told != []) == (page.name == "damage.md")


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize("name", ["served.py", "guarded.py"])
def test_the_scripts_of_the_relay_run_with_every_start_method(name, method, tmp_path):
    """The default is another one from Python 3.14 on."""
    page = ROOT / "docs" / "how-to" / "relay.md"
    (script,) = (one for one in blocks_of(page) if one.code.startswith(f"# {name}\n"))
    Users(str(tmp_path / "users.json")).add("ada", "correct horse battery staple")
    choice = f"import multiprocessing\nmultiprocessing.set_start_method({method!r}, force=True)\n"
    (tmp_path / name).write_text(choice + script.code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, name],
        check=False,
        env=environment,
        timeout=PATIENCE_S,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#]+)[^)]*\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_exist(page):
    """Sphinx does not look at the README, nor at links to the code."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [match["path"] for match in LINK.finditer(text)]
    assert [path for path in targets if not (page.parent / path).exists()] == []


def complaints(page):
    """Return what keeps snippets of a page from being run without anybody noticing."""
    text = page.read_text(encoding="utf-8")
    found = blocks_of(page)
    if len(ANY_FENCE.findall(text)) != 2 * len(found):
        yield "a fence is indented, quoted, not closed, or of other signs than ```"
    excused = [block for block in found if block.reason is not None]
    if text.count("<!-- not run") != len(excused):
        yield "<!-- not run: … --> has no reason, or no block behind it"
    for block in found:
        if block.reason is not None and block.language != "python":
            yield f"line {block.lines_before}: only Python needs a reason not to be run"
        if block.language != "python" and IMPORT.search(block.code):
            yield f"line {block.lines_before}: Python that is not called python"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_snippet_is_left_out_silently(page):
    assert list(complaints(page)) == []


@pytest.mark.parametrize(
    "text",
    [
        "- item\n\n  ```python\n  x = 1\n  ```\n",
        "~~~python\nx = 1\n~~~\n",
        "```python\nx = 1\n",
        "<!-- not run: -->\n\n```python\nx = 1\n```\n",
        "<!-- not run -->\n\n```python\nx = 1\n```\n",
        "<!-- not run: it needs a GPU -->\n\nMore text.\n\n```python\nx = 1\n```\n",
        "<!-- not run: it needs a GPU -->\n\n```text\nx\n```\n",
        "```text\nfrom track import TrackClient\n```\n",
        "```pycon\n>>> import track\n```\n",
    ],
)
def test_a_snippet_that_would_be_left_out_silently_is_found(text, tmp_path):
    """Each of these looks like code on the page, and would never be run."""
    page = tmp_path / "page.md"
    page.write_text(text)
    assert list(complaints(page)) != []


def test_snippets_are_found_and_keep_their_lines(tmp_path):
    """Those with a reason are not run; a script is saved; commands see it."""
    page = tmp_path / "page.md"
    text = (
        "# Title\n\n```python\nx = 1\n```\n\n```sh\nls /nowhere\n```\n\n"
        "<!-- not run: it fails -->\n\n```python\nraise SystemExit\n```\n\n"
        "```python\n# made.py\nopen('made', 'w').close()\n```\n\n"
        "```sh\npython made.py\n```\n\n```python\ny = x / 0\n```\n"
    )
    page.write_text(text)
    assert list(complaints(page)) == []
    *others, last = blocks_of(page)
    namespace = {}
    for block in others:
        run(block, page, namespace)
    assert namespace["x"] == 1
    assert (tmp_path / "made").exists()
    with pytest.raises(ZeroDivisionError) as raised:
        run(last, page, namespace)
    failed = raised.traceback[-1]
    assert (failed.path, text.split("\n")[failed.lineno]) == (page, "y = x / 0")


def test_the_ports_of_a_page_are_free_ones(tmp_path):
    """The same number is the same port in the whole page."""
    page = tmp_path / "page.md"
    page.write_text(
        "```python\na = 8123\n```\n\n```python\nb = 'host:8123'\nc = 8124\nd = 81234\n```\n"
    )
    namespace = {}
    for block in blocks_of(page):
        run(block, page, namespace)
    assert namespace["b"] == f"host:{namespace['a']}"
    assert len({8123, 8124, namespace["a"], namespace["c"]}) == 4
    assert namespace["d"] == 81234
