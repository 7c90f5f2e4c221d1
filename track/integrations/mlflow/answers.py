"""Errors and empty results in the form that MLflow's own stores return."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
)
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking import SEARCH_MAX_RESULTS_THRESHOLD

_Error = Callable[[str], Exception]

invalid: _Error = partial(MlflowException, error_code=INVALID_PARAMETER_VALUE)
missing: _Error = partial(MlflowException, error_code=RESOURCE_DOES_NOT_EXIST)
exists: _Error = partial(MlflowException, error_code=RESOURCE_ALREADY_EXISTS)


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
