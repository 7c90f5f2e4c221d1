"""What the Makefile makes can be found."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("target", "path"), [("docs", "build/docs/index.html"), ("demo", "build/demo/digits.json")]
)
def test_the_last_line_says_where_the_output_is(target, path):
    """Without anything being made here."""
    command = ["make", "--dry-run", "--no-print-directory", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    last = done.stdout.splitlines()[-1]
    assert last.startswith('echo "')
    assert path in last
