"""Describe the code that this process runs: script, uncommitted changes and packages."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
from functools import lru_cache
from hashlib import sha256
from typing import Any

from track.provenance.masking import hide_in_text
from track.versioning import executed_file

logger = logging.getLogger(__name__)

MOST = 2**18
"""The number of bytes to record of a script, and of all changes."""

MOST_NAMES = 1000
"""The number of names of untracked files to record."""

_TIMEOUT_S = 5.0
_MOST_SAID = 8 * MOST
"""The number of bytes of git's output after which the rest is ignored."""

_DIFF = (
    *("-c", "core.quotePath=false", "diff", "HEAD", "--no-color", "--no-ext-diff", "--no-textconv"),
    *("--no-renames", "--src-prefix=a/", "--dst-prefix=b/"),
)
_CHANGED = ("diff", "HEAD", "--name-only", "--no-renames", "-z")
_UNTRACKED = ("ls-files", "--others", "--exclude-standard", "-z")
_NAME, _VERSION = (re.compile(rf"^{key}: *(\S+)", re.MULTILINE) for key in ("Name", "Version"))


def code_of_this_process() -> dict[str, Any]:
    """Return the result of the first call of :func:`gather_code` in this process."""
    return _code_of(os.getpid())


@lru_cache(1)
def _code_of(_pid: int) -> dict[str, Any]:
    return gather_code()


def gather_code() -> dict[str, Any]:
    """Return the script, the uncommitted changes of its repository, and the installed packages.

    Text that looks like a password, a token or a key is masked. No environment variable is read.

    Returns
    -------
    ``script``: its ``name``, ``sha256`` and, up to :data:`MOST` bytes, ``text``. ``root``: the
    folder of the repository. ``diff``: the changes of files since the commit. ``left_out``: the
    names of changed files that are too long for the diff, or binary. ``untracked``: names of
    files. ``packages``: versions by name. Without a script or a repository, its items are missing.
    """
    path = executed_file()
    folder = os.getcwd() if path is None else os.path.dirname(os.path.abspath(path))
    changes = changes_in(folder)
    if not changes:
        logger.debug("no git repository with a commit was found in %s", folder)
    script = {} if path is None else _script(path, changes.get("root", folder))
    return {**script, **changes, "packages": packages()}


def _script(path: str, root: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return {}
    name = os.path.relpath(os.path.realpath(path), os.path.realpath(root))
    found = {
        "name": os.path.basename(path) if name.startswith(os.pardir) else name,
        "sha256": sha256(content).hexdigest(),
    }
    if len(content) <= MOST:
        found["text"] = hide_in_text(content.decode("utf-8", "surrogateescape"))
    return {"script": found}


def changes_in(folder: str) -> dict[str, Any]:
    """Return the differences from the commit of a repository; empty without one."""
    found = _git(folder, "rev-parse", "--show-toplevel")
    if found is None:
        return {}
    root = found.removesuffix("\n")
    diff, changed = _git(root, *_DIFF), _git(root, *_CHANGED)
    if diff is None or changed is None:
        return {}
    kept: list[str] = []
    left_out = changed.split("\0")[:-1]
    room = MOST
    sections = re.split("^(?=diff --git )", diff, flags=re.MULTILINE)[1:]
    if len(diff) == _MOST_SAID:
        del sections[-1:]
    for section in sections:
        name = section.partition("\n")[0].rpartition(" b/")[2]
        is_text = re.search("^(Binary files|GIT binary patch)", section, re.MULTILINE) is None
        if is_text and name in left_out and len(section) <= room:
            kept.append(section)
            left_out.remove(name)
            room -= len(section)
    untracked = (_git(root, *_UNTRACKED) or "").split("\0")[:-1]
    more = {"left_out": left_out[:MOST_NAMES]} if left_out else {}
    return {
        "root": root,
        "diff": hide_in_text("".join(kept)),
        "untracked": untracked[:MOST_NAMES],
        **more,
    }


def _git(folder: str, *arguments: str) -> str | None:
    """Return git's output, cut at :data:`_MOST_SAID`; None if it fails or takes too long."""
    try:
        process = subprocess.Popen(  # noqa: S603 - a constant command, found like any other
            ["git", *arguments],  # noqa: S607 - as the user has it
            cwd=folder,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
    with process:
        assert process.stdout is not None
        alarm = threading.Timer(_TIMEOUT_S, process.kill)
        alarm.start()
        said = process.stdout.read(_MOST_SAID)
        alarm.cancel()
        if len(said) == _MOST_SAID:
            process.kill()
    is_whole = len(said) < _MOST_SAID
    return None if process.returncode and is_whole else said.decode("utf-8", "surrogateescape")


def packages() -> dict[str, str]:
    """Return the versions of the installed packages by name."""
    from importlib.metadata import distributions

    found: dict[str, str] = {}
    for distribution in distributions(path=sys.path):
        # The parser of importlib.metadata takes a hundred times longer for the same two lines.
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        name, version = _NAME.search(text), _VERSION.search(text)
        if name and version:
            found.setdefault(name[1], version[1])
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))
