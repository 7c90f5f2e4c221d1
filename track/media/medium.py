"""The base class of all media."""

from __future__ import annotations

import os
import sys
from typing import Any, ClassVar

from track.errors import EncodingError

LARGEST = 64 * 2**20
"""The most bytes of one medium; log more as a file, see :meth:`TrialLogger.log_file`."""


class Medium:
    """Content to look at or to listen to.

    Parameters
    ----------
    data
        the content, as bytes of the type `mime`
    mime
        the media type, such as ``image/png``
    caption
        a line to show with it
    facts
        further facts, such as ``width`` and ``height``

    Raises
    ------
    EncodingError
        the content is larger than :data:`LARGEST`
    """

    kind: ClassVar[str] = "file"
    """The kind of medium, which decides how it is shown."""

    __slots__ = ("caption", "data", "facts", "mime")

    def __init__(self, data: bytes, mime: str, caption: str | None = None, **facts: Any) -> None:
        if len(data) > LARGEST:
            raise EncodingError(
                f"{self.kind} of {len(data)} bytes exceeds the limit of {LARGEST}: use log_file"
            )
        self.data, self.mime = data, mime
        self.caption = caption if caption is None else str(caption)
        self.facts = facts

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.data)} bytes, {self.mime})"

    @classmethod
    def refuse(cls, why: str) -> EncodingError:
        """Return an error that explains why a value cannot be logged as this medium."""
        return EncodingError(f"cannot log this as {cls.kind}: {why}")


def home_of(value: object) -> str:
    """Return the name of the package that defines the type of a value."""
    return type(value).__module__.partition(".")[0]


def as_array(value: Any) -> Any:
    """Convert a tensor or array to a NumPy array; return None for any other value.

    NumPy is used only if it is already imported, as it is in any program that has an array.
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
    """Return bytes unchanged, the content of a file for its path, and None for any other value.

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
        raise EncodingError(f"{value} has {size} bytes, the limit is {LARGEST}: use log_file")
    with open(value, "rb") as file:
        return file.read()
