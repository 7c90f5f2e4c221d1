"""Make texts safe to print on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape the characters of a text that a terminal would interpret or cannot encode.

    Logged text may contain escape sequences and lone surrogates, which UTF-8 cannot encode.
    """
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
