"""A series is the dictionary of its items, and a sample of it shows every extreme."""

import math
import pickle
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from track.containers.points import LoadedChunk, Points, Stamp
from track.containers.series import StepSeries
from track.projections.series import Series

VALUES = st.lists(st.floats(), min_size=1, max_size=120)


def series_of(values, chunk=16, stride=1):
    """Return a series of values in small chunks, logged a second after each other."""
    points = Points(
        array("q", range(0, stride * len(values), stride)),
        array("q", [10**9 * place for place in range(len(values))]),
        array("q", range(1, len(values) + 1)),
        array("d", values),
    )
    places = range(0, len(values), chunk)
    return Series([LoadedChunk(points.part(place, place + chunk)) for place in places])


def bits(values):
    return [array("d", [value]).tobytes() for value in values]


@given(VALUES, st.integers(1, 40))
def test_a_series_is_the_dictionary_of_its_items(values, chunk):
    """Wherever its chunks end, it has the length, the items and the last one of that."""
    series = series_of(values, chunk)
    model = dict(enumerate(values))
    assert len(series) == len(model)
    assert [*series] == [*model]
    assert bits(series.values()) == bits(model.values()) == bits(series.to_dict().values())
    assert bits([series.last]) == bits(values[-1:])
    assert bits([series[len(values) - 1]]) == bits(values[-1:])
    assert (len(values) in series, -1 in series, "x" in series) == (False, False, False)
    if not any(map(math.isnan, values)):
        assert series == model
        assert model == series
        assert series != {**model, -1: 0.0}
        assert pickle.loads(pickle.dumps(series)) == model


@given(VALUES, st.integers(1, 40), st.integers(2, 60))
def test_a_sample_shows_every_extreme(values, chunk, n):
    """Both ends, the least and the largest value are in it, and all of it was logged."""
    series = series_of(values, chunk)
    sample = series.sample(n)
    assert len(sample) <= len(values)
    assert len(sample) <= max(n, 3 * (n // 2) + 2)
    assert [*sample] == sorted(sample)
    assert {0, len(values) - 1} <= {*sample}
    assert all(bits([sample[step]]) == bits([values[step]]) for step in sample)
    assert list(sample.times) == [10**9 * step for step in sample]
    numbers = [value for value in values if not math.isnan(value)]
    if numbers:
        shown = [value for value in sample.values() if not math.isnan(value)]
        assert (min(shown), max(shown)) == (min(numbers), max(numbers))
    assert any(map(math.isnan, sample.values())) == any(map(math.isnan, values))


@given(VALUES, st.integers(1, 40), st.integers(-5, 130), st.integers(-5, 130))
def test_a_slice_has_the_steps_between_its_ends(values, chunk, start, stop):
    """As a slice of a list has places."""
    model = {step: value for step, value in enumerate(values) if start <= step < stop}
    part = series_of(values, chunk)[start:stop]
    assert [*part] == [*model]
    assert bits(part.values()) == bits(model.values())


@given(VALUES, st.integers(1, 40), st.integers(0, 130))
def test_the_past_of_a_series_is_its_beginning(values, chunk, count):
    """Up to a position, or up to a time."""
    series = series_of(values, chunk)
    expected = bits(values[:count])
    assert bits(series.until(position=count).values()) == expected
    assert bits(series.until(at_ns=10**9 * count - 1).values()) == expected


def test_a_clock_that_went_backwards_leaves_no_point_out():
    """As of a time is everything up to the last point that was recorded by then."""
    columns = array("q", [0, 1, 2, 3]), array("q", [5, 9, 6, 8]), array("q", [1, 2, 3, 4])
    for chunk in (1, 2, 4):
        points = Points(*columns, array("d", [0.5, 1.5, 2.5, 3.5]))
        starts = range(0, 4, chunk)
        series = Series([LoadedChunk(points.part(start, start + chunk)) for start in starts])
        lengths = [len(series.until(at_ns=at)) for at in range(4, 10)]
        assert lengths == [0, 1, 3, 3, 4, 4]


def test_columns_are_buffers():
    """NumPy takes them without a Python object per value."""
    series = series_of([0.5, 1.5, 2.5], chunk=2, stride=10)
    assert np.frombuffer(series.values).tolist() == [0.5, 1.5, 2.5]
    assert np.asarray(series.steps, dtype=np.int64).tolist() == [0, 10, 20]
    assert np.frombuffer(series.times, np.int64).tolist() == [0, 10**9, 2 * 10**9]


def test_odd_steps_and_values_are_exact():
    """They keep the order and the types in which they were logged, and when that was."""
    logged = StepSeries([(0, 0.5)], Stamp(3, 1))
    logged.put("end", 2**70, Stamp(7, 2))
    series = Series.of(logged)
    logged.put(1, 1.0, Stamp(9, 3))
    assert series == {0: 0.5, "end": 2**70}
    assert (series.steps, series.values, list(series.times)) == ([0, "end"], [0.5, 2**70], [3, 7])
    assert series.last == 2**70
    assert series.sample(2) == series
    assert series[:] == series
    with pytest.raises(ValueError, match="read its journal"):
        series.until(position=1)


def test_a_view_does_not_change():
    """What is logged later is in the next one."""
    logged = StepSeries([(0, 0.5)])
    series = Series.of(logged)
    logged[1] = 1.5
    assert series == {0: 0.5}
    assert repr(series) == "Series({0: 0.5})"


def test_a_sample_of_one_point_is_refused():
    """It could not show both ends."""
    with pytest.raises(ValueError, match="at least 2"):
        series_of([0.5]).sample(1)


def test_an_empty_series_has_no_last_value():
    """It has nothing at all."""
    series = Series([])
    assert (len(series), series.last, [*series], list(series.steps)) == (0, None, [], [])
    assert series.sample(10) == {}


def test_a_sample_of_what_has_no_columns_has_the_extremes_too():
    """Steps that go back, or are text, are in no columns; a sample of many is one all the same."""
    series = StepSeries((5000 - step, float(step % 7)) for step in range(5000))
    series.put("last", 99.0, Stamp(1, 2))
    series.put(-7, "text", Stamp(1, 2))
    sampled = Series.of(series).sample(100)
    assert len(sampled) <= 200
    assert (next(iter(sampled)), sampled.last) == (5000, "text")
    assert sampled["last"] == 99.0
    assert sampled[-7] == "text"


class CountedChunk(LoadedChunk):
    """A chunk that tells when its points are read."""

    def __init__(self, points, number, read):
        super().__init__(points)
        self.number, self.read = number, read

    def points(self):
        self.read.append(self.number)
        return super().points()


@pytest.mark.parametrize(
    ("n", "first", "last", "read"),
    [
        (1000, 320, 479, [20, 21, 22, 23, 24, 25, 26, 27, 28, 29]),
        (100, 325, 340, [20, 21]),
        (10, 320, 479, []),
        (10, 325, 474, [20, 29]),
        (1000, 2000, None, []),
    ],
)
def test_a_sample_of_a_part_reads_only_the_chunks_it_shows_points_of(n, first, last, read):
    """Those outside are not read, and those inside only where their summaries do not suffice."""
    done = []
    whole = series_of([float(step % 7) for step in range(1600)])
    chunks = [CountedChunk(c.points(), i, done) for i, c in enumerate(whole.chunks())]
    sample = Series(chunks).sample(n, first=first, last=last)
    if read or last:
        assert (sample.steps[0], sample.steps[-1]) == (first, last)
    assert sorted({*done}) == read


def test_a_part_between_fractions_of_steps_has_its_ends():
    whole = Series.of(StepSeries((step, 0.5) for step in range(9)))
    assert [*whole.sample(99, last=2.5)] == [0, 1, 2]
    exact = Series.of(StepSeries([(0.5, 1.0), (1.5, 2.0), ("x", 3.0), (2.5, 4.0)]))
    assert [*exact.sample(99, first=1.0, last=2.5)] == [1.5, 2.5]
