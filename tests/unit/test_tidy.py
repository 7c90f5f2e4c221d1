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
    (tmp_path / "track" / "errors.py").write_text("import track.client\n")
    command = [sys.executable, ROOT / "tools" / "tidy.py", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout == (
        "track/errors.py:1: track.errors (layer 0) imports track.client (layer 6), "
        "import only lower layers or move the code\n"
    )


def test_the_program_is_silent_about_a_tidy_tree(tmp_path):
    command = [sys.executable, ROOT / "tools" / "tidy.py", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


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


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("track/__init__.py", "from track.client import TrackClient"),
        ("track/client.py", "from track.logger import TrialLogger\nimport track.errors"),
        ("track/utils/eta.py", "from track.utils.stat import StatStream"),
        ("track/utils/__init__.py", "from track.errors import ItemNotFound"),
        ("track/serialization.py", "from track.structure import Trial"),
        ("track/aggregators/aggregator.py", "from track.containers.ring import RingBuffer"),
        ("track/events/record.py", "from track.errors import NewerFormat"),
        ("track/journals/file.py", "from track.events.record import frame"),
        ("track/projections/objects.py", "from track.journals.journal import Journal"),
        ("track/persistence/__init__.py", "def f():\n    import track.persistence.local"),
        ("tests/unit/test_x.py", "import time\nfrom track import TrackClient\nprint(time)"),
    ],
)
def test_imports_that_point_down_are_fine(complaints, path, source):
    assert complaints({path: source}) == []


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("track/structure.py", "import track.projections.query", "imports track.projections.query"),
        ("track/utils/log.py", "from track import TrackClient", "imports track (layer 8)"),
        ("track/structure.py", "from track import client", "imports track.client"),
        ("track/structure.py", "from . import client", "imports track.client"),
        ("track/chrono.py", "from track.structure import Trial", "imports track.structure"),
        ("track/errors.py", "def f():\n    import track.logger", "imports track.logger"),
        ("track/errors.py", "f = import_module('track.logger')", "imports track.logger"),
        ("track/events/codec.py", "import track.configuration", "but of track only: errors, utils"),
        ("track/events/types.py", "from track.events.codec import decode", "comes later in ORDER"),
        ("track/events/codec.py", "from ..structure import Trial", "imports track.structure"),
        (
            "track/journals/sql/journal.py",
            "from track.journals.file import FileJournal",
            "no backend knows another",
        ),
        (
            "track/projections/objects.py",
            "from track.journals.file import FileJournal",
            "a fold knows only the Journal contract",
        ),
        ("track/projections/query.py", "import os.path", "os.path in a pure module"),
        ("track/projections/query.py", "from datetime import datetime as d\nd.now()", "now() in a"),
        ("track/projections/query.py", "import track.versioning", "in a pure module"),
        ("track/novelty.py", "", "give novelty one in LAYERS"),
        ("track/structure.py", "import track.novelty", "give novelty one in LAYERS"),
        ("track/events/novelty.py", "", "give novelty one in ORDER"),
        ("track/errors.py", "x = (", "make it valid Python"),
    ],
)
def test_other_imports_are_not(complaints, path, source, complaint):
    (found,) = complaints({"track/client.py": "", "track/structure.py": "", path: source})
    assert found.startswith(f"{path}:")
    assert complaint in found


def test_the_line_of_a_violation_is_named(complaints):
    source = "import os\n\nimport track.client\n"
    (found,) = complaints({"track/errors.py": source})
    assert found.startswith("track/errors.py:3: ")


@pytest.mark.parametrize("folder", ["track", "tests", "tools", "examples"])
def test_long_files_are_split(complaints, folder):
    assert complaints({f"{folder}/errors.py": "x = 1\n" * 500}) == []
    (found,) = complaints({f"{folder}/errors.py": "x = 1\n" * 501})
    assert "has 501 lines" in found


def test_long_functions_are_split(complaints):
    body = "    x = 1\n"
    assert complaints({"track/errors.py": "def f():\n" + body * 69}) == []
    (found,) = complaints({"track/errors.py": "def f():\n" + body * 70})
    assert "track/errors.py:1: f has 71 lines" in found


def test_only_documented_functions_print(complaints):
    source = "class TrackClient:\n    def report(self):\n        print()\n"
    assert complaints({"track/client.py": source}) == []
    (found,) = complaints({"track/client.py": source.replace("report", "save")})
    assert "track/client.py:3: print in the library" in found


@pytest.mark.parametrize(
    ("handler", "complaint"),
    [
        ("except:\n    raise", "bare except"),
        ("except Exception:\n    pass", "except Exception that does nothing"),
        ("except BaseException as error:\n    ...", "except BaseException that does nothing"),
    ],
)
def test_errors_are_not_swallowed(complaints, handler, complaint):
    (found,) = complaints({"tests/x.py": f"try:\n    f()\n{handler}"})
    assert found.startswith("tests/x.py:3: ")
    assert complaint in found


@pytest.mark.parametrize("handler", ["except OSError:\n    pass", "except Exception:\n    g()"])
def test_errors_may_be_handled(complaints, handler):
    assert complaints({"tests/x.py": f"try:\n    f()\n{handler}"}) == []


@pytest.mark.parametrize("note", ["TO" + "DO", "FIX" + "ME"])
def test_notes_to_self_are_found(complaints, note):
    (found,) = complaints({"tests/x.py": f"x = 1  # {note}: two\n"})
    assert found == f"tests/x.py:1: {note} left in the code, do it or open an issue"
