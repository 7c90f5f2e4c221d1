"""Read artifacts: the files of a version, checked against the hashes that were logged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import BinaryIO

from track.attachments.logged_files import LoggedFile, find_file, open_content, path_inside
from track.contents.store import ContentStore
from track.errors import FileDamaged, ItemNotFound, TrackError
from track.events.codec import TAG, decode
from track.events.types import CATALOGUE, ArtifactLogged
from track.journals.journal import Journal
from track.projections import artifacts
from track.projections.artifacts import digest_of
from track.projections.trials import stream_of
from track.utils.files import replacing
from track.versioning import file_hash

_TAG = bytes([CATALOGUE[ArtifactLogged].tag])
_TIMEOUT_S = 30.0


class KeptArtifact:
    """Gives access to the files of a version of an artifact.

    Parameters
    ----------
    facts
        the version; its attributes are also attributes of this object
    journal, content
        the journal and the contents of the store
    """

    def __init__(
        self, facts: artifacts.Artifact, journal: Journal, content: ContentStore | None
    ) -> None:
        self.facts = facts
        self.name, self.version, self.sha256 = facts.name, facts.version, facts.sha256
        self.size, self.length, self.at = facts.size, facts.length, facts.at
        self.is_latest, self.made_by, self.used_by = facts.is_latest, facts.made_by, facts.used_by
        self._journal = journal
        self._content = content

    def __repr__(self) -> str:
        return f"KeptArtifact({self.name}:{self.version}, {self.sha256[:12]})"

    def files(self) -> list[LoggedFile]:
        """Return the files in the order of their names.

        Raises
        ------
        ItemNotFound
            the event that lists them cannot be read
        FileDamaged
            the list differs from what was logged
        """
        for batch in self._journal.read_stream(stream_of(self.made_by[0])):
            for position, payload in zip(*batch, strict=True):
                if payload[TAG] != _TAG:
                    continue
                event = decode(position, payload).event
                if not isinstance(event, ArtifactLogged):
                    continue
                if (event.name, event.sha256) == (self.name, self.sha256):
                    if digest_of(event.files) != self.sha256:
                        raise FileDamaged(f"the list of files of {self!r} is not what was logged")
                    return [
                        LoggedFile(name, facts["size"], facts["sha256"], "artifact")
                        for name, facts in sorted(event.files.items())
                    ]
        raise ItemNotFound(f"the event with the files of {self!r} cannot be read")

    def open(self, file: str | LoggedFile) -> BinaryIO:
        """Open a file to read its bytes, given its name, the end of its name, or a hash.

        Raises
        ------
        ItemNotFound
            the file does not exist, or its content was not kept
        FileDamaged
            the kept content differs from what was logged
        """
        found = file if isinstance(file, LoggedFile) else find_file(self.files(), file)
        return open_content(self._content, found)

    def save(
        self,
        folder: str | os.PathLike[str] = os.curdir,
        files: Sequence[LoggedFile] | None = None,
        *,
        force: bool = False,
    ) -> list[str]:
        """Write the files to a folder, and return their paths.

        Parameters
        ----------
        folder
            the folder, created if missing
        files
            a selection from :meth:`files`; by default, all
        force
            overwrite existing files

        Raises
        ------
        TrackError
            a file exists with different content, or its name would lead out of the folder
        ItemNotFound, FileDamaged
            as for :meth:`open`
        """
        files = self.files() if files is None else files
        os.makedirs(folder, exist_ok=True)
        paths = [path_inside(os.fspath(folder), file.name) for file in files]
        for file, path in zip(files, paths, strict=True):
            if os.path.lexists(path) and not force and not _holds(path, file):
                raise TrackError(
                    f"{path} already exists with different content: choose another folder, or "
                    "overwrite it (force=True, --force)"
                )
        for file, path in zip(files, paths, strict=True):
            with self.open(file) as content:
                os.makedirs(os.path.dirname(path) or os.curdir, exist_ok=True)
                with replacing(path, _TIMEOUT_S, durably=False) as target:
                    shutil.copyfileobj(content, target)
        return paths


def _holds(path: str, file: LoggedFile) -> bool:
    """Return whether a path is a file with the same content as a logged file."""
    return os.path.isfile(path) and file_hash(path) == file.sha256
