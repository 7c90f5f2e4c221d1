"""Fixed-size containers of numbers."""

import copy
import math
import pickle
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from track.containers.ring import RingBuffer
from track.containers.types import NUMPY_NAMES, TYPECODES, typecode


@given(st.integers(1, 12), st.lists(st.floats()))
def test_ring_keeps_the_last_n(n: int, values: list[float]) -> None:
    """After any number of appends a ring holds the last n, oldest first, bit for bit."""
    ring = RingBuffer(n, "d")
    for value in values:
        ring.append(value)
    kept = values[-n:]
    assert array("d", ring.to_list()).tobytes() == array("d", kept).tobytes()
    assert array("d", iter(ring)).tobytes() == array("d", kept).tobytes()
    assert len(ring) == len(kept)
    assert repr(ring.last()) == repr(kept[-1] if kept else None)


@given(st.integers(1, 5), st.lists(st.floats()), st.lists(st.floats()))
def test_copies_equal_their_original(n: int, values: list[float], later: list[float]) -> None:
    """A copied or unpickled ring equals the original, now and after more."""
    ring = RingBuffer(n, "float64")
    for value in values:
        ring.append(value)
    others = [copy.deepcopy(ring), pickle.loads(pickle.dumps(ring))]
    for value in later:
        for one in (ring, *others):
            one.append(value)
    assert others == [ring, ring]


def test_equality_is_about_size_kind_and_content() -> None:
    """How a ring came to its content does not matter, the rest does."""
    turned, straight = RingBuffer(2), RingBuffer(2)
    for value in (1, 2, 3):
        turned.append(value)
    for value in (2, 3):
        straight.append(value)
    assert turned == straight
    assert turned != RingBuffer(2)
    assert RingBuffer(2) != RingBuffer(3)
    assert RingBuffer(2, "f") != RingBuffer(2, "d")
    assert RingBuffer(2) != [1.0]
    assert repr(turned) == "RingBuffer([2.0, 3.0], n=2, dtype='f')"


def test_numbers_are_rounded_to_their_kind() -> None:
    """A float32 ring holds float32 numbers."""
    ring = RingBuffer(2)
    ring.append(0.1)
    assert ring.to_list() != [0.1]
    assert math.isclose(ring.last(), 0.1, rel_tol=1e-7)


def test_a_number_that_does_not_fit_changes_nothing() -> None:
    """A refused append leaves the ring as it was."""
    ring = RingBuffer(2, "int8")
    for value in (1, 2, 3):
        ring.append(value)
    with pytest.raises(OverflowError):
        ring.append(1000)
    assert ring.to_list() == [2, 3]


@pytest.mark.parametrize("n", [0, -1])
def test_a_ring_needs_room(n: int) -> None:
    """A ring without room is refused by the number that was given."""
    with pytest.raises(ValueError, match=str(n)):
        RingBuffer(n)


def test_a_large_ring_takes_no_memory_until_it_is_used() -> None:
    """The size comes from events, so a wrong one must not exhaust the memory."""
    ring = RingBuffer(2**60)
    ring.append(1)
    assert ring.to_list() == [1.0]


@pytest.mark.parametrize("dtype", ["float", "u", "", "float128"])
def test_unknown_kinds_are_named(dtype: str) -> None:
    """The message names the kind that was given."""
    with pytest.raises(ValueError, match=repr(dtype)):
        RingBuffer(1, dtype)


def test_every_kind_can_be_held() -> None:
    """Names and codes give arrays, and the names have the size they say."""
    for code in TYPECODES:
        assert typecode(code) == code
        assert RingBuffer(1, code).dtype == code
    for name, code in NUMPY_NAMES.items():
        bits = int("".join(filter(str.isdigit, name)))
        assert array(typecode(name)).itemsize * 8 == bits
        assert RingBuffer(1, name).dtype == code
