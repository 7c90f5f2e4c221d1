"""What the programs in `programs` share: what a framework says of its training, and a death.

They are started with a word: `killed` to be killed in the middle, `resumed` to go on from there,
`two`, with two free ports, to train in two processes.
"""

import json
import os
import signal
import sys
from multiprocessing import get_context

MODE = next(iter(sys.argv[1:]), "")
DIES_AT = 3
"""The step after which a program is killed."""


def say(name, step, value):
    """Say what the framework says that it trained; it is recorded at this moment."""
    sys.stdout.write(json.dumps([name, step, float(value)]) + "\n")
    sys.stdout.flush()


def maybe_die(step):
    """End as a machine does that loses its power, if that is asked for."""
    if MODE == "killed" and step == DIES_AT:
        os.kill(os.getpid(), signal.SIGKILL)


def in_two_processes(function, *arguments):
    """Call a function with the number of a process and arguments in two, which know each other."""
    spawn = get_context("spawn")
    workers = [spawn.Process(target=_work, args=(rank, function, arguments)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]


def _work(rank, function, arguments):
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[2],
    )  # fmt: skip
    function(rank, *arguments)
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_initialized():
        # Threads of a group that is still there abort the process now and then when it ends.
        torch.distributed.destroy_process_group()
