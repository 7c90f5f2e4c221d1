"""Media that a trial logs by step: images, figures, histograms, tables, text, audio, HTML.

Values of NumPy, PyTorch, JAX, Pillow, matplotlib, plotly, pandas and polars are taken for what they
are; none of these packages is needed, nor imported unless it was.
"""

from track.media.histogram import Histogram
from track.media.image import Figure, Image
from track.media.medium import Medium
from track.media.sound import Audio
from track.media.table import Table
from track.media.text import Html, Text

__all__ = ("Audio", "Figure", "Histogram", "Html", "Image", "Medium", "Table", "Text")
