"""Searches for regular expressions that have an end."""

import multiprocessing
import re
import threading

import pytest

from track.utils.expressions import Expression, search

PATIENCE_S = 30
ENDLESS = Expression("^(a+)+$"), "a" * 40 + "!"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^lr-0", "lr-0.3"),
        ("lr.*3$", "lr-0.3\n"),
        ("(?i)LR", "lr"),
        ("(?!debug)^run", "run-3"),
        (r"(\w)\1", "hello"),
        (r"\w+é", "café"),
        ("x{e}", "x{e}"),
        ("[[]", "["),
        ("a*" * 6 + "b", "a" * 30 + "b"),
        ("\udc80+", "\udc80"),
        (b"a(b)", b"ab"),
    ],
)
def test_expressions_are_those_of_re(pattern, text):
    """What is found here, or in another process, is what re finds."""
    assert search(Expression(pattern), text, PATIENCE_S)
    assert not search(Expression(pattern), text[:0], PATIENCE_S)


def test_flags_count():
    """A compiled expression has some."""
    assert search(Expression("a.b", re.IGNORECASE | re.DOTALL), "A\nB", PATIENCE_S)


@pytest.mark.parametrize("pattern", ["(", "[", "a**", "(" * 2000 + ")" * 2000, r"\y", "(?P<a>"])
def test_what_is_no_expression_is_an_error(pattern):
    """Whoever notices it."""
    with pytest.raises(ValueError):
        search(Expression(pattern), "text", PATIENCE_S)


def test_bytes_and_text_are_not_mixed():
    """Not even by a process that would not mind."""
    with pytest.raises(TypeError):
        search(Expression("a"), b"a", PATIENCE_S)


@pytest.mark.parametrize(
    "expression",
    [
        ENDLESS[0],
        Expression("(a|a)*$"),
        Expression("(a{1,9}){1,9}" * 9 + "b"),
        Expression(r"(.+)+\1$"),
    ],
)
def test_a_search_has_an_end(expression):
    """And the next one works."""
    with pytest.raises(TimeoutError):
        search(expression, ENDLESS[1] * 9, 0.3)
    assert search(Expression("^(a|b)+$"), "abab", PATIENCE_S)


def test_memory_has_an_end():
    """The process that searches gives up, and no other one suffers."""
    with pytest.raises(ValueError, match="MemoryError"):
        search(Expression("(a|b)*[c-d]"), "a" * 2**24, PATIENCE_S)


def test_other_threads_run_meanwhile():
    """The lock of the interpreter is free while something is searched for."""
    began = threading.Event()
    errors = []

    def hopeless():
        began.set()
        try:
            search(*ENDLESS, 2.0)
        except TimeoutError as error:
            errors.append(error)

    thread = threading.Thread(target=hopeless)
    thread.start()
    assert began.wait(PATIENCE_S)
    steps = 0
    while thread.is_alive():
        steps += 1
    thread.join()
    assert errors
    assert steps > 1000


def test_a_forked_child_searches_by_itself():
    """It does not read answers that its parent waits for."""
    assert search(Expression("(a)"), "a", PATIENCE_S)
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_search_often)
    child.start()
    _search_often()
    child.join(PATIENCE_S)
    assert child.exitcode == 0


def _search_often():
    for index in range(200):
        assert search(Expression(f"^({index}|x)$"), str(index), PATIENCE_S)
        assert not search(Expression(f"^({index}|x)$"), "y", PATIENCE_S)
