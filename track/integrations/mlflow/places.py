"""Locations of the artifacts and the model registry, which MLflow keeps outside the store."""

from __future__ import annotations

import os
from typing import Any

from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
from mlflow.utils.file_utils import path_to_local_file_uri

from track.persistence.registry import backend_of
from track.persistence.utils import parse_uri

SCHEME = "track+"


def artifacts_of(uri: str) -> str:
    """Return the URI of the artifact folder, which is next to a store on a local disk."""
    path = _path_of(uri)
    if path is None:
        return str(DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)
    return str(path_to_local_file_uri(f"{path}.artifacts"))


def open_registry(store_uri: str) -> Any:
    """Open the model registry for a store, which is one of MLflow's own databases.

    MLflow's UI cannot show runs without one. For a store on a local disk, the database is a file
    next to it; for others, ``mlflow.db`` in the current folder. Choose another one with
    ``mlflow.set_registry_uri`` or ``mlflow server --registry-store-uri``.
    """
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    path = _path_of(store_uri.removeprefix(SCHEME))
    return SqlAlchemyStore("sqlite:///" + ("mlflow.db" if path is None else f"{path}.models.db"))


def _path_of(uri: str) -> str | None:
    """Return the path of a store, None if it is not on a local disk."""
    return None if backend_of(uri).journal is None else os.path.abspath(parse_uri(uri)["path"])
