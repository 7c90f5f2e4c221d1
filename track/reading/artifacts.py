"""Read the artifacts of a store."""

from __future__ import annotations

from typing import Any

from track.attachments.kept_artifacts import KeptArtifact
from track.moment import When, to_moment
from track.projections.artifacts import LATEST, artifacts_in, artifacts_of, find_artifact
from track.reading.lookup import TrialLookup
from track.structure import Trial


class ArtifactReader(TrialLookup):
    """Adds artifacts to a :class:`~track.reader.Reader`."""

    def artifacts(
        self, name: str | None = None, *, trial: str | Trial | None = None, at: When = None
    ) -> list[KeptArtifact]:
        """Return the versions of artifacts, by name and number.

        Parameters
        ----------
        name
            the name of the artifact; by default, all
        trial
            the trial that logged or used them; by default, any
        at
            the time or position of the state to read
        """
        uid = None if trial is None else self.find_uid(trial)
        if at is None:
            with self.protocol.read_state() as objects:
                known = artifacts_in(one.trial for one in objects.known_trials())
        else:
            moment = to_moment(at)
            then = self.protocol.as_of(position=moment.position, at_ns=moment.at_ns)
            known = artifacts_in(one.trial for one in then.known_trials())
        if uid is not None:
            known = artifacts_of(uid, known)
        protocol = self.protocol
        return [
            KeptArtifact(one, protocol.journal, protocol.content)
            for one in known
            if name in (None, one.name)
        ]

    def artifact(self, name: str, version: Any = LATEST, *, at: When = None) -> KeptArtifact:
        """Return a version of an artifact: its files, and the trials that made and used it.

        Parameters
        ----------
        name
            the name of the artifact
        version
            ``latest``, a number such as ``v3``, or a prefix of the SHA-256
        at
            the time or position of the state to read

        Raises
        ------
        ItemNotFound
            the artifact or version does not exist; the message lists the existing ones
        """
        known = {one.facts.sha256 + one.name: one for one in self.artifacts(at=at)}
        found = find_artifact([one.facts for one in known.values()], name, version)
        return known[found.sha256 + found.name]
