"""Define what all media have in common."""

from __future__ import annotations

import os
import sys
from typing import Any, ClassVar

from track.errors import EncodingError

LARGEST = 64 * 2**20
"""Bytes of one medium; whatever is larger is a file, see :meth:`TrialLogger.log_file`."""


class Medium:
    """Something to look at or to listen to.

    Parameters
    ----------
    data
        its content, as bytes of the type `mime`
    mime
        its media type, as ``image/png``
    caption
        a line to be shown with it
    facts
        what is known of it, as ``width`` and ``height``

    Raises
    ------
    EncodingError
        it is larger than :data:`LARGEST`
    """

    kind: ClassVar[str] = "file"
    """What it is shown as."""

    __slots__ = ("caption", "data", "facts", "mime")

    def __init__(self, data: bytes, mime: str, caption: str | None = None, **facts: Any) -> None:
        if len(data) > LARGEST:
            raise EncodingError(
                f"{self.kind} of {len(data)} bytes is over the limit of {LARGEST}: log it as a file"
            )
        self.data, self.mime = data, mime
        self.caption = caption if caption is None else str(caption)
        self.facts = facts

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.data)} bytes, {self.mime})"

    @classmethod
    def refuse(cls, why: str) -> EncodingError:
        """Return an error that says why a value cannot be such a medium."""
        return EncodingError(f"cannot log this as {cls.kind}: {why}")


def home_of(value: object) -> str:
    """Return the name of the package that the type of a value is from."""
    return type(value).__module__.partition(".")[0]


def as_array(value: Any) -> Any:
    """Return a tensor or array as an array of NumPy, None for what is neither.

    NumPy is only used if somebody imported it, as whoever has a tensor or an array did.
    """
    if home_of(value) == "torch" and hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if "bfloat16" in str(value.dtype) else value).numpy()
    numpy = sys.modules.get("numpy")
    if numpy is None or not (hasattr(value, "__array__") or isinstance(value, (list, tuple))):
        return None
    array = numpy.asarray(value)
    return array if array.dtype.kind in "biuf" else None


def content_of(value: Any) -> bytes | None:
    """Return bytes as they are, and what is in a file for its path; None for all else.

    Raises
    ------
    EncodingError
        the file is larger than :data:`LARGEST`
    OSError
        it cannot be read
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if not isinstance(value, (str, os.PathLike)):
        return None
    size = os.path.getsize(value)
    if size > LARGEST:
        raise EncodingError(f"{value} has {size} bytes, the limit is {LARGEST}: log it as a file")
    with open(value, "rb") as file:
        return file.read()
