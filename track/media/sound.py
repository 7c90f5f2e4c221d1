"""Audio from arrays or files, encoded as audio files."""

from __future__ import annotations

import sys
import wave
from io import BytesIO
from typing import Any, ClassVar

from track.media.medium import Medium, as_array, content_of

_SIGNATURES = (
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    *((b"\xff" + bytes([second]), "audio/mpeg") for second in range(0xE0, 0x100)),
)


class Audio(Medium):
    """Audio.

    Parameters
    ----------
    samples
        an array or tensor of shape (samples,) or (samples, channels), int16 or floats from -1 to 1.
        Or the bytes or the path of a WAV, FLAC, Ogg or MP3 file
    rate
        the number of samples per second, required for an array
    caption
        a line to show with it

    Raises
    ------
    EncodingError
        the value is none of these
    """

    kind: ClassVar[str] = "audio"

    __slots__ = ()

    def __init__(self, samples: Any, rate: int | None = None, caption: str | None = None) -> None:
        data = content_of(samples)
        if data is not None:
            mime = next((mime for head, mime in _SIGNATURES if data.startswith(head)), None)
            if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
                mime = "audio/wav"
            if mime is None:
                raise self.refuse("the data is not a WAV, FLAC, Ogg or MP3 file")
            super().__init__(data, mime, caption)
            return
        array = as_array(samples)
        if array is None or array.ndim not in (1, 2):
            raise self.refuse("give an array of (samples,) or (samples, channels), or a file")
        if rate is None or rate <= 0:
            raise self.refuse("an array needs its rate: Audio(samples, rate=16000)")
        if array.dtype.kind == "f":
            if not (array.size and array.min() >= -1 and array.max() <= 1):
                raise self.refuse("floats must be from -1 to 1: scale them")
            array = (array * 32767).round()
        elif array.dtype != "int16":
            raise self.refuse(f"samples must be int16 or floats, not {array.dtype}")
        channels = 1 if array.ndim == 1 else array.shape[1]
        array = array.astype("<i2")
        file = BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setparams((channels, 2, int(rate), len(array), "NONE", ""))
            writer.writeframes(array.tobytes() if sys.byteorder == "little" else array.byteswap())
        seconds = len(array) / rate
        super().__init__(
            file.getvalue(), "audio/wav", caption, rate=int(rate), seconds=round(seconds, 3)
        )
