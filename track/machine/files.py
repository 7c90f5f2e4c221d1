"""Read the small files in which Linux describes processes, control groups and devices."""

from __future__ import annotations

_LONGEST = 2**16


def text_in(path: str) -> str:
    """Return the text of a file without surrounding whitespace."""
    with open(path, encoding="ascii") as file:
        return file.read(_LONGEST).strip()


def number_in(path: str) -> int | None:
    """Return the number in a file, None if the file is missing or holds something else."""
    try:
        return int(text_in(path))
    except (OSError, ValueError):
        return None
