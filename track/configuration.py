"""Read options from the environment, else from ``track.config``, else take a default.

``track.config`` is a JSON object in the working directory, or beside the package. The option
``log.backend`` is written there as ``{"log.backend": ...}`` or ``{"log": {"backend": ...}}``, and
in the environment as ``TRACK_LOG_BACKEND``.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any, Final

from track.errors import BackendError, TrackError

FILE_NAME: Final = "track.config"

_BESIDE_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class _None:
    """The type of the value of an unset option, which differs from null in a file."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "none"

    def __reduce__(self) -> str:
        return "none"  # copies and pickles are the same object, so `is` works


none: Final = _None()

_files: dict[tuple[str, int, int], dict[str, Any]] = {}
"""The contents of files by path, modification time and size."""


def options(key: str, default: Any = none) -> Any:
    """Return the value of an option.

    Parameters
    ----------
    key
        the name of the option, with dots
    default
        the value if the option is not set

    Returns
    -------
    Any
        a str from the environment, else the value in the file, else the default; without a default
        the sentinel :data:`none`, which is false

    Raises
    ------
    TrackError
        a ``track.config`` exists but cannot be read
    """
    from_environment = os.environ.get(_variable(key))
    if from_environment is not None:
        return from_environment
    for path in _paths():
        value = _look_up(_read(path), key)
        if value is not none:
            return value
    return default


def choose(key: str, *words: str) -> str:
    """Return the value of an option that must be one of some words; the first one is the default.

    Raises
    ------
    BackendError
        the option has another value
    """
    value = options(key, words[0])
    if value not in words:
        raise BackendError(f"{key} ({_variable(key)}) is {value!r}: use {' or '.join(words)}")
    return str(value)


def number(key: str, default: float) -> float:
    """Return the value of an option that must be a number.

    Raises
    ------
    BackendError
        the option has another value
    """
    value = options(key, default)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BackendError(
            f"{key} ({_variable(key)}) is {value!r}: give a number, such as {default:g}"
        ) from None


def _variable(key: str) -> str:
    return "TRACK_" + key.upper().replace(".", "_")


def reset_configuration() -> None:
    """Forget the contents of configuration files, so that they are read again."""
    _files.clear()


def _paths() -> list[str]:
    paths = [os.path.join(_BESIDE_PACKAGE, FILE_NAME)]
    with suppress(FileNotFoundError):  # the working directory may have been deleted
        paths.insert(0, os.path.abspath(FILE_NAME))
    return paths


def _read(path: str) -> dict[str, Any]:
    try:
        stat = os.stat(path)
        version = path, stat.st_mtime_ns, stat.st_size
        if version not in _files:
            with open(path, encoding="utf-8") as file:
                _files[version] = _parse(path, file.read())
        return _files[version]
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise TrackError(f"{path} cannot be read ({error}): correct or remove it") from error


def _parse(path: str, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise TrackError(f"{path} is not JSON ({error}): correct or remove it") from error
    if not isinstance(content, dict):
        raise TrackError(f"{path} does not hold a JSON object: correct or remove it")
    return content


def _look_up(content: dict[str, Any], key: str) -> Any:
    if key in content:
        return content[key]
    value: Any = content
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return none
        value = value[part]
    return value
