"""Parse, write and look up paths, which name values in queries, lists, plots and exports.

``parameters.lr`` is the key ``lr`` of the parameters. Any name can be quoted, in brackets and as in
JSON: ``metrics["loss<0.1"]``. A name with a dot may also be written without quotes
(``metrics.val.acc``); if there is an ``acc`` in a ``val``, too, the longer name is meant. A number
is a step of a curve or an index of a list: ``metrics.loss.3``, ``metrics.loss.-1``.

This is the only rule for quoting, wherever a path is taken or shown: :func:`parse_path` reads it,
:func:`write_path` writes it, and :func:`look_up` takes a quoted name for exactly that name first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from track.aggregators.aggregator import Aggregator
from track.containers.series import StepSeries
from track.errors import QueryError

BRACKETS = r"""\[(?:"(?:[^"\\]|\\.)*"|'[^']*'|-?[0-9]+)\]"""
"""A regular expression for a key in brackets."""

_BRACKETS = re.compile(f"({BRACKETS})")
_PLAIN = re.compile(r"""[^\s.,\[\]"'=!<>~]+""")
"""A name that needs no quotes, if all its characters are printable."""

_INTEGER = re.compile("-?[0-9]{1,20}")
_FLOAT = re.compile(r"-?[0-9]{1,20}\.[0-9]{1,20}(?:e[+-]?[0-9]{1,3})?")

_MOST_JOINED = 32
"""The most keys that are joined to one name, which limits the cost of queries."""

_SECTIONS = ("parameters", "metrics", "metadata", "tags", "chronos")
_BY_STEP = ("metrics", "chronos")
"""The sections whose names are followed by steps or statistics, not by names."""

_HINTS = 3
_LISTED = 8


class Key(NamedTuple):
    """One key of a path: its name, and the text as written, with its dot or brackets."""

    text: str
    written: str


def parse_path(text: str) -> tuple[Key, ...]:
    """Split a path into its keys; the first one is an attribute."""
    first, *others = _BRACKETS.split(text)
    keys = _split(first)
    for brackets, plain in zip(others[::2], others[1::2], strict=True):
        keys.append(Key(_unquoted(brackets[1:-1]), brackets))
        if plain:
            keys.extend(_split(plain.removeprefix(".")))
    return tuple(keys)


def _split(text: str) -> list[Key]:
    return [Key(name, f".{name}") for name in text.split(".")]


def _unquoted(text: str) -> str:
    if text[0] == "'":
        return text[1:-1]
    try:
        return str(json.loads(text))
    except ValueError as error:
        raise QueryError(f"invalid quoted key [{text}]: {error}") from error


def write_path(*names: Any) -> str:
    """Join an attribute and names into a path, and quote the names that need it."""
    first, *others = map(str, names)
    return "".join((first, *map(_written, others)))


def _written(name: str) -> str:
    if _PLAIN.fullmatch(name) and name.isprintable():
        return f".{name}"
    # Escape what a terminal cannot show, so that a path can be copied from it.
    shown = (c if c.isprintable() and c not in '"\\' else json.dumps(c)[1:-1] for c in name)
    return f'["{"".join(shown)}"]'


def look_up(value: Any, keys: Sequence[Key]) -> tuple[bool, Any]:
    """Return whether a value exists at a path below another value, and that value."""
    if not keys:
        return True, value
    value = _opened(value)
    if isinstance(value, list):
        place = _as_number(keys[0].text)
        if isinstance(place, int) and -len(value) <= place < len(value):
            return look_up(value[place], keys[1:])
    elif isinstance(value, Mapping):
        for name, others in names_in(value, keys):
            found = look_up(value[name], others)
            if found[0]:
                return found
    return False, None


def names_in(value: Collection[Any], keys: Sequence[Key]) -> Iterator[tuple[Any, Sequence[Key]]]:
    """Yield the existing names that a path may begin with, each with the remaining keys.

    Dots and brackets may be part of a name, so longer names come first, except that a key in
    brackets stands for exactly that name.
    """
    lengths = [len(keys), *range(min(len(keys) - 1, _MOST_JOINED), 0, -1)]
    if keys[0].written.startswith("["):
        lengths.insert(0, 1)
    for length in dict.fromkeys(lengths):
        joined = "".join(key.written for key in keys[:length]).removeprefix(".")
        text = keys[0].text if length == 1 else joined
        for name in dict.fromkeys((text, _as_number(text), joined)):
            if name in value:
                yield name, keys[length:]


def _opened(value: Any) -> Any:
    """Return statistics and summaries as mappings, and other values as they are."""
    if isinstance(value, Aggregator):
        return value.to_json(short=True)
    return value._asdict() if hasattr(value, "_asdict") else value


def _as_number(text: str) -> Any:
    """Convert a key to a number if it is written as one, as most steps are."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


# Known paths and suggestions


def is_known(path: str, items: Collection[Any]) -> bool:
    """Return whether any of the objects has a value at a path, apart from steps not reached yet."""
    first, *keys = parse_path(path)
    return any(_leads_on(getattr(item, first.text, None), keys) for item in items)


def _leads_on(value: Any, keys: Sequence[Key]) -> bool:
    if look_up(value, keys)[0]:
        return value is not None or bool(keys)
    befores = (look_up(value, keys[:end])[1] for end in range(1, len(keys)))
    return any(isinstance(before, (list, StepSeries)) for before in befores)


def leaves(value: Any, *names: Any) -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of everything nested in a value."""
    if isinstance(value, Mapping) and value and not isinstance(value, StepSeries):
        for name, item in value.items():
            yield from leaves(item, *names, name)
    else:
        yield write_path(*names), value


def paths_of(items: Iterable[Any], sections: Iterable[str] = _SECTIONS) -> list[str]:
    """Return the sorted paths of all named values in some sections of objects."""
    paths = set[str]()
    for section in sections:
        names = set[Any]()
        for item in items:
            values = getattr(item, section, None) or {}
            names.update(values)
            if section not in _BY_STEP:
                nested = {key: value for key, value in values.items() if isinstance(value, Mapping)}
                names.difference_update(nested)
                paths.update(path for path, _ in leaves(nested, section) if nested)
        paths.update(write_path(section, name) for name in names if str(name)[:1] != "_")
    return sorted(paths)


def did_you_mean(names: Sequence[str]) -> str:
    """Return a question that suggests one or several names."""
    *others, last = names
    return f"did you mean {', '.join(others)} or {last}?" if others else f"did you mean {last}?"


def hint(path: str, items: Collection[Any]) -> str:
    """Return a suggestion for a path that none of the objects has."""
    from difflib import get_close_matches

    name, *names = (key.text for key in parse_path(path))
    rest = ".".join(names)
    known = {found: tail for item in items for found, tail in _paths_of(item)}
    attributes = [*dict.fromkeys(key for item in items for key in vars(item) if key[0] != "_")]
    beside = (
        {path: tail for path, tail in known.items() if path.startswith(name)} if rest else known
    )
    near = get_close_matches(rest or path, beside.values())
    similar = [found for found, tail in known.items() if tail in (rest, path)]
    if not similar:
        similar += [found for found, tail in beside.items() if tail in near]
        similar += [] if rest else get_close_matches(path, attributes)
    if similar:
        return did_you_mean([*dict.fromkeys(similar)][:_HINTS])
    choice = [*beside][:_LISTED] if rest and beside else attributes
    return f"use one of {', '.join([*choice, '…'] if 0 < len(choice) < len(beside) else choice)}"


def _paths_of(item: Any) -> Iterator[tuple[str, str]]:
    """Yield the paths of the named values of an object, and their names without quotes."""
    for section in _SECTIONS:
        values = getattr(item, section, None) or {}
        if section in _BY_STEP:
            values = dict.fromkeys(values)
        for path, _ in leaves(values, section):
            if path != section:
                yield path, ".".join(key.text for key in parse_path(path)[1:])
