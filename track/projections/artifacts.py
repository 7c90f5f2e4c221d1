"""Derive artifacts and their versions from what trials logged and used.

Each trial keeps in its metadata which artifacts it logged and used. The versions of an artifact are
its different contents, numbered in the order of the journal, so numbers need no decision and never
change: an erased trial still counts, because the hashes are left.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from track.errors import ItemNotFound, TrackError
from track.events.codec import stream_id
from track.events.types import ArtifactLogged, ArtifactUsed, Recorded
from track.structure import Trial

ARTIFACTS = "_artifacts"
"""The key of the entries in the metadata of a trial, which the storage maintains."""

LATEST = "latest"
"""The version that was logged last."""

_NAME = re.compile(r"\w[\w.+@-]{0,127}")
_NUMBER = re.compile("v?(0|[1-9][0-9]{0,8})")
_FEWEST_DIGITS = 4
"""The least length of a SHA-256 prefix."""


_LOGGED, _USED = 0, 1


class _Entry(NamedTuple):
    """Holds an artifact that a trial logged or used, as kept in its metadata."""

    kind: int
    artifact: int
    name: str
    sha256: str
    size: int
    files: int
    at: int
    position: int


class Artifact(NamedTuple):
    """Describes a version of an artifact: files that were logged under a name.

    Attributes
    ----------
    name, version
        the name, and the number of the version with a ``v``: ``v0`` is the first one
    sha256
        the hash of the names and hashes of its files
    size, length
        the total size of its files in bytes, and their number
    at
        when it was first logged, in nanoseconds since 1970-01-01 UTC
    is_latest
        whether this version was logged last
    made_by, used_by
        the uids of the trials that logged it, and that used it
    """

    name: str
    version: str
    sha256: str
    size: int
    length: int
    at: int
    is_latest: bool
    made_by: list[str]
    used_by: list[str]


def check_name(name: Any) -> str:
    """Return the name of an artifact.

    Raises
    ------
    TrackError
        the name is invalid: names are parts of paths and of commands
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise TrackError(
            f"invalid name {name!r} of an artifact: use up to 128 letters, digits and _ . + @ -, "
            "beginning with a letter or digit"
        )
    return name


def id_of(name: str) -> int:
    """Return the number that identifies an artifact whose name was erased."""
    return stream_id("artifact", name)


def digest_of(files: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the SHA-256 of the sorted lines ``<hash>  <name>`` of files, as in sha256sum."""
    lines = "".join(f"{files[name]['sha256']}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()


# Folds


def with_logged(
    metadata: Mapping[str, Any], recorded: Recorded, event: ArtifactLogged
) -> list[Any]:
    """Return the entries of a trial after it logged an artifact."""
    sizes = [facts["size"] for facts in event.files.values()]
    what = event.artifact, str(event.name), str(event.sha256), sum(sizes), len(sizes)
    return _with(metadata, _Entry(_LOGGED, *what, recorded.at, recorded.position))


def with_used(metadata: Mapping[str, Any], recorded: Recorded, event: ArtifactUsed) -> list[Any]:
    """Return the entries of a trial after it used an artifact."""
    what = id_of(event.name), event.name, str(event.sha256), 0, 0
    return _with(metadata, _Entry(_USED, *what, recorded.at, recorded.position))


def _with(metadata: Mapping[str, Any], entry: _Entry) -> list[Any]:
    known = metadata.get(ARTIFACTS)
    kept = [one for one in known if isinstance(one, list)] if isinstance(known, list) else []
    what = [entry.kind, entry.artifact]
    # Search from the end, since a loop may log thousands of versions.
    last = [*islice((n for n in range(len(kept) - 1, -1, -1) if kept[n][:2] == what), 2)]
    repeats = [kept[n][3:4] == [entry.sha256] for n in last]
    # The first entry gives a version its number, and the last one makes it the latest. A loop that
    # logs the same content repeatedly adds no more entries.
    if repeats == [True, True] or (repeats[:1] == [True] and entry.kind == _USED):
        del kept[last[0]]
    return [*kept, [*entry]]


def erased(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of an erased trial, in which only hashes are left."""
    left = [
        [*one._replace(name="", size=0, files=0)]
        for one in _entries(metadata)
        if one.kind == _LOGGED
    ]
    return {ARTIFACTS: left} if left else {}


def _entries(metadata: Mapping[str, Any]) -> Iterator[_Entry]:
    """Yield the valid entries, since a client may write anything into the metadata of a trial."""
    kept = metadata.get(ARTIFACTS)
    types = int, int, str, str, int, int, int, int
    for one in kept if isinstance(kept, list) else ():
        if isinstance(one, list) and [*map(type, one)] == [*types]:
            yield _Entry(*one)


# Questions


def artifacts_in(trials: Iterable[Trial]) -> list[Artifact]:
    """Return all versions of all artifacts, by name and number."""
    entries = [(entry, trial.uid) for trial in trials for entry in _entries(trial.metadata)]
    entries.sort(key=lambda one: one[0].position)
    made: dict[int, dict[str, list[tuple[_Entry, str]]]] = {}
    used: dict[tuple[int, str], list[str]] = {}
    latest: dict[int, str] = {}
    for entry, uid in entries:
        if entry.kind == _USED:
            used.setdefault((entry.artifact, entry.sha256), []).append(uid)
        else:
            made.setdefault(entry.artifact, {}).setdefault(entry.sha256, []).append((entry, uid))
            if entry.name:
                latest[entry.artifact] = entry.sha256
    found = []
    for artifact, versions in made.items():
        for number, (digest, loggings) in enumerate(versions.items()):
            there = [(entry, uid) for entry, uid in loggings if entry.name]
            if there:
                entry = there[0][0]
                makers = [*dict.fromkeys(uid for _, uid in there)]
                users = [*dict.fromkeys(used.get((artifact, digest), []))]
                what = digest, entry.size, entry.files, entry.at, latest[artifact] == digest
                found.append(Artifact(entry.name, f"v{number}", *what, makers, users))
    return sorted(found, key=lambda one: one.name)


def artifacts_of(uid: str, known: Iterable[Artifact]) -> list[Artifact]:
    """Return the known artifacts that a trial logged or used."""
    return [one for one in known if uid in one.made_by or uid in one.used_by]


def find_artifact(known: Sequence[Artifact], name: str, version: Any = LATEST) -> Artifact:
    """Find a version of an artifact.

    Parameters
    ----------
    known
        all artifacts
    name
        the name
    version
        ``latest``, a number with or without a ``v``, or a prefix of the SHA-256

    Raises
    ------
    ItemNotFound
        no artifact, or no or several versions match; the message lists the existing ones
    """
    versions = [one for one in known if one.name == name]
    if not versions:
        names = ", ".join(dict.fromkeys(one.name for one in known)) or "none"
        raise ItemNotFound(f"no artifact {name!r}; existing artifacts: {names}")
    text = str(version)
    found = [one for one in versions if text == LATEST and one.is_latest]
    if not found and (number := _NUMBER.fullmatch(text)):
        found = [one for one in versions if one.version == f"v{int(number[1])}"]
    if not found and len(text) >= _FEWEST_DIGITS:
        found = [one for one in versions if one.sha256.startswith(text)]
    if len(found) != 1:
        there = ", ".join(f"{one.version} ({one.sha256[:12]})" for one in versions)
        raise ItemNotFound(f"no version {text!r} of the artifact {name!r}; existing: {there}")
    return found[0]
