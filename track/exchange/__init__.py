"""Export from stores, import from other tools, and copy stores.

Exports are CSV, JSON, JSON lines of events, Parquet and TensorBoard; :class:`Pusher` keeps other
tools up to date; imports are reports of old trackers and the runs of other tools. Optional packages
are imported on first use; an error names the extra to install if one is missing.
"""

from track.exchange.bridges import Pushed, Pusher, open_target
from track.exchange.copying import Copied, copy_journal, copy_store
from track.exchange.parquet import export_parquet
from track.exchange.recording import Added, import_projects
from track.exchange.runs import ImportedRuns, import_runs
from track.exchange.source_run import SourceRun
from track.exchange.sources import read_runs
from track.exchange.tensorboard import export_tensorboard
from track.exchange.text import (
    export_csv,
    export_events,
    export_json,
    export_trials_csv,
    read_report,
)

__all__ = [
    "Added",
    "Copied",
    "ImportedRuns",
    "Pushed",
    "Pusher",
    "SourceRun",
    "copy_journal",
    "copy_store",
    "export_csv",
    "export_events",
    "export_json",
    "export_parquet",
    "export_tensorboard",
    "export_trials_csv",
    "import_projects",
    "import_runs",
    "open_target",
    "read_report",
    "read_runs",
]
