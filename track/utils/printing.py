"""Texts that a terminal can be given."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return a text that says the same and does nothing to a terminal.

    What was logged may hold escape sequences, and lone surrogates, which no UTF-8 can hold.
    """
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
