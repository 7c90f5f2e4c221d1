"""Weights & Biases, offline.

Its package has a viewer for terminals and an upload, but nothing that gives an offline run back to
Python. So the frames of the file (those of LevelDB's log) are taken apart here, and what is in
them is parsed by the messages of the package.
"""

from pathlib import Path

import wandb
from wandb.proto.wandb_internal_pb2 import Record

FILE_HEADER, BLOCK, FRAME_HEADER = 7, 32768, 7
FULL, LAST = 1, 4


def record(name, work):
    run = wandb.init(project="bench", name=name, mode="offline")

    def log(step, loss, acc):
        run.log({"loss": loss, "acc": acc}, step=step)

    work(log)
    run.finish()


def read():
    return dict(read_run(path) for path in Path("wandb").glob("offline-run-*/*.wandb"))


def read_run(path):
    name, steps = "", []
    for data in frames(path.read_bytes()):
        record = Record.FromString(data)
        if record.HasField("run"):
            name = record.run.display_name
        elif record.HasField("history"):
            keys = {item.key or item.nested_key[0] for item in record.history.item}
            if "loss" in keys:
                steps.append(record.history.step.num)
    return name, steps


def frames(data):
    """Iterate over the records that are there as a whole."""
    start, parts = FILE_HEADER, b""
    while start + FRAME_HEADER <= len(data):
        if BLOCK - start % BLOCK < FRAME_HEADER:
            start += BLOCK - start % BLOCK
            continue
        length = int.from_bytes(data[start + 4 : start + 6], "little")
        kind = data[start + 6]
        start += FRAME_HEADER
        if start + length > len(data):
            return
        parts += data[start : start + length]
        start += length
        if kind in {FULL, LAST}:
            yield parts
            parts = b""
