"""Packages that only some need are imported when they are used."""

from importlib.util import find_spec

import pytest

from tests.programs import run_python
from track.errors import MissingPackage
from track.exchange import read_runs


def test_importing_imports_no_optional_package():
    """So a command line can offer everything, and starts fast."""
    program = (
        "import sys, track.exchange\n"
        "optional = {'aim', 'numpy', 'pyarrow', 'sqlite3', 'tensorboardX', 'yaml'}\n"
        "optional |= {'google.protobuf'}\n"
        "print(*(optional & sys.modules.keys()))\n"
    )
    done = run_python(program)
    assert (done.stdout, done.stderr) == ("\n", "")


@pytest.mark.skipif(find_spec("aim") is not None, reason="the package of Aim is installed")
def test_what_needs_a_package_names_it(tmp_path):
    """A repository of Aim is known by its files, but only its package reads them."""
    (tmp_path / ".aim" / "meta" / "chunks" / "1").mkdir(parents=True)
    (tmp_path / ".aim" / "run_metadata.sqlite").write_bytes(b"")
    for path in (tmp_path, tmp_path / ".aim", tmp_path / ".aim" / "meta" / "chunks" / "1"):
        with pytest.raises(MissingPackage, match=r"pip install 'track-journal\[aim\]'"):
            next(read_runs(str(path)))
