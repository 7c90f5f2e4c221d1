"""Keep the files of a CockroachDB node in a folder that one node at a time uses."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from contextlib import suppress

from track.errors import BackendError
from track.utils.files import flock_within, is_at

logger = logging.getLogger(__name__)

_FOLDER = "cockroach-node"
"""The folder of a node in its location. It is not ``cockroach-data``, the default of nodes that
people start by hand."""

_LOCK_TIMEOUT_S = 0.5
"""The time to wait for a location: a killed node holds its lock for a moment longer."""


class Location:
    """The folder for the data of one node.

    Parameters
    ----------
    path
        the folder, created when it is entered if it is missing

    Raises
    ------
    BackendError
        the path contains a comma
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.realpath(path)
        if "," in self.path:
            raise BackendError(
                f"the location {self.path!r} has a comma, which cockroach cannot have in the "
                "path of a store: choose another"
            )
        self.output = -1
        """The descriptor of the file for the output of the node, while the location is entered."""
        self._is_new = self._made = False

    def of(self, name: str) -> str:
        """Return the path of a file or folder of the node."""
        return os.path.join(self.path, _FOLDER, name)

    def enter(self) -> None:
        """Create the folder, and lock the file in it that receives the node's output.

        The node has the file open, too, so the lock lasts as long as either of the two.

        Raises
        ------
        BackendError
            another node runs there
        OSError
            the location cannot be used
        """
        self._made = not os.path.exists(self.path)
        os.makedirs(self.of(""), exist_ok=True)
        path = self.of("output")
        output = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        if not flock_within(output, _LOCK_TIMEOUT_S) or not is_at(path, os.fstat(output)):
            os.close(output)
            raise BackendError(
                f"another node runs in {self.path} (its process id is in {self.of('pid')}): "
                "stop it, or choose another location"
            )
        self.output = output
        self._is_new = os.listdir(self.of("")) == ["output"]

    def make_folders(self) -> None:
        """Create the node's folders, and remove the files that an earlier node left."""
        os.ftruncate(self.output, 0)
        for name in ("pid", "url"):
            with suppress(FileNotFoundError):
                os.unlink(self.of(name))
        for name in ("store", "temp", "extern", "logs"):
            os.makedirs(self.of(name), exist_ok=True)

    def leave(self, clean: bool) -> None:
        """Release the location for another node.

        Parameters
        ----------
        clean
            remove what is there, unless it existed before the location was entered
        """
        if clean and self._is_new:
            try:
                shutil.rmtree(self.of(""))
            except OSError as error:
                # Only warn: this may be the end of the process, and the node has stopped.
                logger.warning("could not remove the data of the node in %s: %s", self.path, error)
            if self._made:
                with suppress(OSError):  # it has other files in it
                    os.rmdir(self.path)
        elif clean:
            logger.info("%s is kept: it existed before the node was started", self.of(""))
        # A child that was forked meanwhile has the file open, too, so closing would not unlock it.
        fcntl.flock(self.output, fcntl.LOCK_UN)
        os.close(self.output)
        self.output = -1
