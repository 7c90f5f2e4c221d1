"""Log metadata and files of a trial."""

from __future__ import annotations

import os
from typing import Any

from track.errors import TrackError
from track.persistence.protocol import Protocol
from track.versioning import executed_file


class FileLogger:
    """Adds metadata and files to a :class:`~track.logger.TrialLogger`."""

    protocol: Protocol

    def log_metadata(self, values: Any = None, /, aggregator: Any = None, **kwargs: Any) -> None:
        """Log arbitrary data about the trial."""
        raise NotImplementedError

    def log_code(self, path: str | os.PathLike[str] | None = None) -> None:
        """Log the executed file, or another one, as the metadata ``code``.

        Its name, size and SHA-256 are recorded, and its content if the backend keeps files. Without
        a path, the script, the uncommitted changes of its git repository and the installed packages
        are recorded as well, once per process: ``track.open(…).code(trial)``, ``track show --code``
        and ``track checkout`` show them. With the option ``process.code = yes``
        (``TRACK_PROCESS_CODE``), this is done for each trial at its start, without the metadata.

        Raises
        ------
        TrackError
            the program was not started from a file, or the file cannot be read
        """
        from track.attachments.file_facts import file_facts

        if path is None:
            self.protocol.log_process_code()
        source = executed_file() if path is None else os.fspath(path)
        if source is None:
            raise TrackError("the program was not started from a file: pass one to log_code(path)")
        self.log_metadata(code=file_facts(source, self.protocol.keep_content))

    def log_file(self, path: str | os.PathLike[str]) -> None:
        """Log a file as the metadata ``file:<name>``, see :meth:`log_code`.

        Its name is its path relative to the working folder, or its full path if it lies outside.
        ``track.open(…).open_file(trial, name)`` and ``track get`` return its content.
        """
        from track.attachments.file_facts import file_facts

        self._log_facts("file", file_facts(os.fspath(path), self.protocol.keep_content))

    def log_directory(self, path: str | os.PathLike[str]) -> None:
        """Log all files in a folder as the metadata ``directory:<name>``, see :meth:`log_code`.

        The SHA-256 of the folder is computed from the names and hashes of its files.
        """
        from track.attachments.file_facts import directory_facts

        self._log_facts("directory", directory_facts(os.fspath(path), self.protocol.keep_content))

    def _log_facts(self, kind: str, facts: dict[str, Any]) -> None:
        self.log_metadata({f"{kind}:{facts['name']}": facts})
