"""Statistics of streams of observations."""

import copy
import math
import multiprocessing
import pickle
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.programs import run_at_once, run_python
from track.utils import stat
from track.utils.stat import StatStream

ANY_FLOATS = st.lists(st.floats())
CLOSE_FLOATS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200)


def fill(stream: StatStream, values: list[float]) -> StatStream:
    for value in values:
        stream.update(value)
    return stream


def test_documented_numbers() -> None:
    """Ten dropped of 0 to 99 give the numbers that clients rely on."""
    stream = fill(StatStream(10), [float(value) for value in range(100)])
    assert stream.avg == 54.5
    assert (stream.min, stream.max) == (9, 99)
    assert stream.sum == stream.total == 4905
    assert stream.sd == 25.97915831328387
    assert (stream.count, stream.current_count, stream.val) == (90, 100, 99)
    assert (stream.first_obs, stream.drop_obs, stream.current_obs) == (9, 10, 99)


def test_fresh_stream() -> None:
    """Without observations the statistics are those of a neutral start."""
    stream = StatStream()
    assert stream.to_array() == [0.0, math.inf, -math.inf, 0.0, 1]
    assert stream.val == stream.sum == stream.var == stream.sum_sqr == 0.0
    assert stream.drop_obs == 10


def test_dropped_observations_only_count() -> None:
    """Before the last dropped observation nothing but the count and the last value changes."""
    stream = fill(StatStream(3), [5.0, 6.0])
    assert stream.to_array() == StatStream(3).to_array()
    assert (stream.current_count, stream.val) == (2, 6.0)


@pytest.mark.parametrize("drop", [0, 1, 2])
def test_first_recorded_observation(drop: int) -> None:
    """The observation that ends the dropping is origin, minimum and maximum, and no sum."""
    stream = fill(StatStream(drop), [7.0] * max(drop, 1))
    assert stream.to_array() == [7.0, 7.0, 7.0, 0.0, 1]
    assert stream.state_dict()["sum"] == 0.0


def test_negative_drop_is_refused() -> None:
    """A negative number of dropped observations makes no sense."""
    with pytest.raises(ValueError, match="-1"):
        StatStream(-1)


@given(CLOSE_FLOATS)
def test_agrees_with_the_statistics_module(values: list[float]) -> None:
    """With nothing dropped the figures are those of the standard library."""
    stream = fill(StatStream(0), values)
    assert stream.count == len(values)
    assert (stream.min, stream.max) == (min(values), max(values))
    assert stream.avg == pytest.approx(statistics.fmean(values), rel=1e-9, abs=1e-6)
    assert stream.sd == pytest.approx(statistics.pstdev(values), rel=1e-4, abs=1e-2)
    assert stream.total == pytest.approx(math.fsum(values), rel=1e-9, abs=1e-3)


@given(CLOSE_FLOATS, st.integers(1, 20))
def test_mean_is_over_what_follows_the_dropped(values: list[float], drop: int) -> None:
    """The mean is that of the observations after the dropped ones."""
    stream = fill(StatStream(drop), values)
    if len(values) > drop:
        assert stream.avg == pytest.approx(statistics.fmean(values[drop:]), rel=1e-9, abs=1e-6)


@given(ANY_FLOATS, st.integers(0, 5))
def test_every_float_is_accepted(values: list[float], drop: int) -> None:
    """NaN, infinities and the largest numbers neither raise nor make a negative variance."""
    stream = fill(StatStream(drop), values)
    stream.to_dict()
    assert math.isnan(stream.var) or stream.var >= 0


@given(ANY_FLOATS, ANY_FLOATS, st.integers(0, 5))
def test_restored_state_is_the_same_bit_for_bit(
    values: list[float], later: list[float], drop: int
) -> None:
    """A restored, copied or unpickled stream equals its original, now and after more."""
    stream = fill(StatStream(drop), values)
    others = [
        StatStream.from_dict(stream.state_dict()),
        StatStream.from_dict(stream.to_json()),
        copy.deepcopy(stream),
        pickle.loads(pickle.dumps(stream)),
    ]
    assert others == [stream] * 4
    fill(stream, later)
    assert [fill(other, later) for other in others] == [stream] * 4


def test_copies_are_independent() -> None:
    """What a copy observes does not reach the original."""
    stream = StatStream(0)
    fill(copy.deepcopy(stream), [1.0])
    assert stream == StatStream(0)
    assert stream != fill(StatStream(0), [1.0])
    assert stream != StatStream(1)
    assert stream != "stream"


def test_json_forms() -> None:
    """The short form has the statistics, the full form the state, both in stored order."""
    stream = fill(StatStream(0), [1, 3])
    assert stream.to_json(short=True) == stream.to_dict()
    assert list(stream.to_dict().items()) == [
        *(("avg", 2.0), ("min", 1.0), ("max", 3.0)),
        *(("sd", 1.0), ("count", 2), ("unit", "s")),
    ]
    assert list(stream.to_json().items()) == [
        *(("dtype", "statstream"), ("sum", 2.0), ("sum_sqr", 4.0), ("first_obs", 1.0)),
        *(("min", 1.0), ("max", 3.0), ("current_count", 2), ("current_obs", 3.0)),
        ("drop_obs", 0),
    ]
    assert list(stream.state_dict()) == list(stream.to_json())[1:]
    assert repr(stream.to_dict()) in repr(stream)


def test_observations_become_floats() -> None:
    """What can be a float becomes one, so that the state has one form."""
    stream = StatStream(0)
    stream.update(True)
    assert type(stream.val) is float
    assert type(stream.min) is float


def test_struct_layout() -> None:
    """The structure has the documented fields."""
    struct = stat.StatStreamStruct(current_count=3, drop_obs=-(2**40), min=-math.inf)
    assert (struct.current_count, struct.drop_obs, struct.min) == (3, -(2**40), -math.inf)
    assert {name for name, _ in struct._fields_} == set(StatStream().state_dict())
    with pytest.raises(AttributeError, match="Other"):
        _ = stat.Other


def test_import_leaves_shared_memory_alone() -> None:
    """Neither ctypes nor multiprocessing is imported before a shared stream is made."""
    code = (
        "import sys, track.utils.stat; "
        "sys.exit('ctypes' in sys.modules or 'multiprocessing' in sys.modules)"
    )
    run_python(code)


def test_shared_stream_counts_like_any_other() -> None:
    """A shared stream computes what an unshared one does, and its copies are unshared."""
    values = [float(value) for value in range(100)]
    shared = fill(StatStream.shared(10), values)
    plain = fill(StatStream(10), values)
    assert shared == plain
    assert shared.to_json() == plain.to_json()
    copied = copy.deepcopy(shared)
    assert copied == pickle.loads(pickle.dumps(shared)) == plain
    copied.update(1.0)
    assert shared == plain


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_shared_stream_sees_child_processes(method: str) -> None:
    """What children observe, forked or spawned, is in the stream of the parent."""
    stream = StatStream.shared(0)
    stream.update(1.0)
    context = multiprocessing.get_context(method)
    # Typeshed knows the class of each method, and no common one.
    child = context.Process(target=stream.update, args=(4.0,))  # type: ignore[attr-defined]
    child.start()
    child.join()
    assert child.exitcode == 0
    assert stream == fill(StatStream(0), [1.0, 4.0])


def test_shared_stream_loses_no_update() -> None:
    """Processes that update at the same time do not overwrite each other."""
    stream = StatStream.shared(0)
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=lambda: fill(stream, [1.0, 2.0, 3.0, 4.0] * 250)) for _ in range(4)
    ]
    run_at_once(children)
    assert stream.current_count == 4000
    assert stream.total == pytest.approx(10_000)
