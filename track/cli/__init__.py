"""Provide the command ``track``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process, and exit."""
    try:
        from track.cli.app import run
    except ImportError as error:
        if error.name != "click":
            raise
        sys.stderr.write(
            "track: the command line needs the package click: pip install 'track-journal[cli]'\n"
        )
        sys.exit(1)
    sys.exit(run(sys.argv[1:]))
