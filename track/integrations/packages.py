"""Import the frameworks that the integrations are for."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from track.errors import MissingPackage


def need(*modules: str, names: Iterable[str] = (), install: str) -> Any:
    """Import a module of a framework: of several with one purpose, one that is in use already.

    Parameters
    ----------
    modules
        their full names
    names
        what has to be in it
    install
        what to install if there is none

    Raises
    ------
    MissingPackage
        none can be imported, or has what is needed
    """
    packages = [module.partition(".")[0] for module in modules]
    by_use = sorted(modules, key=lambda module: module.partition(".")[0] not in sys.modules)
    cause: ImportError | None = None
    for module in by_use:
        try:
            found = import_module(module)
        except ImportError as error:  # noqa: PERF203 - there are two at most
            cause = cause or error
        else:
            lacking = [f"{module}.{name}" for name in names if not hasattr(found, name)]
            if not lacking:
                return found
            cause = cause or ImportError(f"the installed version has no {', '.join(lacking)}")
    raise MissingPackage(
        f"this needs {' or '.join(dict.fromkeys(packages))}: "
        f"pip install --upgrade {install} ({cause})"
    ) from cause
