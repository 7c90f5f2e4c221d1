"""A series of values by step behaves as the dictionary with the same items."""

import copy
import math
import pickle
from array import array

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from track.containers.points import LoadedChunk, Points, Stored
from track.containers.series import StepSeries

STEPS = st.one_of(
    st.integers(-3, 12),
    st.sampled_from([2**62, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1]),
    st.booleans(),
    st.none(),
    st.text(max_size=2),
    st.floats(0, 3),
    st.tuples(st.integers(0, 2), st.text(max_size=1)),
)
VALUES = st.one_of(st.floats(allow_nan=False), st.integers(-2, 2), st.text(max_size=1), st.none())
GROWING = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=6, unique=True).map(sorted)


def same(one, other):
    """Whether two values are equal and of one type, which 1, 1.0 and True are not."""
    return type(one) is type(other) and one == other


class SeriesMachine(RuleBasedStateMachine):
    """Does the same to a series and to a dictionary."""

    def __init__(self):
        super().__init__()
        self.series, self.model = StepSeries(), {}

    @rule(step=STEPS, value=VALUES)
    def set_item(self, step, value):
        self.series[step] = value
        self.model[step] = value

    @rule(steps=GROWING, value=st.floats(allow_nan=False))
    def set_floats(self, steps, value):
        for index, step in enumerate(steps):
            self.series[step] = self.model[step] = value + index

    @rule(items=st.lists(st.tuples(STEPS, VALUES), max_size=4))
    def extend(self, items):
        self.series.extend([step for step, _ in items], [value for _, value in items])
        self.model.update(items)

    @rule(steps=GROWING)
    def extend_with_floats(self, steps):
        values = [float(index) for index, _ in enumerate(steps)]
        self.series.extend(steps, values)
        self.model.update(zip(steps, values, strict=True))

    @rule(step=STEPS)
    def delete(self, step):
        if step in self.model:
            del self.series[step], self.model[step]
        else:
            with pytest.raises(KeyError):
                del self.series[step]

    @rule(step=STEPS)
    def look_up(self, step):
        assert (step in self.series) == (step in self.model)
        assert same(self.series.get(step), self.model.get(step))

    @rule(way=st.sampled_from([StepSeries.copy, copy.copy, copy.deepcopy]))
    def go_on_with_a_copy(self, way):
        self.series = way(self.series)

    @rule()
    def pickle(self):
        self.series = pickle.loads(pickle.dumps(self.series))

    @rule()
    def change_a_copy(self):
        twin = self.series.copy()
        twin["new"] = 1
        assert twin == {**self.model, "new": 1}

    @invariant()
    def equal(self):
        assert len(self.series) == len(self.model)
        assert self.series == self.model
        assert self.model == self.series
        assert self.series.to_dict() == self.model
        for mine, theirs in zip(self.series.items(), self.model.items(), strict=True):
            assert all(map(same, mine, theirs))
        assert repr(self.series) == repr(self.model)


TestSeriesMachine = SeriesMachine.TestCase


def test_nan_is_kept():
    """A value that is no number has a place like any other, though it equals nothing."""
    series = StepSeries([(0, math.nan), (1, 1.0)])
    assert math.isnan(series[0])
    assert list(series) == [0, 1]


def test_a_dictionary_of_its_own_is_handed_out():
    """Changing it does not reach the series."""
    series = StepSeries([(0, 1.0)])
    series.to_dict()[1] = 2.0
    assert series == {0: 1.0}


def test_unhashable_steps_are_refused():
    """As a dictionary does."""
    series = StepSeries([(0, 1.0)])
    with pytest.raises(TypeError, match="unhashable"):
        series[[1]] = 1.0
    assert series == {0: 1.0}


class Counting(Stored):
    """The first points of a series, which counts how often somebody reads its chunks."""

    def __init__(self, points):
        self.points, self.reads = points, 0
        self.count, self.last_step, self.last_value = len(points.steps), points.steps[-1], 0.0

    def extremes(self):
        return min(self.points.values), max(self.points.values)

    def chunks(self):
        self.reads += 1
        return [LoadedChunk(self.points)]


@pytest.mark.parametrize("read", [StepSeries.items, StepSeries.values, iter, StepSeries.to_dict])
def test_what_is_stored_is_read_in_its_order(read):
    """Whoever goes through a series finds no value by its step: that took minutes."""
    numbers = array("q", range(1000))
    stored = Counting(Points(numbers, numbers, numbers, array("d", numbers)))
    series = StepSeries.of_stored(stored)
    series[1000] = 1000.0
    assert len([*read(series)]) == 1001
    assert stored.reads == 1
    assert [*series.values()] == [float(step) for step in range(1001)]
    assert 500.0 in series.values()


RESUMED = [*range(100), *range(90, 110)]


@pytest.mark.parametrize(
    ("steps", "values"),
    [
        (range(50), [*range(50)]),
        (range(50), [0, *(step / 7 for step in range(49))]),
        (range(50), [2**53 - 1, -(2**53) + 1] * 25),
        ([step // 3 for step in range(150)], [step / 7 for step in range(150)]),
        (RESUMED, [place / 7 for place, _ in enumerate(RESUMED)]),
        ([*range(20), 5, 5, 7, *range(20)], [place for place, _ in enumerate(range(43))]),
    ],
    ids=["integers", "one integer", "large integers", "repeated", "resumed", "back and forth"],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_numbers_stay_in_columns(steps, values, at_once):
    """They are exact, whether or not a step is logged again, and take no dictionary."""
    series, steps = StepSeries(), [*steps]
    if at_once:
        series.extend(steps, values)
    else:
        for step, value in zip(steps, values, strict=True):
            series[step] = value
    model = dict(zip(steps, values, strict=True))
    points = series.points()
    assert points is not None
    assert [*points.steps] == [*model]
    assert repr([*points.exact_values()]) == repr([*model.values()])
    assert repr(series.extremes()) == repr((min(model.values()), max(model.values())))


@pytest.mark.parametrize(
    ("step", "value"), [(1, 0.5), (0, True), (0, 2**53), (0, "text"), (0.5, 0.5), (2**63, 0.5)]
)
def test_what_does_not_fit_in_columns_makes_a_dictionary(step, value):
    """Such as a step between two others, which comes last in a dictionary."""
    series = StepSeries([(0, 0.5), (2, 1.5)])
    series[step] = value
    assert series.points() is None
    assert [*series.items()] == [*{0: 0.5, 2: 1.5, step: value}.items()]


def test_a_series_knows_whether_a_step_was_logged_again():
    """Some readers want all values of a step, which only the journal has then."""
    once, at_once, twice = StepSeries(), StepSeries(), StepSeries()
    once.extend([0, 1, 2], [0.5, 1.5, 2.5])
    at_once.extend([0, 1, 1], [0.5, 1.5, 2.5])
    for step in (0, 1, 1):
        twice[step] = step / 2
    assert [one.is_rewritten for one in (once, at_once, twice, twice.copy())] == [
        *(False, True, True, True)
    ]
