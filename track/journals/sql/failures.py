"""Explain the errors of the database driver, and say what to do about them."""

from __future__ import annotations

import errno
import re

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import TransactionRollbackError

from track.errors import JournalError, JournalUnreachable, JournalWriteError

_PASSING = (
    *("starting up", "shutting down", "recovery", "terminating"),
    *("too many", "connection slots", "not accepting"),
)
"""The words of servers that refuse a connection temporarily."""

_SAID_BY_A_SERVER = re.compile(r"(?:^|: )\w+:  \S", re.MULTILINE)

_CLIENT_CERTIFICATE = (
    "name the certificate of this user with sslcert, signed by an authority that the server "
    "trusts, and its key with sslkey, which only its owner may read"
)

_REMEDIES = {
    "certificate verify failed": "name the certificate of the server's authority with sslrootcert",
    "root certificate file": "name the certificate of the server's authority with sslrootcert",
    "match host name": "use a host of the server's certificate in the URI, or sslmode=verify-ca",
    "client certificate": _CLIENT_CERTIFICATE,
    "certificate authentication": _CLIENT_CERTIFICATE,
    "private key": _CLIENT_CERTIFICATE,
    "certificate file": _CLIENT_CERTIFICATE,
    "alert unknown ca": _CLIENT_CERTIFICATE,
    "alert bad certificate": _CLIENT_CERTIFICATE,
    "does not support SSL": "use sslmode=disable, or turn TLS on in the server",
    "no encryption": "use sslmode=verify-full in the URI, or another mode with TLS",
    "sslmode value": "use sslmode=verify-full, verify-ca, require, prefer or disable",
    "target_session_attrs value": "use read-write, read-only, primary, standby or prefer-standby",
}
"""The remedies by the words of a refusal; the driver and libpq have no codes for them."""

_LICENSE_REQUIRED = "XXC02"
"""CockroachDB's SQLSTATE for a cluster whose license limits its speed or its features."""


class Silence(psycopg2.OperationalError):
    """A server did not answer in time."""


class Refused(psycopg2.OperationalError):
    """A server refused this user, or this kind of connection, permanently."""


class Absent(psycopg2.OperationalError):
    """No server was there for the first connection."""


def is_refusal(words: str) -> bool:
    """Return whether connecting failed for a permanent reason.

    The driver gives no codes for errors while it connects, only words. Those of a server come after
    a severity, which differs by server and language.
    """
    if any(refusal in words for refusal in _REMEDIES):
        return True
    return _SAID_BY_A_SERVER.search(words) is not None and not is_passing(words)


def is_passing(words: str) -> bool:
    """Return whether a server refused a connection only for now."""
    return any(passing in words for passing in _PASSING)


def is_lost(error: psycopg2.Error) -> bool:
    """Return whether the connection or the server is gone, at least for now."""
    if error.pgcode is None:
        return not isinstance(error, (Refused, psycopg2.ProgrammingError))
    return error.pgcode.startswith(("08", "57P"))


def is_conflict(error: psycopg2.Error) -> bool:
    """Return whether a transaction was rolled back because of a conflict."""
    return isinstance(error, TransactionRollbackError)


def is_ambiguous(error: psycopg2.Error) -> bool:
    """Return whether it is unknown if a transaction was committed."""
    return is_lost(error) or error.pgcode == "40003"


def words_of(error: psycopg2.Error) -> str:
    """Return the message of an error, whose lines are sentences, in one line."""
    sentences = (" ".join(line.split()).rstrip(".") for line in str(error).splitlines())
    return ". ".join(filter(None, sentences))


def unreachable(servers: object, error: psycopg2.Error, timeout_s: float) -> JournalUnreachable:
    """Return the error of a journal for servers that gave no answer within a time."""
    words = words_of(error)
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return JournalUnreachable(
            f"{servers} turned read-only, and accepted nothing within {timeout_s:g} s ({words}); "
            "name the server that is the primary one now in the URI, too"
        )
    if "read-only" in words or "hot standby" in words:
        return JournalUnreachable(
            f"none of the servers {servers} is of the kind that target_session_attrs requires "
            f"({words}); name another server, or change target_session_attrs"
        )
    within = "" if isinstance(error, Absent) else f" within {timeout_s:g} s"
    return JournalUnreachable(
        f"{servers} did not answer{within} ({words}); "
        "check that the database is running and can be reached"
    )


def explained(servers: object, error: psycopg2.Error) -> JournalError:
    """Return the error of a journal for a refusal of the servers."""
    words = words_of(error)
    if isinstance(error, errors.DiskFull):
        return JournalWriteError(errno.ENOSPC, f"the disk of {servers} is full: free some space")
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return JournalError(
            f"{servers} is read-only ({words}): to write, name the primary server in the URI, or "
            "all servers with target_session_attrs=read-write"
        )
    if error.pgcode == _LICENSE_REQUIRED:
        return JournalError(
            f"the license of the cluster limits {servers}: {words}; set another (SET CLUSTER "
            "SETTING enterprise.license), and let a cluster with a free or trial license report to "
            "Cockroach Labs (diagnostics.reporting.enabled)"
        )
    return JournalError(f"{servers} refused: {words}; {_remedy(error, words)}")


def _remedy(error: psycopg2.Error, words: str) -> str:
    if isinstance(error, errors.InsufficientPrivilege):
        return "allow this user to create tables, or to read and write the existing ones"
    if isinstance(error, Refused):
        remedies = (remedy for refusal, remedy in _REMEDIES.items() if refusal in words)
        return next(remedies, "check the user, the password and the database of the URI")
    return "see the logs of the database"
