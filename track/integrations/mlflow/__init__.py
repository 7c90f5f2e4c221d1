"""A tracking store for MLflow: ``mlflow.set_tracking_uri("track+file:/path/report.json")``.

MLflow finds it by the scheme of the URI, which is ``track+`` followed by the URI of a store.
Experiments are stored as projects and runs as trials; whatever else MLflow keeps about them is
stored as tags and metadata.
"""

from __future__ import annotations

from typing import Any

# MLflow loads this module during its own import, so nothing here may import MLflow.


def open_store(store_uri: str, artifact_uri: str | None = None) -> Any:
    """Open a tracking store, see :class:`track.integrations.mlflow.store.TrackStore`."""
    from track.integrations.mlflow.store import TrackStore

    return TrackStore(store_uri, artifact_uri)


def open_registry(store_uri: str, tracking_uri: str | None = None) -> Any:
    """Open the model registry, see :func:`track.integrations.mlflow.places.open_registry`."""
    from track.integrations.mlflow import places

    return places.open_registry(store_uri)
