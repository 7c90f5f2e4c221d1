"""Neptune, offline.

Its package can upload an offline run, but not read it. So the files of its queue are read here:
they are lines of JSON, one an operation.
"""

import json
from pathlib import Path

import neptune


def record(name, work):
    run = neptune.init_run(project="bench/bench", name=name, mode="offline")

    def log(step, loss, acc):
        run["loss"].append(loss, step=step)
        run["acc"].append(acc, step=step)

    work(log)
    run.stop()


def read():
    return dict(read_run(folder) for folder in Path(".neptune/offline").iterdir())


def read_run(folder):
    name, steps = "", []
    for operation in operations(folder):
        if operation["path"] == ["sys", "name"]:
            name = operation["value"]
        elif operation["path"] == ["loss"]:
            steps.extend(point["step"] for point in operation["values"])
    return name, steps


def operations(folder):
    """Iterate over the operations that are there as a whole."""
    for path in folder.glob("data-*.log"):
        *whole, _cut_short = path.read_text().split("\n")
        for line in whole:
            yield json.loads(line)["obj"]
