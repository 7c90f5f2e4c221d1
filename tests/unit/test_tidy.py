"""tools/tidy.py finds what it promises to find, and nothing in the real tree."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.tidy import check

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def complaints(tmp_path):
    """Write files given as path=source, and return what tidy says about them."""

    def write_and_check(files):
        for path, source in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
        return [str(violation) for violation in check(tmp_path)]

    return write_and_check


def test_the_real_tree_is_tidy():
    assert [str(violation) for violation in check(ROOT)] == []


def test_the_program_prints_violations_and_fails(tmp_path):
    (tmp_path / "track").mkdir()
    (tmp_path / "track" / "errors.py").write_text("x = 1\n" * 451)
    command = [sys.executable, ROOT / "tools" / "tidy.py", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout == "track/errors.py:451: the file has 451 lines, split it below 450\n"


def test_the_program_is_silent_about_a_tidy_tree(tmp_path):
    command = [sys.executable, ROOT / "tools" / "tidy.py", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("folder", ["track", "tests", "tools", "examples"])
def test_long_files_are_split(complaints, folder):
    assert complaints({f"{folder}/errors.py": "x = 1\n" * 450}) == []
    (found,) = complaints({f"{folder}/errors.py": "x = 1\n" * 451})
    assert "has 451 lines" in found


@pytest.mark.parametrize("name", ["chart.js", "style.css"])
def test_long_files_of_the_page_are_split(complaints, name):
    assert complaints({f"track/ui/static/vendor/{name}": "\n" * 451}) == []
    (found,) = complaints({f"track/ui/static/{name}": "\n" * 451})
    assert "has 451 lines" in found


def test_long_functions_are_split(complaints):
    body = "    x = 1\n"
    assert complaints({"track/errors.py": "def f():\n" + body * 69}) == []
    (found,) = complaints({"track/errors.py": "def f():\n" + body * 70})
    assert "track/errors.py:1: f has 71 lines" in found


def test_folds_read_no_clock(complaints):
    source = "from datetime import datetime as d\n\nd.now()\n"
    assert complaints({"track/reader.py": source}) == []
    (found,) = complaints({"track/projections/query.py": source})
    assert found.startswith("track/projections/query.py:3: now() in a pure module")


def test_strays_at_the_root_are_found(complaints, tmp_path):
    """Whether or not Git knows them already; what it ignores may be there."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    ignored = {".gitignore": "/build/\n*.log\n", "build/x": "", "a.log": ""}
    assert complaints({**ignored, "track/errors.py": "", "README.md": ""}) == []
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    strays = {"store.json": "[]", ".dvc/config": ""}
    found = complaints({**strays, "docs/store.json": "[]"})
    assert [complaint.partition(":")[0] for complaint in found] == [".dvc", "store.json"]
    assert all("stop what makes it, or name it in AT_ROOT" in complaint for complaint in found)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    assert complaints({}) == found
