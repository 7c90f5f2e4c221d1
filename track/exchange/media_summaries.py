"""Conversion of media to TensorBoard's summaries and back (the extra ``tensorboard``)."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from track.errors import EncodingError
from track.exchange.event_files import EXTRA
from track.exchange.numbers import is_int64
from track.exchange.optional import load
from track.media import Audio, Histogram, Image, Medium, Text
from track.media.histogram import MOST_BINS
from track.projections.media import LoggedMedium

_COLOURS = 3
"""The number of channels to state if it is unknown; TensorBoard decodes the image anyway."""

_TEXT_SUFFIX = "/text_summary"
"""The suffix that TensorBoard's writers append to the names of texts."""

_DRAWABLE = frozenset({"image/png", "image/jpeg", "image/gif", "image/bmp", "image/webp"})
_MOST_ROWS = 200
"""The most rows of a table: TensorBoard shows tables as text."""


def step_of(medium: LoggedMedium) -> int:
    """Return the step of a medium as an integer, 0 if it has none."""
    return medium.step if is_int64(medium.step) else 0


# To TensorBoard


def summary_of(medium: LoggedMedium, content: bytes) -> Any:
    """Return the summary of a medium, None if TensorBoard cannot show it.

    Raises
    ------
    EncodingError
        the content does not match its type
    """
    tag = medium.name if medium.place == 0 else f"{medium.name}/{medium.place}"
    summaries = load("tensorboardX.proto.summary_pb2", EXTRA)
    value: dict[str, Any]
    try:
        if medium.mime in _DRAWABLE:
            value = {"image": _image(summaries, medium, content)}
        elif medium.kind == "audio":
            value = {"audio": _audio(summaries, medium, content)}
        elif medium.kind == "histogram":
            value = {"histo": _histogram(summaries, json.loads(content))}
        elif medium.kind == "table":
            return _text(tag, _markdown(json.loads(content)))
        elif medium.kind == "text":
            return _text(tag, content.decode("utf-8", "replace"))
        else:
            return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EncodingError(f"{medium.name!r} is not a valid {medium.kind}: {error}") from error
    return summaries.Summary(value=[summaries.Summary.Value(tag=tag, **value)])


def _image(summaries: Any, medium: LoggedMedium, content: bytes) -> Any:
    return summaries.Summary.Image(
        height=int(medium.facts.get("height") or 0),
        width=int(medium.facts.get("width") or 0),
        colorspace=_COLOURS,
        encoded_image_string=content,
    )


def _audio(summaries: Any, medium: LoggedMedium, content: bytes) -> Any:
    rate = float(medium.facts.get("rate") or 0)
    return summaries.Summary.Audio(
        sample_rate=rate,
        num_channels=1,
        length_frames=round(rate * float(medium.facts.get("seconds") or 0)),
        encoded_audio_string=content,
        content_type=medium.mime,
    )


def _histogram(summaries: Any, said: Any) -> Any:
    """Return counts by upper edge; sums are computed from the centres of the bins."""
    edges, counts = [*map(float, said["edges"])], [*map(float, said["counts"])]
    middles = [low / 2 + high / 2 for low, high in pairwise(edges)]
    pairs = [*zip(middles, counts, strict=True)]
    return summaries.HistogramProto(
        min=edges[0],
        max=edges[-1],
        num=sum(counts),
        sum=sum(middle * count for middle, count in pairs),
        sum_squares=sum(middle * middle * count for middle, count in pairs),
        bucket_limit=edges,  # the first one is the lower edge, with no values below
        bucket=[0.0, *counts],
    )


def _text(tag: str, text: str) -> Any:
    return load("tensorboardX.summary", EXTRA).text(tag, text)


def _markdown(said: Any) -> str:
    """Return a table in Markdown, which TensorBoard renders."""
    names, rows = said["columns"], said["rows"]
    lines = [names, ["---"] * len(names), *rows[:_MOST_ROWS]]
    text = "\n".join("| " + " | ".join(map(_in_a_cell, line)) + " |" for line in lines)
    more = len(rows) - _MOST_ROWS
    return text if more <= 0 else f"{text}\n\n({more} more rows)"


def _in_a_cell(value: Any) -> str:
    return " ".join(str(value).replace("|", "\\|").split())


# From TensorBoard


def is_medium(value: Any) -> bool:
    """Return whether :func:`media_of` can read a value of a summary."""
    kind = value.WhichOneof("value")
    plugin = value.metadata.plugin_data.plugin_name
    return kind in ("image", "audio", "histo") or (kind == "tensor" and plugin in _OF_TENSORS)


def media_of(value: Any) -> tuple[str, list[Medium]]:
    """Return the name and the media in a value of a summary.

    Raises
    ------
    EncodingError
        the media cannot be read
    """
    kind = value.WhichOneof("value")
    if kind == "image":
        return value.tag, [Image(value.image.encoded_image_string)]
    if kind == "audio":
        return value.tag, [Audio(value.audio.encoded_audio_string)]
    if kind == "histo":
        return value.tag, [_counted(value.histo)]
    read = _OF_TENSORS[value.metadata.plugin_data.plugin_name]
    return value.tag.removesuffix(_TEXT_SUFFIX), read([*value.tensor.string_val])


def _texts(texts: list[bytes]) -> list[Medium]:
    return [Text("\n\n".join(text.decode("utf-8", "replace") for text in texts))]


_OF_TENSORS: dict[str, Callable[[list[bytes]], list[Medium]]] = {
    "text": _texts,
    "images": lambda texts: [Image(text) for text in texts[2:]],  # width and height come first
    "audio": lambda texts: [Audio(text) for text in texts[::2]],  # each is followed by a label
}
"""Readers of tensors of strings, in which newer writers store media, by plugin name."""


def _counted(histogram: Any) -> Medium:
    """Return a histogram with finite outer edges, merging bins if there are too many.

    TensorBoard's writers let the last bin end at the largest double and the first one begin below
    the least value.
    """
    limits, counts = [*histogram.bucket_limit], [*histogram.bucket]
    if not limits or len(limits) != len(counts):
        raise Histogram.refuse("it has no bins, or a different number of counts")
    edges = [min(histogram.min, limits[0]), *limits]
    if len(counts) > 1 and counts[0] == 0:
        edges, counts = edges[1:], counts[1:]
    edges[-1] = min(edges[-1], max(histogram.max, edges[-2]))
    joined = -(-len(counts) // MOST_BINS)
    if joined > 1:
        starts = range(0, len(counts), joined)
        edges = [*(edges[start] for start in starts), edges[-1]]
        counts = [sum(counts[start : start + joined]) for start in starts]
    return Histogram.counted(edges, counts)
