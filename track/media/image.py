"""Images and figures from any library, encoded as image files."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any, ClassVar

from track.media.medium import Medium, as_array, content_of, home_of

_CHANNELS = {1: 0, 2: 4, 3: 2, 4: 6}
"""The PNG colour type by number of channels: grey, grey and alpha, RGB, RGBA (RFC 2083)."""

_COMPRESSION = 1
"""The compression level of zlib; for photographs, a higher one is slower and saves nothing."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)
_PLOTLY = "application/vnd.plotly.v1+json"

_MOST_PIXELS = 2**16
"""The most pixels in a row or a column."""

_WHITE = 255
_HEADER = 24
"""The bytes of a PNG up to and including width and height."""


class Image(Medium):
    """An image.

    Parameters
    ----------
    image
        an array or tensor of shape (height, width) or (height, width, channels) with 1 to 4
        channels; uint8, bool, or floats from 0 to 1. The shape (channels, height, width) is assumed
        for PyTorch tensors, and where no other fits. Or a Pillow image, a figure, or the bytes or
        the path of a PNG, JPEG, GIF, WebP, BMP or SVG file
    caption
        a line to show with it
    axes
        the order of the axes of an array, such as ``CHW`` or ``HW``, if its shape is ambiguous

    Raises
    ------
    EncodingError
        the value is none of these
    """

    kind: ClassVar[str] = "image"

    __slots__ = ()

    def __init__(self, image: Any, caption: str | None = None, axes: str | None = None) -> None:
        home = home_of(image)
        if isinstance(image, Image):
            super().__init__(image.data, image.mime, caption or image.caption, **image.facts)
            return
        if home == "PIL":
            data = _saved(image, "save", format="PNG")
        elif hasattr(image, "savefig"):
            data = _saved(image, "savefig", format="png")
        else:
            found = content_of(image)
            data = self._drawn(image, axes) if found is None else found
        mime = _type_of(data)
        if mime is None:
            raise self.refuse("the data is not a PNG, JPEG, GIF, WebP, BMP or SVG file")
        super().__init__(data, mime, caption, **_size_of(data, mime))

    def _drawn(self, image: Any, axes: str | None) -> bytes:
        """Encode an array as a PNG.

        Raises
        ------
        EncodingError
            it is not an array, or its shape or values do not fit an image
        """
        array = as_array(image)
        if array is None:
            raise self.refuse(
                f"{type(image).__name__} is not supported; give an array, a Pillow image, a "
                "figure, or the bytes or the path of an image file"
            )
        if axes is None:
            array = _channels_last(array, is_torch=home_of(image) == "torch")
        else:
            array = self._ordered(array, axes)
        if array is None:
            shape = tuple(getattr(image, "shape", ()))
            raise self.refuse(
                f"the shape {shape} is neither (height, width), (height, width, channels) nor "
                "(channels, height, width) with 1 to 4 channels"
            )
        if max(array.shape) > _MOST_PIXELS:
            raise self.refuse(f"{max(array.shape)} pixels per side exceed {_MOST_PIXELS}")
        return _png(self._eight_bit(array))

    def _ordered(self, array: Any, axes: str) -> Any:
        if len(axes) != len(array.shape) or "".join(sorted(axes)) not in ("CHW", "HW"):
            raise self.refuse(f"axes {axes!r} do not fit the shape {tuple(array.shape)}")
        return _channels_last(array.transpose([axes.index(one) for one in "HWC" if one in axes]))

    def _eight_bit(self, array: Any) -> Any:
        kind = array.dtype.kind
        if kind == "b":
            return array.astype("uint8") * _WHITE
        low, high = array.min(), array.max()
        if kind == "f":
            if not (low >= 0 and high <= 1):  # NaN is neither
                raise self.refuse(
                    f"floats must be from 0 to 1, these are from {low:.6g} to {high:.6g}: scale "
                    "them, or convert them to uint8"
                )
            return (array * _WHITE + 0.5).astype("uint8")
        if low < 0 or high > _WHITE:
            raise self.refuse(f"integers must be from 0 to 255, these are from {low} to {high}")
        return array.astype("uint8")


class Figure(Image):
    """A matplotlib figure as an image; it accepts everything that :class:`Image` accepts.

    A plotly figure is kept as JSON, which ``plotly.io.from_json`` converts back.
    """

    kind: ClassVar[str] = "figure"

    __slots__ = ()

    def __init__(self, figure: Any, caption: str | None = None) -> None:
        if home_of(figure) == "plotly" and hasattr(figure, "to_json"):
            Medium.__init__(self, str(figure.to_json()).encode(), _PLOTLY, caption)
        else:
            super().__init__(figure, caption)

    @classmethod
    def from_json(cls, text: str, caption: str | None = None) -> Figure:
        """Return a plotly figure from its JSON.

        Parameters
        ----------
        text
            what ``to_json`` of a plotly figure returned
        caption
            a line to show with it
        """
        made = cls.__new__(cls)
        Medium.__init__(made, text.encode(), _PLOTLY, caption)
        return made


def _channels_last(array: Any, *, is_torch: bool = False) -> Any:
    """Return an array in the shape (height, width, channels), None if it does not fit an image."""
    match array.shape:
        case (_, _):
            array = array[:, :, None]
        case (channels, _, last) if channels in _CHANNELS and (is_torch or last not in _CHANNELS):
            array = array.transpose(1, 2, 0)
        case (_, _, channels) if channels in _CHANNELS:
            pass
        case _:
            return None
    return array if array.size else None


def _saved(picture: Any, method: str, **options: Any) -> bytes:
    file = BytesIO()
    getattr(picture, method)(file, **options)
    return file.getvalue()


def _png(array: Any) -> bytes:
    """Encode an array of shape (height, width, channels) and type uint8 as a PNG (RFC 2083)."""
    height, width, channels = array.shape
    rows = memoryview(array.tobytes())
    stride = width * channels
    # Each row begins with the number of its filter; 0 means none.
    lines = b"".join(
        b"\0" + rows[start : start + stride] for start in range(0, height * stride, stride)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, _CHANNELS[channels], 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(lines, _COMPRESSION)), (b"IEND", b"")
    return _SIGNATURES[0][0] + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _type_of(data: bytes) -> str | None:
    for signature, mime in _SIGNATURES:
        if data.startswith(signature):
            return mime
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    head = data[:1024].lstrip()
    is_xml = head.startswith((b"<svg", b"<?xml", b"<!"))
    return "image/svg+xml" if is_xml and b"<svg" in data[:4096] else None


def _size_of(data: bytes, mime: str) -> dict[str, int]:
    """Return width and height for the formats in which they are easy to read."""
    if mime != "image/png" or len(data) < _HEADER:
        return {}
    width, height = struct.unpack(">II", data[16:_HEADER])
    return {"width": width, "height": height}
