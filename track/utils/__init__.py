"""Provide small tools that are independent of trials: statistics, throttling, signals, output.

Only an exception that clients expect here is imported.
"""

from __future__ import annotations

from track.errors import ItemNotFound as ItemNotFound
