"""The name of a store, as the title of its page."""

from __future__ import annotations

import os

from track.persistence.utils import PATH_SCHEMES, parse_uri, without_password

_DATABASES = {
    "postgres": "PostgreSQL",
    "postgresql": "PostgreSQL",
    "cockroach": "CockroachDB",
}
_UNNAMED = frozenset(("", "postgres", "defaultdb"))
"""Databases that every server has, so that their names say nothing of what is in them."""


def store_name(uri: str) -> str:
    """Return what people call a store: its file, or its log or database and the server.

    It contains neither a password nor a user.
    """
    uri = without_password(uri)
    parts = parse_uri(uri)
    scheme, path = parts["scheme"], parts["path"].rstrip("/")
    if scheme in PATH_SCHEMES or not (parts.get("address") or scheme in _DATABASES):
        return os.path.basename(path).removesuffix(".json") or uri
    host = _without_ports(parts.get("address") or "localhost")
    if scheme in _DATABASES:
        database = os.path.basename(path)
        log = parts["query"].get("log", "")
        name = log or ("" if database in _UNNAMED else database) or _DATABASES[scheme]
        return f"{name} at {host}"
    return f"{host}:{parts['port']}" if parts.get("port") else host


def _without_ports(address: str) -> str:
    """Return the hosts of an address; several are separated by commas."""
    hosts = (
        host.partition("]")[0].strip("[") if "[" in host else host.partition(":")[0]
        for host in address.split(",")
    )
    return ", ".join(dict.fromkeys(hosts))
