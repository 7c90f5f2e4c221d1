"""Wait for file locks, and replace files as a whole."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from track.errors import LockTimeout, UnsupportedFileSystem
from track.utils.forking import renew_in_children
from track.utils.mounts import LACKING, unsupported

_NO_LINKS = LACKING | {errno.EPERM, errno.EMLINK}
"""What a file system without hard links says."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.0002, 0.001


def flock_within(fd: int, timeout_s: float) -> bool:
    """Take the exclusive lock of an open file, and return whether that succeeded in time.

    Parameters
    ----------
    fd
        the open file; the kernel frees the lock when its last descriptor is closed
    timeout_s
        the time to wait in seconds
    """
    if _try_flock(fd):
        return True
    deadline = time.monotonic() + timeout_s
    pause = _FIRST_PAUSE_S
    while time.monotonic() < deadline:
        time.sleep(pause)
        if _try_flock(fd):
            return True
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)
    return False


def _try_flock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in LACKING:
            raise unsupported(_path_of(fd), "file locks (flock)", error) from error
        raise
    return True


def _path_of(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return f"/dev/fd/{fd}"


def sync_folder(path: str) -> None:
    """Sync the folder of a file, so that its name is as durable as its content.

    Some file systems cannot, and keep names as they see fit.
    """
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in LACKING:
            raise
    finally:
        os.close(folder)


def link(path: str, to: str) -> None:
    """Give a file a second name, which must be new.

    Raises
    ------
    FileExistsError
        there is a file of that name
    UnsupportedFileSystem
        the file system has no hard links
    """
    try:
        os.link(path, to)
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise unsupported(path, "hard links (link)", error) from error
        raise


def link_or_copy(path: str, to: str) -> None:
    """Give a file a second name, which must be new, or copy it where there are no hard links.

    Raises
    ------
    FileExistsError
        there is a file of that name
    """
    try:
        link(path, to)
    except UnsupportedFileSystem:
        with open(path, "rb") as source, open(to, "xb") as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())


@contextmanager
def fresh_path(path: str) -> Iterator[str]:
    """Give a unique path beside another one, and remove the file there at the end.

    The name is random, since processes on several machines or in containers may share a folder and
    a process id. A file created there gets the mode of the umask, as all files of a store do.

    Parameters
    ----------
    path
        the beginning of the new path
    """
    fresh = f"{path}.{os.urandom(8).hex()}.tmp"
    try:
        yield fresh
    finally:
        with suppress(FileNotFoundError):
            os.unlink(fresh)


def keep_mode(file: str | int, replaced: str) -> None:
    """Give a file, by path or descriptor, the mode of the file that it will replace, if any."""
    with suppress(FileNotFoundError):
        os.chmod(file, os.stat(replaced).st_mode & 0o7777)


def _replace(path: str, target: str) -> None:
    try:
        os.replace(path, target)
    except OSError as error:
        if error.errno in LACKING:
            raise unsupported(target, "replacing of files (rename)", error) from error
        raise


@contextmanager
def replacing(
    path: str,
    timeout_s: float,
    *,
    encoding: str | None = None,
    durably: bool = True,
    private: bool = False,
    unless_done: bool = False,
) -> Iterator[Any]:
    """Give a file that replaces another one as a whole if the block ends without an error.

    Only one process at a time is inside for a path. The mode of the replaced file is kept.

    Parameters
    ----------
    path
        the file to replace or create
    timeout_s
        the time in seconds to wait for another process that is inside
    encoding
        the encoding of a text file, None for a binary file
    durably
        sync the content before replacing the file
    private
        make the content readable by its owner only, at every instant
    unless_done
        give None, and replace nothing, if another process that entered its block after this call
        began has replaced the file: it knew everything that this process knows

    Raises
    ------
    LockTimeout
        another process stayed inside for too long
    UnsupportedFileSystem
        the file system cannot replace files
    OSError
        writing failed, because the disk is full, say; the old file is unchanged
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.tmp")
    done = path if unless_done else None
    with _locked(temporary, timeout_s, encoding, done) as locked:
        if locked is None:
            yield None
            return
        # The locked file may have been created, and be open, elsewhere.
        file, written = _private(folder, name, encoding) if private else (locked, temporary)
        try:
            yield file
            file.flush()
            if durably:
                os.fsync(file.fileno())
            keep_mode(file.fileno(), path)
            _replace(written, path)
        except BaseException:
            os.unlink(written)
            raise
        finally:
            if private:
                file.close()
                os.unlink(temporary)


def _private(folder: str, name: str, encoding: str | None) -> tuple[Any, str]:
    """Create a file that no one else can have open, and return it and its path."""
    import tempfile

    fd, path = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    return open(fd, "wb" if encoding is None else "w", encoding=encoding), path


@contextmanager
def _locked(
    path: str, timeout_s: float, encoding: str | None, done: str | None = None
) -> Iterator[Any]:
    """Open a file for writing under its lock, and empty what a killed writer left.

    It gives None once a file that another process opened after this call began is found at the path
    ``done``.
    """
    mode = "r+b" if encoding is None else "r+"
    is_first = True
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        with open(fd, mode, encoding=encoding) as file, Unshared(fd):
            if not flock_within(fd, timeout_s):
                raise LockTimeout(
                    f"another process has been writing {path} for over {timeout_s:g} s: it is "
                    "stopped or stuck; resume or kill it and try again"
                )
            if is_at(path, os.fstat(fd)):
                file.truncate()
                yield file
                return
            # Another process replaced the file while this one waited. The first such process may
            # have begun before this call, so only a second replacement counts.
            if done is not None and not is_first and is_at(done, os.fstat(fd)):
                yield None
                return
            is_first = False


class Unshared:
    """Keeps a forked child from holding a file open, and with it its lock.

    Parameters
    ----------
    fd
        the open file
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> None:
        renew_in_children(self)

    def __exit__(self, *_: object) -> None:
        self._fd = -1

    def renew_after_fork(self) -> None:
        if self._fd >= 0:
            detach_fd(self._fd)


def detach_fd(fd: int) -> None:
    """Make a descriptor that a forked child inherited refer to ``/dev/null``.

    The child can then no longer use the parent's file by accident, and the file is closed once the
    parent is gone.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, fd, inheritable=False)
    os.close(nothing)


def is_at(path: str, file: os.stat_result) -> bool:
    """Return whether a path still names a file that was opened there."""
    try:
        return os.path.samestat(os.stat(path), file)
    except FileNotFoundError:
        return False
