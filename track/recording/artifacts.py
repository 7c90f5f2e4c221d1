"""Log artifacts: files under a name, with a version for each content."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from track.persistence.protocol import Protocol
from track.structure import Trial

if TYPE_CHECKING:
    from track.attachments.kept_artifacts import KeptArtifact


class ArtifactLogger:
    """Adds artifacts to a :class:`~track.logger.TrialLogger`."""

    trial: Trial
    protocol: Protocol

    def insert(self, parameters: dict[str, Any] | None = None) -> None:
        """Insert the trial if it is still waiting for its arguments."""
        raise NotImplementedError

    def log_artifact(
        self,
        path: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]],
        name: str | None = None,
    ) -> str:
        """Log a file, or all files in a folder, as a version of an artifact.

        Logging the same content again, from any trial, gives the same version; new content gets
        the next one: ``v0``, ``v1``, …

        Parameters
        ----------
        path
            the file, the folder, or a dictionary of files by their names in the artifact, such as
            ``a/b.txt``
        name
            the name of the artifact; by default, that of the file or the folder

        Returns
        -------
        The SHA-256 of the version.

        Raises
        ------
        TrackError
            the name is invalid, the path is neither a file nor a folder with files, a link in the
            folder leads outside of it, or a file cannot be read or changes meanwhile
        """
        self.insert()
        if isinstance(path, Mapping):
            files = {name: os.fspath(place) for name, place in path.items()}
            return self.protocol.log_trial_artifact(self.trial, files, name)
        return self.protocol.log_trial_artifact(self.trial, os.fspath(path), name)

    def use_artifact(self, name: str, version: Any = "latest") -> KeptArtifact:
        """Record that the trial uses a version of an artifact, and return it.

        Call ``save(folder)`` on the result to write its files.

        Parameters
        ----------
        name
            the name of the artifact
        version
            ``latest``, a number such as ``v3``, or a prefix of the SHA-256

        Raises
        ------
        ItemNotFound
            the artifact or version does not exist; the message lists the existing ones
        """
        self.insert()
        return self.protocol.use_trial_artifact(self.trial, name, version)
