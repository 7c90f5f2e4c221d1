"""Hashes of code."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import track
from track.versioning import default_version_hash, executed_file, file_hash

SHOW = "from track.versioning import default_version_hash as v\nprint(v())\n"
EMPTY = hashlib.sha256().hexdigest()


def run(*arguments: str, stdin: str | None = None) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(track.__file__).parents[1])}
    program = [sys.executable, *arguments]
    done = subprocess.run(
        program, env=environment, input=stdin, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1])
def test_file_hash(tmp_path: Path, size: int) -> None:
    """The hash is that of the bytes, whether or not they fit one read."""
    path = tmp_path / "data"
    path.write_bytes(b"\xa5" * size)
    assert file_hash(path) == file_hash(str(path)) == sha256(path)


def test_file_hash_of_nothing(tmp_path: Path) -> None:
    """A file that is not there is an error."""
    with pytest.raises(FileNotFoundError):
        file_hash(tmp_path / "missing")


def test_a_script(tmp_path: Path) -> None:
    """The version of a script is the hash of its file, and changes with it."""
    script = tmp_path / "script.py"
    script.write_text(SHOW)
    first = run(str(script))
    assert first == sha256(script)
    script.write_text(SHOW + "# changed\n")
    assert run(str(script)) == sha256(script) != first


def test_called_from_elsewhere(tmp_path: Path) -> None:
    """It is the executed file that counts, not the one that asks."""
    (tmp_path / "helper.py").write_text(SHOW)
    script = tmp_path / "script.py"
    script.write_text("import helper\n")
    assert run(str(script)) == sha256(script)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_processes(tmp_path: Path, method: str) -> None:
    """Children have the version of the script that started them."""
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing\n"
        "from track.versioning import default_version_hash\n"
        "def show():\n"
        "    print(default_version_hash())\n"
        "if __name__ == '__main__':\n"
        f"    child = multiprocessing.get_context({method!r}).Process(target=show)\n"
        "    child.start()\n"
        "    child.join()\n"
    )
    assert run(str(script)) == sha256(script)


def test_no_main_file(tmp_path: Path) -> None:
    """Without a main file it is the outermost file that runs, or no bytes at all."""
    helper = tmp_path / "helper.py"
    helper.write_text(SHOW)
    outer = tmp_path / "outer.py"
    outer.write_text("import helper\n")
    path = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
    assert run("-c", path + "import outer") == sha256(outer)
    assert run("-c", path + "import helper") == sha256(helper)
    assert run("-c", SHOW) == EMPTY


def test_a_prompt(tmp_path: Path) -> None:
    """What is typed has no file, so its version is the hash of nothing."""
    helper = tmp_path / "helper.py"
    helper.write_text(SHOW)
    typed = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport helper\n"
    assert run("-i", "-q", stdin=typed) == EMPTY


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    """A script that deleted itself still gets a version."""
    script = tmp_path / "script.py"
    script.write_text("import os\nos.unlink(__file__)\n" + SHOW)
    assert run(str(script)) == EMPTY


def test_the_file_itself(tmp_path: Path) -> None:
    """The executed file can be had by its path, or is None where there is none."""
    script = tmp_path / "script.py"
    script.write_text("from track.versioning import executed_file\nprint(executed_file())\n")
    assert run(str(script)) == str(script)
    assert run("-c", script.read_text()) == "None"
    path = executed_file()
    assert path is not None
    assert default_version_hash() == file_hash(path)
