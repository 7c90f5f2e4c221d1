"""A lock that a forked child can take, whoever held it in the parent."""

import copy
import pickle
import threading

import pytest

from tests.encryption import run_program
from track.utils.forking import ForkSafeLock


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_it_locks(make):
    """Whoever comes second waits, as long as they like."""
    lock = ForkSafeLock(make)
    taken = []
    with lock:
        thread = threading.Thread(target=lambda: taken.append(lock.acquire(timeout=0.01)))
        thread.start()
        thread.join()
    assert taken == [False]
    assert lock.acquire(blocking=False)
    lock.release()


FORK = """
import os, threading
from track.utils.forking import ForkSafeLock

for make in (threading.Lock, threading.RLock):
    inside, elsewhere = ForkSafeLock(make), ForkSafeLock(make)
    held = threading.Event()
    thread = threading.Thread(target=lambda: (elsewhere.acquire(), held.set()))
    thread.start()
    held.wait()
    with inside:
        child = os.fork()
        with elsewhere if not child else threading.Lock():
            pass
        if not child:
            with inside:
                pass
    if not child:
        assert inside.acquire(blocking=False)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    with inside:
        pass
"""


def test_a_forked_child_can_take_it():
    """Be it held by a thread that the child does not have, or by the one that forked."""
    assert run_program(FORK) == ["0", "0"]


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda lock: pickle.loads(pickle.dumps(lock))])
def test_a_copy_is_free(make, copied):
    """Whoever has the lock that was copied."""
    lock = ForkSafeLock(make)
    with lock:
        other = copied(lock)
        assert other.acquire(blocking=False)
        other.release()
