"""Export from stores, import from other tools, and copy stores.

Exports are CSV, JSON, JSON lines of events, Parquet and TensorBoard; imports are reports of old
trackers, TensorBoard and MLflow. Optional packages are imported when they are used; an error names
the extra to install if one is missing.
"""

from track.exchange.copying import Copied, copy_journal, copy_store
from track.exchange.mlflow import read_mlflow
from track.exchange.parquet import export_parquet
from track.exchange.recording import Added, import_projects
from track.exchange.tensorboard import export_tensorboard, read_tensorboard
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
    "copy_journal",
    "copy_store",
    "export_csv",
    "export_events",
    "export_json",
    "export_parquet",
    "export_tensorboard",
    "export_trials_csv",
    "import_projects",
    "read_mlflow",
    "read_report",
    "read_tensorboard",
]
