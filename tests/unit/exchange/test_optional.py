"""Packages that only some need are imported when they are used."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from track.errors import MissingPackage
from track.exchange import read_runs

ROOT = Path(__file__).resolve().parents[3]


def test_importing_imports_no_optional_package():
    """So a command line can offer everything, and starts fast."""
    program = (
        "import sys, track.exchange\n"
        "optional = {'aim', 'numpy', 'pyarrow', 'sqlite3', 'tensorboardX', 'yaml'}\n"
        "optional |= {'google.protobuf'}\n"
        "print(*(optional & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


@pytest.mark.skipif(find_spec("aim") is not None, reason="the package of Aim is installed")
def test_what_needs_a_package_names_it(tmp_path):
    """A repository of Aim is known by its files, but only its package reads them."""
    (tmp_path / ".aim" / "meta" / "chunks" / "1").mkdir(parents=True)
    (tmp_path / ".aim" / "run_metadata.sqlite").write_bytes(b"")
    for path in (tmp_path, tmp_path / ".aim", tmp_path / ".aim" / "meta" / "chunks" / "1"):
        with pytest.raises(MissingPackage, match=r"pip install 'track-journal\[aim\]'"):
            next(read_runs(str(path)))
