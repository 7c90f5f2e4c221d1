"""Provide the command ``track``."""

from __future__ import annotations

import gc
import sys

_ALLOCATIONS = 100_000
"""So many objects are made before garbage is looked for; Python's default is 700."""


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
    # A list of many trials makes many objects, and no garbage that is worth a look each time.
    gc.set_threshold(_ALLOCATIONS)
    sys.exit(run(sys.argv[1:]))
