"""Handlers that notice signals and hand them on, in real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import track
from track.utils.signal import SignalHandler

PRELUDE = """
import os, signal, sys, threading
from track.utils.signal import SignalHandler

class Noisy(SignalHandler):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def sigint(self, signum, frame):
        say(self.name, "int")
        self.hand_on(signum, frame)

    def sigterm(self, signum, frame):
        say(self.name, "term")
        self.hand_on(signum, frame)

    def atexit(self):
        say(self.name, "exit")

def say(*words):
    print(*words, flush=True)

def kill(signum):
    os.kill(os.getpid(), signum)
"""


def run(script: str) -> tuple[list[str], int]:
    """Return the lines a script printed and its exit status, negative for a signal."""
    environment = {**os.environ, "PYTHONPATH": str(Path(track.__file__).parents[1])}
    program = [sys.executable, "-c", PRELUDE + script]
    done = subprocess.run(
        program, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.splitlines(), done.returncode


def test_sigterm_still_ends_the_process() -> None:
    """The handler acts, then the process dies as if it had not been there."""
    lines, status = run("Noisy('a').install(); kill(signal.SIGTERM); say('alive')")
    assert lines == ["a term"]
    assert status == -signal.SIGTERM


def test_sigint_still_interrupts() -> None:
    """The handler acts, then the interrupt can be caught as ever."""
    lines, status = run("""
Noisy('a').install()
try:
    kill(signal.SIGINT)
except KeyboardInterrupt:
    say('interrupted')
""")
    assert lines == ["a int", "interrupted", "a exit"]
    assert status == 0


def test_default_sigint_ends_the_process() -> None:
    """Where an interrupt kills, it kills."""
    lines, status = run("""
signal.signal(signal.SIGINT, signal.SIG_DFL)
Noisy('a').install()
kill(signal.SIGINT)
""")
    assert (lines, status) == (["a int"], -signal.SIGINT)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_handlers_chain(name: str) -> None:
    """The last installed acts first, and everybody before it acts after it, once."""
    lines, status = run(f"""
signal.signal(signal.{name}, lambda signum, frame: say('user', signum))
Noisy('a').install()
Noisy('b').install()
Noisy('c').install()
kill(signal.{name})
say('alive')
""")
    word = name.removeprefix("SIG").lower()
    number = int(getattr(signal, name))
    heard = [f"c {word}", f"b {word}", f"a {word}", f"user {number}", "alive"]
    assert lines == [*heard, "c exit", "b exit", "a exit"]
    assert status == 0


def test_ignored_signals_stay_ignored() -> None:
    """A signal that ends nothing, as in a background job of a shell, is not taken."""
    lines, status = run("""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
Noisy('a').install()
kill(signal.SIGTERM)
say(signal.getsignal(signal.SIGTERM) == signal.SIG_IGN)
""")
    assert (lines, status) == (["True", "a exit"], 0)


def test_remove_puts_everything_back() -> None:
    """After removal it is as before the installation, the end of the process included."""
    lines, status = run("""
before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
handler = Noisy('a')
handler.remove()
handler.install()
handler.install()
handler.remove()
handler.remove()
say(before == [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)])
""")
    assert (lines, status) == (["True"], 0)


def test_remove_leaves_later_handlers_alone() -> None:
    """A handler that came later keeps the signal, and the removed one only passes it on."""
    lines, status = run("""
first, second = Noisy('a'), Noisy('b')
first.install()
second.install()
first.remove()
kill(signal.SIGTERM)
""")
    assert (lines, status) == (["b term"], -signal.SIGTERM)


def test_installing_again_makes_no_loop() -> None:
    """Removed from the middle and installed again, each handler still acts once."""
    lines, status = run("""
first, second = Noisy('a'), Noisy('b')
first.install()
second.install()
first.remove()
first.install()
kill(signal.SIGTERM)
""")
    assert (lines, status) == (["a term", "b term"], -signal.SIGTERM)


def test_a_wrapping_handler_is_kept() -> None:
    """A handler of the user that calls the one before it stays installed."""
    lines, status = run("""
signal.signal(signal.SIGTERM, lambda signum, frame: say('old'))
Noisy('a').install()
before = signal.getsignal(signal.SIGTERM)
def wrapper(signum, frame):
    say('wrapper')
    before(signum, frame)
signal.signal(signal.SIGTERM, wrapper)
kill(signal.SIGTERM)
kill(signal.SIGTERM)
os._exit(0)
""")
    assert lines == ["wrapper", "a term", "old", "wrapper", "old"]
    assert status == 0


def test_a_forked_child_never_acts() -> None:
    """A child dies of the signal, or ends, without the handler of its parent acting."""
    lines, status = run("""
Noisy('a').install()
for end in (lambda: kill(signal.SIGTERM), sys.exit):
    child = os.fork()
    if not child:
        end()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    say('child', status)
""")
    assert lines == ["child -15", "child 0", "a exit"]
    assert status == 0


def test_a_child_can_install_again() -> None:
    """The handler of a child acts there, once, and then hands on past that of the parent."""
    lines, status = run("""
handler = Noisy('a')
handler.install()
if not os.fork():
    handler.name = 'child'
    handler.install()
    sys.exit()
os.wait()
""")
    assert (lines, status) == (["child exit", "a exit"], 0)


def test_outside_the_main_thread() -> None:
    """There signals cannot be had: they are left as they are, and the end is still noticed."""
    lines, status = run("""
def work():
    handler = Noisy('a')
    handler.install()
    say(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
thread = threading.Thread(target=work)
thread.start()
thread.join()
""")
    assert (lines, status) == (["True", "a exit"], 0)


def test_removed_outside_the_main_thread() -> None:
    """A handler removed there stays where it is, silent, and passes the signal on."""
    lines, status = run("""
handler = Noisy('a')
handler.install()
thread = threading.Thread(target=handler.remove)
thread.start()
thread.join()
kill(signal.SIGTERM)
""")
    assert (lines, status) == ([], -signal.SIGTERM)


def test_the_base_hands_everything_on() -> None:
    """What a subclass does not override has no effect of its own."""
    lines, status = run("""
SignalHandler().install()
try:
    kill(signal.SIGINT)
except KeyboardInterrupt:
    say('interrupted')
kill(signal.SIGTERM)
""")
    assert (lines, status) == (["interrupted"], -signal.SIGTERM)


def test_handing_on_without_a_signal_to_hand_on() -> None:
    """A handler that is not installed has nobody to hand a signal to."""
    SignalHandler().hand_on(signal.SIGTERM, None)
    SignalHandler().atexit()
