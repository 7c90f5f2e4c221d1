"""What goes out of a store, and what comes into one from other tools.

Out: CSV, JSON, JSON lines of events, Parquet, TensorBoard. In: reports of old trackers,
TensorBoard, MLflow. And from one store into another. Packages that only some of it needs are
imported when they are used, and one error names those that are missing.
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
