"""Lines of what is printed, and which of them a limit leaves."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from track.output.lines import DAY_NS, EVERY_NS, LONGEST, MOST_AT_THE_END, Lines

PLENTY = 2**24
S = 10**9


def taken(lines, now=1, *, is_last=True):
    return lines.take(now, is_last=is_last)


def texts(found):
    return [text for _, _, text in found]


PLAIN = st.binary(max_size=300).map(lambda printed: re.sub(rb"[\r\x1b]", b"", printed))


@given(PLAIN, st.data())
def test_nothing_is_lost_below_the_limit(printed, data):
    """However it is cut into pieces, and whenever lines are taken."""
    lines, found, place, now = Lines(PLENTY, 0), [], 0, 0
    while place < len(printed):
        size = data.draw(st.integers(1, 40))
        lines.feed(1, printed[place : place + size], now)
        place += size
        now += 20 * S
        if data.draw(st.booleans()):
            found += taken(lines, now, is_last=False)
    found += taken(lines, now + 20 * S)
    whole = [text for text in texts(found) if text.endswith("\n")]
    *ended, rest = printed.split(b"\n")
    assert whole == [line.decode("utf-8", "backslashreplace") + "\n" for line in ended]
    unfinished = [text for text in texts(found[-1:]) if not text.endswith("\n")]
    assert unfinished in ([], [rest.decode("utf-8", "backslashreplace")])


def test_times_and_sources_are_kept():
    """Sources have lines of their own, even if their pieces take turns."""
    lines = Lines(PLENTY, 0)
    for at, source, data in ((1, 1, b"a"), (2, 2, b"x"), (3, 1, b"b\nc"), (4, 2, b"y\n")):
        lines.feed(source, data, at)
    assert taken(lines, 5) == [[3, 1, "ab\n"], [4, 2, "xy\n"], [5, 1, "c"]]


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b"a\rb\rc\n", ["c\n"]),
        (b"windows\r\n", ["windows\n"]),
        (b"\r 10%|#   |\r 50%|##  |\r100%|####|\n", ["100%|####|\n"]),
        (b"100%\r    \rdone\n", ["done\n"]),
        (b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07x\n", ["red x\n"]),
        (b"one\ntwo\n\x1b[2K\x1b[1A\x1b[2Knew\n", ["one\n", "new\n"]),
        (b"old\x1b[2Knew\n", ["new\n"]),
        ("é日\n".encode() + b"\xff\n", ["é日\n", "\\xff\n"]),
        (b"\n\n", ["\n", "\n"]),
    ],
)
def test_a_terminal_shows_the_same(printed, shown):
    """Of progress bars the last state, of colours none; also when it comes byte by byte."""
    lines = Lines(PLENTY, 0)
    lines.feed(1, printed, 0)
    assert texts(taken(lines)) == shown
    for byte in printed:
        lines.feed(1, bytes([byte]), 0)
    assert texts(taken(lines, 2)) == shown


def test_a_bar_is_recorded_now_and_then():
    """And once more at the end, unless nothing changed."""
    lines, found = Lines(PLENTY, 0), []
    for second in range(25):
        lines.feed(2, b"\r%d s" % second, second * S)
        found += taken(lines, (second + 11) * S, is_last=False)
    assert texts(found) == ["0 s", "10 s", "20 s"]
    assert texts(taken(lines, 36 * S)) == ["24 s"]
    assert texts(taken(lines, 99 * S)) == []


def test_a_long_line_is_cut():
    """Whether it comes at once or in pieces, with the number of bytes that are missing."""
    for pieces in (1, 5):
        lines = Lines(PLENTY, 0)
        for _ in range(pieces):
            lines.feed(1, b"x" * (5 * LONGEST // pieces), 0)
        lines.feed(1, b"\nnext\n", 0)
        cut, following = texts(taken(lines))
        assert cut == "x" * LONGEST + f" [and {4 * LONGEST} more bytes]\n"
        assert following == "next\n"


def test_beyond_the_limit_first_and_last_lines_remain():
    """In between are as many as are said to be left out."""
    lines = Lines(2 * MOST_AT_THE_END, 0)
    for number in range(100_000):
        lines.feed(1, b"line %d\n" % number, number)
    found = taken(lines, 100_000)
    (gap,) = [index for index, (_, _, text) in enumerate(found) if isinstance(text, int)]
    assert texts(found[:gap]) == [f"line {n}\n" for n in range(gap)]
    after = len(found) - gap - 1
    assert texts(found[gap + 1 :]) == [f"line {n}\n" for n in range(100_000 - after, 100_000)]
    assert gap + found[gap][2] + after == 100_000
    size = sum(16 + len(text) for text in texts(found) if isinstance(text, str))
    assert 2 * MOST_AT_THE_END - 100 < size < 2 * MOST_AT_THE_END + len(found)
    assert found[gap - 1][0] < found[gap][0] < found[gap + 1][0]


def test_a_program_that_prints_for_days_is_limited_and_heard():
    """Some of its latest lines are recorded every few seconds, and every line is accounted for."""
    limit, printed, found, now = MOST_AT_THE_END, 0, [], 0
    lines = Lines(limit, 0)
    while now < 2 * DAY_NS:
        now += 1800 * S
        for _ in range(2000):
            printed += 1
            lines.feed(1, b"line %06d\n" % printed, now)
        batch = taken(lines, now, is_last=False)
        assert batch[-1][2] == f"line {printed:06d}\n"
        found += batch
    found += taken(lines, now + 1)
    kept = [text for text in texts(found) if isinstance(text, str)]
    left_out = sum(text for text in texts(found) if isinstance(text, int))
    assert len(kept) + left_out == printed
    assert sum(map(len, kept)) <= 3 * limit + MOST_AT_THE_END
    assert kept == sorted(kept)


def test_beyond_the_limit_lines_wait_for_others():
    """So that what is recorded of them is in one piece."""
    lines = Lines(1000, 0)
    lines.feed(1, b"x" * 900 + b"\n", 0)
    assert len(taken(lines, 0, is_last=False)) == 1
    lines.feed(1, b"y" * 900 + b"\n", 1)
    assert taken(lines, 2, is_last=False) == []
    assert taken(lines, EVERY_NS + 1, is_last=False) == [[1, 0, 1]]
    lines.feed(1, b"z" * 900 + b"\n", 3)
    assert texts(taken(lines, EVERY_NS + 2)) == ["z" * 900 + "\n"]
