"""Imports of the frameworks that Track integrates with."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from track.errors import MissingPackage


def need(*modules: str, names: Iterable[str] = (), install: str) -> Any:
    """Import a framework's module; of several alternatives, prefer one that is already in use.

    Parameters
    ----------
    modules
        the full names of the alternatives
    names
        names that the module must define
    install
        what to install if none of them is available

    Raises
    ------
    MissingPackage
        none can be imported, or none defines the required names
    """
    packages = [module.partition(".")[0] for module in modules]
    by_use = sorted(modules, key=lambda module: module.partition(".")[0] not in sys.modules)
    cause: ImportError | None = None
    for module in by_use:
        try:
            found = import_module(module)
        except ImportError as error:  # noqa: PERF203 - there are at most two
            cause = cause or error
        else:
            lacking = [f"{module}.{name}" for name in names if not hasattr(found, name)]
            if not lacking:
                return found
            cause = cause or ImportError(f"the installed version lacks {', '.join(lacking)}")
    raise MissingPackage(
        f"this needs {' or '.join(dict.fromkeys(packages))}: "
        f"pip install --upgrade {install} ({cause})"
    ) from cause
