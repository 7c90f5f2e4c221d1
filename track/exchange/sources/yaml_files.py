"""Read settings in YAML: names and values, and nothing else (the extra ``mlflow``)."""

from __future__ import annotations

from typing import Any

from track.errors import ImportFailed
from track.exchange.optional import load
from track.exchange.source_run import read_text


def read_yaml(path: str) -> dict[str, Any]:
    """Return the names and values in a file of YAML.

    Raises
    ------
    ImportFailed
        it cannot be read, holds something else, or refers to its own parts: a few lines of such
        references stand for any number of values
    MissingPackage
        pyyaml is not installed
    """
    yaml = load("yaml", "mlflow")
    text = read_text(path)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise ImportFailed(f"cannot read {path}: it refers to its own parts (*name)")
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ImportFailed(f"cannot read {path}: {error}") from error
    if not isinstance(values, dict):
        raise ImportFailed(f"cannot read {path}: it does not hold names and values")
    return {str(name): value for name, value in values.items()}
