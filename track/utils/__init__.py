"""Provide small tools that know nothing of trials: statistics, throttling, signals, output.

Nothing is imported here but the exception clients look for in this place.
"""

from __future__ import annotations

from track.errors import ItemNotFound as ItemNotFound
