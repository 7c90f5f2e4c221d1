"""Describe this process: its command, its code and its machine."""

from __future__ import annotations

import os
import platform
import re
import sys
from functools import lru_cache
from typing import Any

from track.provenance.masking import hide_secrets
from track.versioning import executed_file

ENVIRONMENT = (
    "CONDA_DEFAULT_ENV",
    "CUDA_VISIBLE_DEVICES",
    "LOCAL_RANK",
    "OMP_NUM_THREADS",
    "PYTHONHASHSEED",
    "RANK",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_JOB_ID",
    "SLURM_PROCID",
    "SLURM_RESTART_COUNT",
    "VIRTUAL_ENV",
    "WORLD_SIZE",
)
"""The environment variables to record; others may hold secrets."""

_GIT = ("git", "status", "--porcelain=v2", "--branch", "--untracked-files=no")
_GIT_TIMEOUT_S = 2.0
_COMMIT = "# branch.oid "


def facts_of_this_process() -> dict[str, Any]:
    """Return the result of the first call of :func:`gather_facts` in this process."""
    return _facts_of(os.getpid())


@lru_cache(1)
def _facts_of(_pid: int) -> dict[str, Any]:
    # Git takes some milliseconds, and a program may have a client for each of many trials.
    return gather_facts()


def gather_facts() -> dict[str, Any]:
    """Return the command, the folder, the versions, the git commit and some of the environment.

    Arguments that look like passwords, tokens or keys are masked.
    """
    return {
        "command": hide_secrets(sys.orig_argv),
        "directory": os.getcwd(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        **git_facts(_folder_of_the_code()),
    }


def git_facts(folder: str) -> dict[str, Any]:
    """Return the commit of a folder, and whether tracked files were modified.

    Returns
    -------
    ``commit`` and ``modified``; empty without git, a repository or a commit.
    """
    import subprocess

    try:
        output = subprocess.run(  # noqa: S603 - a constant command, found like any other program
            _GIT,
            cwd=folder,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_TIMEOUT_S,
            check=True,
            text=True,
            errors="replace",
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    lines = output.splitlines()
    commit = next((line[len(_COMMIT) :] for line in lines if line.startswith(_COMMIT)), "")
    if not re.fullmatch("[0-9a-f]{40,64}", commit):
        return {}
    return {"commit": commit, "modified": any(not line.startswith("#") for line in lines)}


def _folder_of_the_code() -> str:
    path = executed_file()
    return os.getcwd() if path is None else os.path.dirname(os.path.abspath(path))
