"""Convert objects to bytes and back, as a small snapshot that a server sends."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO

from track.projections.objects import Objects
from track.projections.snapshot import pack, unpack_objects
from track.structure import Project, Trial, TrialGroup


def pack_selection(selected: Iterable[Project | TrialGroup | Trial]) -> bytes:
    """Return objects as bytes, projects with their contents.

    Raises
    ------
    Refused
        a value cannot be packed
    """
    objects = Objects()
    for item in selected:
        _add(objects, item)
    return pack_all(objects)


def pack_all(objects: Objects) -> bytes:
    """Return all objects as bytes."""
    return b"".join(pack(objects, _fingerprint))


def unpack_selection(data: bytes) -> Objects:
    """Return the objects that were packed.

    Raises
    ------
    Refused
        the data is damaged, or was packed by another version
    """
    return unpack_objects(BytesIO(data), _fingerprint)


def _fingerprint(position: int) -> bytes:
    return b""


def _add(objects: Objects, item: Project | TrialGroup | Trial) -> None:
    if isinstance(item, Trial):
        if item.uid not in objects.trials:
            objects.add_trial(item)
    elif isinstance(item, TrialGroup):
        objects.groups[item.uid] = item
    else:
        objects.projects[item.uid] = item
        for group in item.groups:
            _add(objects, group)
        for trial in item.trials:
            _add(objects, trial)
