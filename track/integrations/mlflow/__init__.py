"""A tracking store for MLflow: ``mlflow.set_tracking_uri("track+file:/path/report.json")``.

MLflow finds it by the scheme of the URI, which is ``track+`` and the URI of a store. Experiments
are projects, runs are trials; what MLflow knows of them beyond that is in tags and metadata.
"""

from __future__ import annotations

from typing import Any

# MLflow loads this module while it is imported itself, so nothing here imports it.


def open_store(store_uri: str, artifact_uri: str | None = None) -> Any:
    """Open a store, see :class:`track.integrations.mlflow.store.TrackStore`."""
    from track.integrations.mlflow.store import TrackStore

    return TrackStore(store_uri, artifact_uri)


def open_registry(store_uri: str, tracking_uri: str | None = None) -> Any:
    """Open its model registry, see :func:`track.integrations.mlflow.places.open_registry`."""
    from track.integrations.mlflow import places

    return places.open_registry(store_uri)
