"""Imports of optional packages on first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from track.errors import MissingPackage


def load(module: str, extra: str) -> Any:
    """Import a module of an optional package.

    Parameters
    ----------
    module
        the full name of the module
    extra
        the extra of Track that installs its package

    Raises
    ------
    MissingPackage
        the package is not installed
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingPackage(
            f"this needs the package {package}: pip install 'track-journal[{extra}]'"
        ) from error
