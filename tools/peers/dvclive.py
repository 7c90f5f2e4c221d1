"""DVCLive, in a folder that is no DVC repository."""

import csv
from pathlib import Path

from dvclive import Live


def record(name, work):
    with Live(f"dvclive/{name}") as live:

        def log(step, loss, acc):
            live.log_metric("loss", loss)
            live.log_metric("acc", acc)
            live.next_step()

        work(log)


def read():
    found = {}
    for path in Path("dvclive").glob("*/plots/metrics/loss.tsv"):
        with path.open() as lines:
            rows = csv.DictReader(lines, delimiter="\t")
            found[path.parts[1]] = [int(row["step"]) for row in rows if row["loss"]]
    return found
