"""Options from the environment, from files and from their defaults."""

import copy
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from tests.programs import run_python
from track import configuration
from track.configuration import none, number, options, reset_configuration
from track.errors import BackendError, TrackError


def write(folder: Path, content: Any) -> Path:
    path = folder / "track.config"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder from which programs can import the package, as if it were installed there."""
    folder = tmp_path / "installed"
    folder.mkdir()
    (folder / "track").symlink_to(os.path.dirname(configuration.__file__))
    return folder


def printed(beside: Path, code: str) -> str:
    """Return what a program prints that reads options with the package in that folder."""
    program = f"import os\nfrom track.configuration import options\n{code}"
    return run_python(program, PYTHONPATH=str(beside)).stdout


def test_default() -> None:
    """What is set nowhere is the default, and without one the false sentinel."""
    assert options("log.backend.name", "file") == "file"
    assert options("log.backend.name", None) is None
    assert options("log.backend.name") is none
    assert not none
    assert repr(none) == "none"


def test_the_sentinel_survives_copies() -> None:
    """Copies and pickles of the sentinel can be compared with ``is``."""
    assert copy.deepcopy(none) is copy.copy(none) is pickle.loads(pickle.dumps(none)) is none


def test_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is asked at each call, before the files, and gives text."""
    write(tmp_path, {"a.b": 1})
    assert options("a.b") == 1
    monkeypatch.setenv("TRACK_A_B", "2")
    assert options("a.b", 3) == "2"
    monkeypatch.setenv("TRACK_A_B", "")
    assert options("a.b", 3) == ""


def test_environment_may_be_a_dict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients replace the environment by a plain dictionary in their tests."""
    monkeypatch.setattr(os, "environ", {"TRACK_LOG_BACKEND_NAME": "none"})
    assert options("log.backend.name") == "none"


@pytest.mark.parametrize("content", [{"log.backend": 1}, {"log": {"backend": 1}}])
def test_files_are_flat_or_nested(tmp_path: Path, content: dict[str, Any]) -> None:
    """Both ways to write a dotted option are read."""
    write(tmp_path, content)
    assert options("log.backend") == 1
    assert options("log.other", "default") == "default"
    assert options("log.backend.deeper", "default") == "default"


def test_order_of_files(beside: Path, tmp_path: Path) -> None:
    """The working directory comes before the package, option by option; null is a value."""
    write(tmp_path, {"a": 1, "nothing": None})
    write(beside, {"a": 2, "b": 3, "nothing": 4})
    code = "print(options('a'), options('b'), options('nothing', 5))"
    assert printed(beside, code) == "1 3 None\n"


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """Another time of change, or size, makes a file new; the same ones do not, until a reset."""
    path = write(tmp_path, {"a": 1})
    os.utime(path, ns=(1, 1))
    assert options("a") == 1
    write(tmp_path, {"a": 2})
    assert options("a") == 2
    os.utime(path, ns=(1, 1))
    assert options("a") == 1
    reset_configuration()
    assert options("a") == 2
    path.unlink()
    assert options("a") is none


def test_every_folder_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the same size and time in two folders are not confused."""
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        os.utime(write(folder, {"name": name}), ns=(1, 1))
        monkeypatch.chdir(folder)
        assert options("name") == name


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff", b""])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    """One clear error says which file to correct."""
    path = tmp_path / "track.config"
    path.write_bytes(content)
    with pytest.raises(TrackError, match="correct or remove it") as caught:
        options("a", "default")
    assert str(path) in str(caught.value)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """So does what is there but no file."""
    (tmp_path / "track.config").mkdir()
    with pytest.raises(TrackError, match="correct or remove it"):
        options("a")


def test_a_deleted_working_directory(beside: Path) -> None:
    """Without a working directory there is still the file beside the package."""
    write(beside, {"a": 1})
    code = "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); print(options('a'))"
    assert printed(beside, code) == "1\n"


def test_an_option_that_is_no_number_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable to correct."""
    assert number("a.b", 2.5) == 2.5
    write(tmp_path, {"a.b": 3})
    assert number("a.b", 2.5) == 3
    monkeypatch.setenv("TRACK_A_B", "soon")
    with pytest.raises(BackendError, match=r"TRACK_A_B.* is 'soon': give a number"):
        number("a.b", 2.5)
