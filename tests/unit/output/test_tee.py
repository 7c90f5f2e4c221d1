"""The program that passes on what is printed."""

import marshal
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from track.output import tee
from track.output.descriptors import PROGRAM


class Running:
    """The program with one source, whose output goes to a file."""

    def __init__(self, folder, limit=2**24):
        self.shown = folder / "shown"
        read, self.source = os.pipe()
        self.reports, reports = os.pipe()
        control, self.control = os.pipe()
        arguments = [sys.executable, "-I", "-S", "-c", PROGRAM, str(Path(tee.__file__).parent)]
        with self.shown.open("wb") as out:
            self.process = subprocess.Popen(
                [*arguments, *map(str, (limit, reports, read, 1, 1))],
                stdin=control,
                stdout=out,
                pass_fds=[reports, read],
            )
        for fd in (read, reports, control):
            os.close(fd)

    def message(self):
        length = os.read(self.reports, tee.LENGTH.size)
        if not length:
            return None
        (size,), data = tee.LENGTH.unpack(length), b""
        while len(data) < size:
            data += os.read(self.reports, size - len(data))
        return marshal.loads(data)

    def close(self):
        """Close what is open, upon which the program ends by itself."""
        for fd in (self.source, self.control, self.reports):
            with suppress(OSError):  # the test closed it already
                os.close(fd)
        assert self.process.wait(60) == 0


@pytest.fixture
def running(tmp_path):
    """Run the program for a test."""
    program = Running(tmp_path)
    yield program
    program.close()


def test_lines_are_reported_without_being_asked(running):
    """After a moment, while a command is answered at once."""
    os.write(running.source, b"one\n")
    done, ((_, source, text),) = running.message()
    assert (done, source, text) == (0, 1, "one\n")
    os.write(running.source, b"two\n")
    os.write(running.control, tee.FLUSH)
    assert running.message()[1][0][2] == "two\n"
    assert running.shown.read_bytes() == b"one\ntwo\n"


def test_a_command_after_the_last_writer_is_answered(running):
    """The program waits for it, however early the source ended."""
    os.write(running.source, b"all\n")
    os.close(running.source)
    assert running.message()[1][0][2] == "all\n"
    os.write(running.control, tee.END)
    assert running.message() == (1, [])
    assert running.message() is None


def test_after_its_end_a_report_says_no_more_but_output_goes_on(running):
    """Until the last writer ends."""
    os.write(running.source, b"reported\n")
    os.write(running.control, tee.END)
    done, lines = running.message()
    assert (done, lines[0][2]) == (1, "reported\n")
    os.write(running.source, b"not reported\n")
    os.close(running.source)
    assert running.message() is None
    assert running.process.wait(60) == 0
    assert running.shown.read_bytes() == b"reported\nnot reported\n"


def test_output_goes_on_when_nobody_listens_any_more(running):
    """Because the process was killed, whose children may print."""
    os.close(running.reports)
    os.close(running.control)
    for _ in range(3):
        os.write(running.source, b"x" * 1000 + b"\n")
    os.close(running.source)
    assert running.process.wait(60) == 0
    assert running.shown.read_bytes() == (b"x" * 1000 + b"\n") * 3
