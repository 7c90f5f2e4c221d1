"""Errors and empty results in the form that MLflow's own stores return."""

from __future__ import annotations

from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
)
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking import SEARCH_MAX_RESULTS_THRESHOLD


def invalid(message: str) -> Exception:
    """Return the exception for an invalid value."""
    found: Exception = MlflowException(message, INVALID_PARAMETER_VALUE)
    return found


def missing(message: str) -> Exception:
    """Return the exception for something that does not exist."""
    found: Exception = MlflowException(message, RESOURCE_DOES_NOT_EXIST)
    return found


def exists(message: str) -> Exception:
    """Return the exception for something that already exists."""
    found: Exception = MlflowException(message, RESOURCE_ALREADY_EXISTS)
    return found


def check_max_results(max_results: int) -> None:
    """Raise an exception if a page would be empty or too long."""
    if max_results < 1:
        raise invalid(f"Invalid value {max_results} for max_results: it must be at least 1")
    if max_results > SEARCH_MAX_RESULTS_THRESHOLD:
        raise invalid(
            f"Invalid value {max_results} for max_results: "
            f"it must be at most {SEARCH_MAX_RESULTS_THRESHOLD}"
        )


def no_page(*_: Any, **__: Any) -> Any:
    """Return an empty page."""
    return PagedList([], None)


def no_traces(*_: Any, **__: Any) -> tuple[list[Any], None]:
    """Return an empty page of traces, without a token for a next one."""
    return [], None


def no_items(*_: Any, **__: Any) -> list[Any]:
    """Return an empty list."""
    return []
