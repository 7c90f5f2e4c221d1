"""Media made of values of other libraries: their content is what it should be."""

import io
import json
import math
import wave

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

from track.errors import EncodingError
from track.media import Audio, Figure, Histogram, Html, Image, Table, Text
from track.media.histogram import count
from track.media.medium import LARGEST
from track.media.table import MOST_ROWS

RNG = np.random.default_rng(7)


def pixels(medium):
    """Return the pixels of a picture, as another library reads it."""
    return np.asarray(Pillow.open(io.BytesIO(medium.data)))


class Tensor:
    """What a tensor of PyTorch can do, as far as it matters here."""

    __module__ = "torch"

    def __init__(self, array):
        self.array, self.dtype = array, f"torch.{array.dtype}"

    shape = property(lambda self: self.array.shape)

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self.array


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_array_is_a_picture_of_its_pixels(channels):
    """Bit by bit, as another library sees them."""
    array = RNG.integers(0, 256, (5, 7, channels), np.uint8)
    medium = Image(array, caption="noise")
    assert (medium.mime, medium.caption) == ("image/png", "noise")
    assert medium.facts == {"width": 7, "height": 5}
    assert (pixels(medium).reshape(array.shape) == array).all()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[True, False]]), [[255, 0]]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [[0, 128, 255]]),
        (np.array([[0, 255]], np.int64), [[0, 255]]),
        (np.array([[[0]], [[7]]], np.uint8), [[0], [7]]),
        ([[0, 128], [255, 1]], [[0, 128], [255, 1]]),
        (np.arange(30, dtype=np.uint8).reshape(3, 2, 5), None),  # channels, height, width
    ],
)
def test_other_types_and_shapes(array, expected):
    """Booleans, floats from 0 to 1, integers up to 255, lists, and channels that come first."""
    found = pixels(Image(array))
    wanted = np.transpose(array, (1, 2, 0)) if expected is None else np.array(expected)
    assert (found == wanted).all()


def test_the_channels_of_a_tensor_come_first():
    """Where an array of the same shape would be read the other way."""
    array = RNG.integers(0, 256, (3, 4, 3), np.uint8)
    assert (pixels(Image(array)) == array).all()
    assert (pixels(Image(Tensor(array))) == array.transpose(1, 2, 0)).all()


@pytest.mark.parametrize("axes", ["HWC", "CHW", "WHC", "CWH"])
def test_the_order_of_the_axes_can_be_given(axes):
    """For shapes that could be read in more than one way."""
    array = RNG.integers(0, 256, (3, 4, 3), np.uint8)
    given = array.transpose([("HWC").index(axis) for axis in axes])
    assert (pixels(Image(given, axes=axes)) == array).all()
    with pytest.raises(EncodingError, match="do not fit the shape"):
        Image(given, axes="HW")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.full((2, 2), 1.5), "floats must be from 0 to 1"),
        (np.array([[0.5, np.nan]]), "floats must be from 0 to 1"),
        (np.array([[-1, 5]]), "integers must be from 0 to 255"),
        (np.zeros((5, 5, 5)), "the shape"),
        (np.zeros((0, 4)), "the shape"),
        (np.zeros(9), "the shape"),
        (np.zeros((1, 2**16 + 1)), "pixels"),
        (object(), "object is not supported"),
        (b"no picture", "not a PNG"),
    ],
)
def test_what_is_no_picture_is_told(value, told):
    """With what to do about it."""
    with pytest.raises(EncodingError, match=told):
        Image(value)


def test_pictures_of_other_libraries_and_files_are_taken(tmp_path):
    """Of Pillow, of anything that can save a figure, and files as they are."""
    array = RNG.integers(0, 256, (6, 6, 3), np.uint8)
    picture = Pillow.fromarray(array)
    assert (pixels(Image(picture)) == array).all()
    picture.save(tmp_path / "p.jpg")
    jpeg = (tmp_path / "p.jpg").read_bytes()
    for value in (jpeg, tmp_path / "p.jpg", str(tmp_path / "p.jpg")):
        assert (Image(value).mime, Image(value).data) == ("image/jpeg", jpeg)
    assert Image(b"<svg xmlns='http://www.w3.org/2000/svg'/>").mime == "image/svg+xml"

    class Plot:
        def savefig(self, file, **options):
            picture.save(file, **options)

    assert (pixels(Figure(Plot())) == array).all()
    assert (Figure(Plot()).kind, Image(Figure(Plot())).kind) == ("figure", "image")


def test_a_sound_is_a_file_with_its_samples():
    """Floats become 16 bits; integers stay what they are."""
    samples = np.sin(np.arange(800) / 5)
    medium = Audio(samples, rate=8000)
    assert medium.facts == {"rate": 8000, "seconds": 0.1}
    with wave.open(io.BytesIO(medium.data)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, 8000, 800)
        found = np.frombuffer(file.readframes(800), "<i2")
    assert (found == np.round(samples * 32767)).all()
    stereo = RNG.integers(-(2**15), 2**15, (10, 2), np.int16)
    with wave.open(io.BytesIO(Audio(stereo, rate=44100).data)) as file:
        assert (np.frombuffer(file.readframes(10), "<i2").reshape(10, 2) == stereo).all()
    assert Audio(medium.data).mime == "audio/wav"


@pytest.mark.parametrize(
    ("samples", "rate", "told"),
    [
        (np.zeros(4), None, "needs its rate"),
        (np.full(4, 2.0), 8000, "from -1 to 1"),
        (np.zeros(4, np.int64), 8000, "int16 or floats"),
        (np.zeros((2, 2, 2)), 8000, "array of"),
        (b"no sound", None, "not a WAV"),
    ],
)
def test_what_is_no_sound_is_told(samples, rate, told):
    """With what to do about it."""
    with pytest.raises(EncodingError, match=told):
        Audio(samples, rate)


def test_a_histogram_counts_every_finite_value():
    """As NumPy does, and says how many were none."""
    values = [*RNG.normal(size=1000), math.nan, math.inf, -math.inf]
    content = json.loads(Histogram(values, bins=20).data)
    expected, edges = np.histogram(values[:1000], 20)
    assert content["counts"] == expected.tolist()
    assert content["edges"] == pytest.approx(edges.tolist())
    assert (content["nan"], content["infinite"]) == (1, 2)


@pytest.mark.parametrize("values", [[], [3.0] * 5, [-1e308, 1e308], [5e-324, 0.0], [0.0, 1e-310]])
def test_odd_values_are_counted_too(values):
    """None at all, equal ones, and those whose range is wider than a double."""
    edges, counts = count(values, 8)
    assert sum(counts) == len(values)
    assert len(edges) == 9
    assert all(map(math.isfinite, edges))
    assert edges == sorted(edges)


def test_tables_of_any_library_are_rows():
    """With what JSON lacks as a text."""
    expected = {"columns": ["a", "b"], "rows": [[1, "x"], [2, "nan"]]}
    frame = pd.DataFrame({"a": np.array([1, 2], object), "b": np.array(["x", math.nan], object)})
    rows = [(1, "x"), (2, math.nan)]
    for table in (
        Table(frame),
        Table({"a": [1, 2], "b": ["x", math.nan]}),
        Table([{"a": 1, "b": "x"}, {"a": np.int64(2), "b": math.nan}]),
        Table(rows, columns=["a", "b"]),
    ):
        assert json.loads(table.data) == expected
        assert table.facts == {"rows": 2, "columns": 2}


@pytest.mark.parametrize(
    ("table", "columns", "told"),
    [
        ({"a": [1], "b": [1, 2]}, None, "different lengths"),
        ([(1, 2)], None, "names of their columns"),
        ([(1, 2)], ["a"], "2 values for 1 columns"),
        (5, None, "int is not supported"),
        ({"a": range(MOST_ROWS + 1)}, None, "rows exceed"),
    ],
)
def test_what_is_no_table_is_told(table, columns, told):
    """With what to do about it."""
    with pytest.raises(EncodingError, match=told):
        Table(table, columns)


def test_texts_are_kept_as_they_are():
    """With what UTF-8 cannot hold replaced."""
    assert Text("grüße").data.decode() == "grüße"
    assert Text("a\ud800").data == b"a?"
    assert Html("<b>").mime == "text/html; charset=utf-8"
    with pytest.raises(EncodingError, match="give a str"):
        Text(b"bytes")


def test_a_medium_has_a_limit():
    """Beyond which it is a file."""
    with pytest.raises(EncodingError, match="log_file"):
        Text("x" * (LARGEST + 1))
