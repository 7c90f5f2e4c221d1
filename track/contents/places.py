"""Keep contents in an object store or a shared folder that a URL names, through fsspec."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO
from urllib.parse import unquote

from track.contents.files import FileContents
from track.contents.store import (
    PIECE,
    ContentStore,
    Kept,
    check_digest,
    fetched,
    hashed,
    is_digest,
    not_here,
)
from track.errors import BackendError, ItemNotFound
from track.utils.forking import renew_in_children

_WHOLE = frozenset({"abfs", "adl", "az", "gcs", "gs", "memory", "oss", "s3", "s3a"})
"""The schemes of stores in which an object appears only when it is complete."""

_STEP_S = 0.05
"""The longest duration of a step of sending, in seconds."""


def contents_at(place: str, folder: str, earlier: ContentStore) -> ContentStore:
    """Return a content store at a place that the user named.

    Parameters
    ----------
    place
        ``file:///folder`` or the absolute path of a folder that all clients share, or a URL that
        fsspec knows, such as ``s3://bucket/prefix``
    folder
        the name of the folder at that place for this store alone, because a content that is
        erased in one store may still be needed by another
    earlier
        the content store that was used before a place was named

    Raises
    ------
    BackendError
        the place is invalid, or a package for it is missing
    """
    scheme, colon, path = place.partition("://")
    if not colon:
        scheme, path = "file", place
    if scheme == "file":
        path = unquote(path) if colon else path
        if not os.path.isabs(path):
            raise BackendError(
                f"invalid contents={place!r}: give file:///folder, the absolute path of a folder, "
                "or a URL such as s3://bucket/prefix"
            )
        return PlacedContents(FileContents(os.path.join(path, folder)), earlier)
    return PlacedContents(RemoteContents(f"{place.rstrip('/')}/{folder}"), earlier)


class PlacedContents(ContentStore):
    """Keeps contents at a place, and reads those that were kept elsewhere before.

    Parameters
    ----------
    place
        the store for new contents
    earlier
        the store of older contents, which are only read and removed
    """

    def __init__(self, place: ContentStore, earlier: ContentStore) -> None:
        self._place = place
        self._earlier = earlier
        self.questions = place.questions

    def __str__(self) -> str:
        return str(self._place)

    def put(self, source: BinaryIO) -> Kept:
        return self._place.put(source)

    def sending(self, digest: str, source: BinaryIO) -> Iterator[None]:
        # A large upload takes long, and events must not wait for it.
        errors: list[BaseException] = []

        def send() -> None:
            try:
                for _ in self._place.sending(digest, source):
                    pass
            except BaseException as error:  # noqa: BLE001 - it is raised below
                errors.append(error)

        thread = threading.Thread(target=send, name="track contents", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(_STEP_S)
            yield
        if errors:
            raise errors[0]

    def open_unchecked(self, digest: str) -> BinaryIO:
        try:
            return self._place.open_unchecked(digest)
        except ItemNotFound:
            return self._earlier.open_unchecked(digest)

    def missing(self, digests: Iterable[str]) -> set[str]:
        return self._place.missing(self._earlier.missing(digests))

    def digests(self) -> Iterator[str]:
        earlier = {*self._earlier.digests()}
        yield from earlier
        yield from (digest for digest in self._place.digests() if digest not in earlier)

    def remove(self, digests: Iterable[str]) -> set[str]:
        wanted = [*digests]
        return self._place.remove(wanted) | self._earlier.remove(wanted)


class RemoteContents(ContentStore):
    """Keeps contents in a file system of fsspec: ``ab/cdef…`` has the hash ``abcdef…``.

    Parameters
    ----------
    url
        the URL of the folder

    Raises
    ------
    BackendError
        the URL is of an unknown kind, or a package for it is missing
    """

    questions = 8  # each takes a request

    def __init__(self, url: str) -> None:
        self._url = url
        self._scheme = url.partition("://")[0]
        try:
            import fsspec

            fsspec.get_filesystem_class(self._scheme)
        except ImportError as error:
            raise BackendError(
                f"{url!r} needs a package: {error}. To install fsspec itself, run "
                "pip install 'track-journal[files]'"
            ) from error
        except ValueError as error:
            raise BackendError(f"{url!r} cannot hold contents: {error}") from error
        self.renew_after_fork()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        # Many file systems use a thread, which a forked child does not have.
        self._opened: tuple[Any, str] | None = None

    def __str__(self) -> str:
        return self._url

    def _files(self) -> tuple[Any, str]:
        """Return the file system, and the path of the folder in it."""
        if self._opened is None:
            from fsspec.core import url_to_fs

            # A listing would become outdated, because other processes add objects.
            options = {"use_listings_cache": False, "skip_instance_cache": True}
            self._opened = url_to_fs(self._url, **options)
        return self._opened

    def _find(self, digest: str) -> tuple[Any, str]:
        check_digest(digest)
        files, root = self._files()
        return files, f"{root.rstrip('/')}/{digest[:2]}/{digest[2:]}"

    def put(self, source: BinaryIO) -> Kept:
        size, digest = hashed(source)
        files, path = self._find(digest)
        files.makedirs(os.path.dirname(path), exist_ok=True)
        to = path if self._scheme in _WHOLE else f"{path}.{os.urandom(8).hex()}.tmp"
        self._write(files, to, source, size)
        if to != path:
            files.mv(to, path)
        if files.size(path) != size:
            raise OSError(f"{path} does not have the {size} bytes that were written to it")
        return size, digest

    def _write(self, files: Any, path: str, source: BinaryIO, size: int) -> None:
        if size <= PIECE:
            files.pipe_file(path, source.read())
            return
        # After an error, a part of an object that is written piece by piece might remain.
        with _named(source) as local:
            files.put_file(local, path)

    def open_unchecked(self, digest: str) -> BinaryIO:
        files, path = self._find(digest)
        try:
            with files.open(path, "rb") as found:
                return fetched(iter(lambda: found.read(PIECE), b""))
        except FileNotFoundError:
            raise not_here(digest, self) from None

    def missing(self, digests: Iterable[str]) -> set[str]:
        found = set()
        for digest in digests:
            files, path = self._find(digest)
            if not files.exists(path):
                found.add(digest)
        return found

    def digests(self) -> Iterator[str]:
        files, root = self._files()
        for path in files.find(root):
            digest = "".join(path.split("/")[-2:])
            if is_digest(digest):
                yield digest

    def remove(self, digests: Iterable[str]) -> set[str]:
        removed = set()
        for digest in digests:
            files, path = self._find(digest)
            with suppress(FileNotFoundError):
                files.rm_file(path)
                removed.add(digest)
        return removed


@contextmanager
def _named(source: BinaryIO) -> Iterator[str]:
    """Yield the path of a temporary file with the rest of an open file."""
    name = getattr(source, "name", None)
    if isinstance(name, str) and not source.tell():
        yield name
        return
    with NamedTemporaryFile() as copy:
        while piece := source.read(PIECE):
            copy.write(piece)
        copy.flush()
        yield copy.name
