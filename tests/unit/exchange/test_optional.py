"""Packages that only some need are imported when they are used."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_importing_imports_no_optional_package():
    """So a command line can offer everything, and starts fast."""
    program = (
        "import sys, track.exchange\n"
        "optional = {'numpy', 'pyarrow', 'sqlite3', 'tensorboardX', 'google.protobuf', 'yaml'}\n"
        "print(*(optional & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
