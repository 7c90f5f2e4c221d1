"""Read settings from YAML files that hold a plain mapping (the extra ``mlflow``)."""

from __future__ import annotations

from typing import Any

from track.errors import ImportFailed
from track.exchange.optional import load
from track.exchange.source_run import read_text


def read_yaml(path: str) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises
    ------
    ImportFailed
        the file cannot be read, is not a mapping, or uses aliases, because a few lines of aliases
        can expand to any number of values
    MissingPackage
        pyyaml is not installed
    """
    yaml = load("yaml", "mlflow")
    text = read_text(path)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise ImportFailed(f"cannot read {path}: aliases (*name) are not supported")
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ImportFailed(f"cannot read {path}: {error}") from error
    if not isinstance(values, dict):
        raise ImportFailed(f"cannot read {path}: it is not a mapping")
    return {str(name): value for name, value in values.items()}
