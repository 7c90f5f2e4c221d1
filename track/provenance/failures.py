"""Describe the exception that ended a trial: its message and its traceback."""

from __future__ import annotations

from typing import Any

from track.provenance.masking import hide_in_text

_MOST_OF_A_MESSAGE, _MOST_OF_A_TRACEBACK = 2_000, 16_000
"""The number of characters that are kept."""

_MOST_LOOKED_AT = 2**18
"""The number of characters that are searched for secrets before cutting."""


def failure_of(exc_type: Any, exc_val: Any, exc_tb: Any) -> dict[str, str] | None:
    """Return the message and the traceback of an exception without secrets, None for none.

    ``message`` begins with the type of the exception; ``traceback`` is the text that Python would
    print, including causes. Long texts are cut in the middle.
    """
    if not isinstance(exc_val, BaseException) or _is_a_good_end(exc_val):
        return None
    from traceback import TracebackException  # imported only when needed

    try:
        with_progress = TracebackException(exc_type, exc_val, exc_tb or exc_val.__traceback__)
        message, text = (
            "".join(with_progress.format_exception_only()),
            "".join(with_progress.format()),
        )
    except Exception as error:  # noqa: BLE001 - the end must be recorded for any exception
        message = text = f"{type(exc_val).__qualname__} (which cannot be shown: {error!r})"
    return {
        "message": _cut(message, _MOST_OF_A_MESSAGE),
        "traceback": _cut(text, _MOST_OF_A_TRACEBACK),
    }


def _is_a_good_end(exc_val: BaseException) -> bool:
    return isinstance(exc_val, SystemExit) and not exc_val.code


def _cut(text: str, most: int) -> str:
    text = hide_in_text(_without_middle(text.strip(), _MOST_LOOKED_AT))
    return _without_middle(text, most)


def _without_middle(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    start = most // 4
    left_out = len(text) - most
    return f"{text[:start]}\n[… {left_out} characters are left out …]\n{text[start - most :]}"
