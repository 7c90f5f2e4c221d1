"""What forks must not share, and must not break, in real processes."""

import pytest

from tests.programs import run_python


def run(program):
    """Run a program that forks, and says nothing of that; return what it printed."""
    done = run_python(program)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_worker_that_is_terminated_at_once_dies():
    """While the parent runs a trial, too: a signal before the child's first step is not lost."""
    found = run("""
import os, signal
from track import TrackClient

with TrackClient("file:a.json").new_trial():
    for _ in range(40):
        child = os.fork()
        if not child:
            signal.alarm(20)
            while True:
                signal.pause()
        os.kill(child, signal.SIGTERM)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGTERM, status
    print(signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)
print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
""")
    assert found == ["True", "True"]


def test_a_child_does_not_hold_on_to_the_report_that_its_parent_writes():
    """A fork in the middle of a commit: the lock ends with the commit, whatever the child does."""
    found = run("""
import os, threading
from track.utils.files import replacing

inside, leave = threading.Event(), threading.Event()

def write():
    with replacing(os.path.abspath("report"), 0) as file:
        file.write(b"whole")
        inside.set()
        leave.wait(30)
        raise OSError("the disk is full")

def write_and_fail():
    try:
        write()
    except OSError as error:
        print(error, flush=True)

thread = threading.Thread(target=write_and_fail)
thread.start()
inside.wait(30)
wait, done = os.pipe()
child = os.fork()
if not child:
    os.close(done)
    os.read(wait, 1)
    os._exit(0)
leave.set()
thread.join()
with replacing(os.path.abspath("report"), 0) as file:
    file.write(b"next")
os.close(done)
assert os.waitpid(child, 0)[1] == 0
print(open("report").read())
""")
    assert found == ["the disk is full", "next"]


def test_a_killed_writer_of_the_report_leaves_no_lock_to_its_children():
    """The kernel frees its lock, because no child has the file."""
    found = run("""
import os, signal, threading
from track.utils.files import replacing

said, say = os.pipe()
wait, done = os.pipe()
parent = os.fork()
if not parent:
    inside = threading.Event()

    def write():
        with replacing(os.path.abspath("report"), 0):
            inside.set()
            threading.Event().wait(30)

    threading.Thread(target=write).start()
    inside.wait(30)
    if os.fork():
        signal.pause()
    os.write(say, b"x")
    os.close(done)
    os.read(wait, 1)
    os._exit(0)
os.read(said, 1)
os.kill(parent, signal.SIGKILL)
os.waitpid(parent, 0)
with replacing(os.path.abspath("report"), 0) as file:
    file.write(b"next")
print(open("report").read())
""")
    assert found == ["next"]


@pytest.mark.parametrize("leaving", ["raise ValueError", "pass"])
def test_a_child_that_leaves_the_block_of_a_trial_does_not_end_it(leaving):
    """The trial is the parent's, which goes on with it."""
    found = run(f"""
import os
from track import TrackClient

client = TrackClient("file:a.json")
child = None
try:
    with client.new_trial() as trial:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            trial.log_metrics(step=1, loss=0.5)
            print(client.protocol.fetch_trials()[0].status)
        else:
            {leaving}
except ValueError:
    pass
if not child:
    os._exit(0)
(found,) = client.protocol.fetch_trials()
print(found.status, found.errors)
""")
    assert found == ["running", "completed []"]


def test_one_that_cannot_be_renewed_does_not_keep_others_from_it():
    """A child uses what can be used, and the log says what cannot."""
    found = run("""
import logging, os, sys
from track.utils.forking import renew_in_children

logging.basicConfig(stream=sys.stdout, format="%(message)s")

class Owner:
    def __init__(self, name):
        self.name = name
        renew_in_children(self)

    def __repr__(self):
        return self.name

    def renew_after_fork(self):
        if self.name == "broken":
            raise OSError("closed already")
        renewed.append(self.name)

renewed = []
owners = [Owner(name) for name in ("a", "broken", "b")]
if not os.fork():
    print(sorted(renewed), flush=True)
    os._exit(0)
os.wait()
""")
    assert "broken could not be renewed in this forked process" in found
    assert found[-1] == "['a', 'b']"


def test_a_file_that_is_being_closed_is_not_renewed():
    """A fork may come between the last two steps of a finalizer."""
    found = run("""
import os
from track.journals.file_lock import LockedFile

close = os.close

def fork_then_close(fd):
    os.close = close
    close(fd)
    if not os.fork():
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]))

file = LockedFile("journal", 1)
os.close = fork_then_close
del file
""")
    assert found == ["0"]
