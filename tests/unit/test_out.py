"""Streams that remember what was last written."""

import contextlib
import copy
import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from track import TrackClient
from track.utils.out import RingOutputDecorator


def test_print_makes_two_writes() -> None:
    """Text and newline are kept apart, and everything reaches the stream."""
    stream = io.StringIO()
    out = RingOutputDecorator(stream, 10)
    print("a", file=out)
    print("b", "c", file=out, end="", flush=True)
    assert out.raw() == ["a", "\n", "b", " ", "c"] + [""] * ("" in out.raw())
    assert out.output() == stream.getvalue() == "a\nb c"


@given(st.integers(0, 5), st.lists(st.text()))
def test_the_last_writes_are_kept(n: int, texts: list[str]) -> None:
    """All is passed on, the last n writes are kept."""
    stream = io.StringIO()
    out = RingOutputDecorator(stream, n)
    out.writelines(texts)
    assert out.raw() == (texts[-n:] if n else [])
    assert out.output() == "".join(out.raw())
    assert stream.getvalue() == "".join(texts)


def test_write_answers_like_the_stream() -> None:
    """The number of characters comes back, and a failed write is not kept."""
    stream = io.StringIO()
    out = RingOutputDecorator(stream, 3)
    assert out.write("four") == 4
    stream.close()
    with pytest.raises(ValueError):
        out.write("lost")
    assert out.raw() == ["four"]


def test_other_attributes_are_the_streams() -> None:
    """What is not defined here is asked of the stream."""
    stream = io.StringIO()
    out = RingOutputDecorator(stream, 3)
    assert out.isatty() is False
    assert out.getvalue() == ""
    with pytest.raises(AttributeError):
        _ = out.nothing_like_it


def test_it_stands_in_for_stdout() -> None:
    """Redirected output is kept on its way."""
    out = RingOutputDecorator(io.StringIO(), 2)
    with contextlib.redirect_stdout(out):
        print("seen")
    assert out.raw() == ["seen", "\n"]
    assert sys.stdout is not out


def test_copies_work() -> None:
    """A copy keeps what was kept, which asks a half-made object for attributes."""
    out = RingOutputDecorator(io.StringIO(), 2)
    out.write("x")
    assert copy.copy(out).raw() == ["x"]


def test_output_is_captured_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell's ``>&-`` leaves None, to which print writes nothing."""
    monkeypatch.setattr(sys, "stdout", None)
    with TrackClient("memory:").new_trial() as trial:
        trial.capture_output()
        print("seen by nobody", flush=True)
    (stored,) = trial.protocol.fetch_trials()
    assert stored.metadata["stdout"] == "seen by nobody\n"
