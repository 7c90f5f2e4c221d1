"""Run the command line as ``python -m track``."""

from __future__ import annotations

from track.cli import main

if __name__ == "__main__":
    main()
