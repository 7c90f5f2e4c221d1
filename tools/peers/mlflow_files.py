"""MLflow, with its store of plain files, which it keeps for those who ask for it."""

import os

os.environ["MLFLOW_TRACKING_URI"] = "./mlruns"
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"

from peers.mlflow import read, record

__all__ = ["read", "record"]
