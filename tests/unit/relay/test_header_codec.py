"""Errors that travel: the same kind on both sides, and no other name does anything."""

import builtins
import errno
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import loggable
from track import errors
from track.errors import JournalWriteError, RPCCallFailure, TrackError
from track.relay.header_codec import describe, revive
from track.relay.messages import Message, Verb, from_frame, to_frame
from track.utils.handshake import CheckedChannel

OURS = [
    cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, TrackError)
]
PYTHONS = [
    *(AssertionError, AttributeError, IndexError, KeyError, NotImplementedError, OverflowError),
    *(RecursionError, RuntimeError, TypeError, ValueError),
]


def travel(error):
    """Return an error as it arrives on the other side of a connection."""
    frame = to_frame(Message(Verb.FAILED, describe(error)), CheckedChannel())
    return revive(from_frame(frame[4:], CheckedChannel()).header)


@pytest.mark.parametrize("kind", [*OURS, *PYTHONS])
def test_an_error_arrives_as_what_it_was(kind):
    """Each of Track's, and of Python's that a backend is documented to raise."""
    arrived = travel(kind("what happened"))
    assert type(arrived) is kind
    assert arrived.args == ("what happened",)


@pytest.mark.parametrize("kind", [cls for cls in OURS if issubclass(cls, OSError)])
def test_an_error_of_the_system_keeps_its_number(kind):
    """Programs tell a full disk by it."""
    arrived = travel(kind(errno.ENOSPC, "cannot append"))
    assert type(arrived) is kind
    assert (arrived.errno, arrived.strerror) == (errno.ENOSPC, "cannot append")
    assert str(arrived) == str(kind(errno.ENOSPC, "cannot append"))


def test_a_kind_of_its_own_arrives_as_the_nearest_that_is_known():
    """A backend's subclass is caught by whoever catches its base."""

    class Own(JournalWriteError):
        pass

    class Odd(LookupError, ValueError):
        pass

    assert type(travel(Own(errno.EIO, "no"))) is JournalWriteError
    assert type(travel(Odd("no"))) is ValueError


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("no"),
        SystemExit("no"),
        KeyboardInterrupt("no"),
        MemoryError("no"),
        UnicodeError("no"),
        FileNotFoundError(errno.ENOENT, "no"),
        Exception("no"),
    ],
)
def test_other_kinds_arrive_as_a_failure_of_the_call(error):
    """They say what they were, and end no program."""
    arrived = travel(error)
    assert isinstance(arrived, (RPCCallFailure, ValueError))
    assert "no" in str(arrived)
    if type(arrived) is RPCCallFailure:
        assert type(error).__name__ in str(arrived)


def test_an_error_that_pretends_to_be_another_one_is_not():
    """What counts is the class, not what it is called."""

    class ItemNotFound(Exception):
        pass

    class KeyError(Exception):  # noqa: A001 - it pretends
        pass

    for pretender in (ItemNotFound, KeyError):
        arrived = travel(pretender("no"))
        assert type(arrived) is RPCCallFailure
        assert str(arrived) == f"{pretender.__name__}: no"


def test_an_error_says_no_more_than_fits():
    """However much it has to say; and whoever is told that much takes no more of it."""
    assert len(travel(ValueError("x" * 10**6)).args[0]) == 2**14
    assert len(describe(ValueError("🎉" * 10**6))[1].encode()) <= 2**16
    assert len(str(revive(["ValueError", "x" * 10**6, None]))) == 2**14
    assert len(str(revive(["X" * 10**6, "x" * 10**6, None]))) < 2**15


def test_errors_with_odd_texts_travel():
    """Nothing, lone surrogates, no text at all."""
    assert str(travel(ValueError())) == ""
    assert str(travel(ValueError("\udc80"))) == "\udc80"
    assert travel(OSError("no number")).args == ("OSError: no number",)
    assert "None" in str(travel(OSError(None, None)))


NOT_KINDS = [
    *("SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException", "MemoryError"),
    *("eval", "exec", "open", "compile", "__import__", "print", "input", "type", "object"),
    *("os", "sys", "builtins", "errors", "annotations", "Any", "__builtins__", "__loader__"),
    *("__class__", "__dict__", "__name__", "__spec__", "__doc__", "", ".", "errors.TrackError"),
    *("track.errors.TrackError", "OSError", "FileNotFoundError", "Exception", "Warning"),
    *("TrackError\0", " TrackError", "trackerror", "Ｔｒａｃｋ", "ItemNotFound.__init__"),  # noqa: RUF001
    *("StopIteration", "ZeroDivisionError", "DeprecationWarning", "UnicodeDecodeError"),
]


@pytest.mark.parametrize("name", NOT_KINDS)
def test_no_other_name_is_anything(name):
    """Whoever names it gets a failed call, and nothing is looked up, imported or called."""
    before = {*sys.modules}
    arrived = revive([name, "text", 1])
    assert type(arrived) is RPCCallFailure
    assert str(arrived) == f"the server failed: {name}: text"
    assert {*sys.modules} == before


@given(st.sampled_from([*dir(builtins), *dir(errors), *dir(sys)]))
def test_what_comes_out_is_an_exception_of_the_table(name):
    """For every name that anything has here."""
    assert type(revive([name, "text", None])) in {*OURS, *PYTHONS}


@given(st.lists(loggable, max_size=5))
def test_whatever_a_server_says_is_an_error(description):
    """It may be anything, and is never more than an exception of the table."""
    assert type(revive(description)) in {*OURS, *PYTHONS}


@given(st.sampled_from(["ValueError", "JournalWriteError", "LockTimeout"]), loggable, loggable)
def test_odd_texts_and_numbers_do_no_harm(name, text, number):
    """They are left out, or shown."""
    arrived = revive([name, text, number])
    assert type(arrived) in {*OURS, *PYTHONS}
    assert isinstance(str(arrived), str)
