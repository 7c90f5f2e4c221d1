"""DVCLive, without saving experiments of DVC."""

import csv
from pathlib import Path

from dvclive import Live


def record(name, work):
    # No experiment of DVC: it would commit to the Git repository around this folder.
    with Live(f"dvclive/{name}", save_dvc_exp=False) as live:

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
