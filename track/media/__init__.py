"""Media that a trial can log: images, figures, histograms, tables, text, audio, HTML.

They accept values of NumPy, PyTorch, JAX, Pillow, matplotlib, plotly, pandas and polars. None of
these packages is required, and none is imported unless the program already did.
"""

from track.media.histogram import Histogram
from track.media.image import Figure, Image
from track.media.medium import Medium
from track.media.sound import Audio
from track.media.table import Table
from track.media.text import Html, Text

__all__ = ("Audio", "Figure", "Histogram", "Html", "Image", "Medium", "Table", "Text")
