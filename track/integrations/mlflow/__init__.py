"""A tracking store for MLflow: ``mlflow.set_tracking_uri("track+file:/path/report.json")``.

MLflow finds it by the scheme of the URI, which is ``track+`` and the URI of a store. Experiments
are projects, runs are trials; what MLflow knows of them beyond that is in tags and metadata.
"""

from track.integrations.mlflow.places import open_registry
from track.integrations.mlflow.store import TrackStore

__all__ = ["TrackStore", "open_registry"]
