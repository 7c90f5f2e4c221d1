"""The command ``track``."""

from __future__ import annotations

import gc
import sys

_ALLOCATIONS = 100_000
"""The number of allocations between garbage collections; Python's default is 700 or 2,000."""


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
    # A list of many trials allocates many objects but leaves little garbage to collect.
    gc.set_threshold(_ALLOCATIONS)
    sys.exit(run(sys.argv[1:]))
