"""Processes are recognised, and found dead or alive."""

import builtins
import os
import subprocess
import sys

import pytest

from track.utils.process import ProcessId, is_alive, this_process


def test_this_process_is_alive():
    """Its identity holds what is needed to find it."""
    me = this_process()
    assert me.pid == os.getpid()
    assert me.place
    assert me.started > 0
    assert is_alive(me) is True


def test_another_process_that_got_the_same_number_is_another_one():
    """Numbers are given again; the time of the start tells."""
    me = this_process()
    assert is_alive(me._replace(started=me.started + 1)) is False


def test_a_process_that_ended_is_dead():
    """From the moment it ends, waited for or not."""
    program = (
        "import sys; from track.utils.process import this_process as t; print(*t(), sep='\\n')"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    host, place, pid, started = process.stdout.read().splitlines()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    who = ProcessId(host, place, int(pid), int(started))
    assert is_alive(who) is False
    process.communicate()
    assert is_alive(who) is False


def test_of_other_machines_and_boots_nothing_is_known():
    """The same number means something else there."""
    me = this_process()
    assert is_alive(me._replace(place="another boot")) is None
    assert is_alive(me._replace(place="")) is None


@pytest.mark.parametrize(
    ("refusal", "expected"), [(None, None), (PermissionError, None), (ProcessLookupError, False)]
)
def test_a_process_that_is_hidden_may_still_be_there(monkeypatch, refusal, expected):
    """Where /proc does not show the processes of others, only their absence can be seen."""

    def kill(pid, signal):
        assert signal == 0
        if refusal is not None:
            raise refusal

    def hidden(path, *given, **options):
        if path == f"/proc/{me.pid}/stat":
            raise FileNotFoundError(path)
        return shown(path, *given, **options)

    me, shown = this_process(), open
    monkeypatch.setattr(builtins, "open", hidden)
    monkeypatch.setattr(os, "kill", kill)
    assert is_alive(me) is expected
