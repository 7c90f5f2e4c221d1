"""Run the program ``cockroach``."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from track.errors import BackendError

_ENVIRONMENT_OF_FLAGS = frozenset(
    "COCKROACH_" + name
    for name in (
        *("URL", "HOST", "PORT", "SOCKET", "USER", "DATABASE"),
        *("INSECURE", "CERTS_DIR", "CERT_PRINCIPAL_MAP"),
    )
)
"""The variables that give commands another server, or other certificates, than their flags do."""

_NO_TELEMETRY = {"COCKROACH_SKIP_ENABLING_DIAGNOSTIC_REPORTING": "true"}


def find_program() -> str:
    """Return the path of ``cockroach``.

    Raises
    ------
    BackendError
        it is not on the PATH
    """
    program = shutil.which("cockroach")
    if program is None:
        raise BackendError(
            "the program 'cockroach' is not on the PATH: install CockroachDB, see "
            "https://www.cockroachlabs.com/docs/releases"
        )
    return program


def spawn(
    arguments: Sequence[str], output: int, *, telemetry: bool = False
) -> subprocess.Popen[bytes]:
    """Start ``cockroach`` with its output in a file, so that it never waits for a reader.

    Parameters
    ----------
    arguments
        the command and its flags
    output
        the descriptor of the file for its output
    telemetry
        whether a new cluster reports to the makers of CockroachDB

    Raises
    ------
    BackendError
        it is not on the PATH, or cannot be run
    """
    program = find_program()
    try:
        return subprocess.Popen(  # noqa: S603 - an argument list, nothing interprets it
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment() | ({} if telemetry else _NO_TELEMETRY),
            # An interrupt from the keyboard is for the script, which still needs its database.
            start_new_session=True,
        )
    except OSError as error:
        raise BackendError(f"{program} cannot be run: {error}; install it again") from error


def set_license(key: str, flags: Sequence[str], within_s: float) -> None:
    """Give a cluster a license, which may be the one that it has.

    Parameters
    ----------
    key
        the license
    flags
        the flags that name a server and how to log in there
    within_s
        the time to wait for the server in seconds

    Raises
    ------
    BackendError
        the cluster does not accept it
    """
    # Not in an argument, which every user of the machine could read.
    statement = "SET CLUSTER SETTING enterprise.license = '{}';\n".format(key.replace("'", "''"))
    try:
        done = subprocess.run(  # noqa: S603 - an argument list, nothing interprets it
            [find_program(), "sql", *flags],
            input=statement,
            capture_output=True,
            text=True,
            errors="replace",
            env=_environment(),
            timeout=within_s,
            check=False,
        )
        said, failed = done.stdout + done.stderr, done.returncode != 0
    except subprocess.TimeoutExpired:
        said, failed = f"no answer within {within_s:g} s", True
    if failed:
        words = " ".join(said.replace(key, "…").split())
        raise BackendError(
            f"the cluster did not accept the license ({words}): check license_key, or the option "
            "cockroach.license (TRACK_COCKROACH_LICENSE)"
        )


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _ENVIRONMENT_OF_FLAGS}
