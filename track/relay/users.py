"""Who may log in to a server: names, and what proves that somebody knows their password.

The file holds, for each name, what SCRAM (RFC 5802) calls StoredKey and ServerKey, made with
scrypt: enough to check a proof, not enough to make one. It is read again whenever it was changed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import stat
import unicodedata
from typing import Any, NamedTuple

from track.errors import BackendError, ItemNotFound
from track.utils.files import replacing

logger = logging.getLogger(__name__)

COST = (2**15, 8, 1)
"""n, r and p of scrypt for new passwords: some 80 ms, and 32 MiB."""

_VERSION = 1
_MAX_FILE = 2**24
_MAX_NAME = 255
_SALT_BYTES = 16
_KEY_BYTES = 32
_LOCK_TIMEOUT_S = 30.0


class Cost(NamedTuple):
    """What scrypt needs beside a password."""

    salt: bytes
    n: int
    r: int
    p: int


class Verifier(NamedTuple):
    """What a server knows of a password."""

    cost: Cost
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return "Verifier(…)"


def salted(password: str, cost: Cost) -> bytes:
    """Return what scrypt makes of a password: whoever has it can log in."""
    memory = 128 * cost.r * (cost.n + cost.p + 2)
    return hashlib.scrypt(
        normal(password).encode("utf-8", "surrogatepass"),
        salt=cost.salt,
        n=cost.n,
        r=cost.r,
        p=cost.p,
        maxmem=memory + 2**20,
        dklen=_KEY_BYTES,
    )


def verifier_of(salted_password: bytes, cost: Cost) -> Verifier:
    """Return what a server may know of a password."""
    client_key = keyed(salted_password, b"Client Key")
    stored_key = hashlib.sha256(client_key).digest()
    return Verifier(cost, stored_key, keyed(salted_password, b"Server Key"))


def keyed(key: bytes, text: bytes) -> bytes:
    """Return HMAC-SHA-256."""
    return hmac.digest(key, text, "sha256")


def normal(text: str) -> str:
    """Return a name or a password in the one form (NFKC) of all that look the same."""
    return unicodedata.normalize("NFKC", text)


class Users:
    """The file of the users of a server.

    Parameters
    ----------
    path
        where; made when the first user is added, readable by its owner only
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)
        self._seen: tuple[int, ...] | None = None
        self._verifiers: dict[str, Verifier] = {}

    def add(self, name: str, password: str) -> None:
        """Add a user, or change the password of one.

        Raises
        ------
        BackendError
            the name or the password cannot be used, or the file cannot
        """
        name = _checked(name)
        if not password:
            raise BackendError(f"the user {name!r} needs a password that is not empty")
        cost = Cost(os.urandom(_SALT_BYTES), *COST)
        verifier = verifier_of(salted(password, cost), cost)
        self._change(lambda verifiers: verifiers.update({name: verifier}))

    def remove(self, name: str) -> None:
        """Remove a user.

        Raises
        ------
        ItemNotFound
            there is none of this name
        """

        def take_out(verifiers: dict[str, Verifier]) -> None:
            if verifiers.pop(normal(name), None) is None:
                raise ItemNotFound(f"there is no user {name!r} in {self.path}")

        self._change(take_out)

    def names(self) -> list[str]:
        """Return the names of all users, sorted."""
        return sorted(self._current())

    def verifier(self, name: str) -> Verifier | None:
        """Return what is known of a user's password, None for an unknown user."""
        return self._current().get(normal(name))

    def _change(self, change: Any) -> None:
        with replacing(self.path, _LOCK_TIMEOUT_S, encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            self._seen = None
            verifiers = dict(self._current())
            change(verifiers)
            json.dump(_to_json(verifiers), file, indent=1, sort_keys=True)
            file.write("\n")
        self._seen = None

    def _current(self) -> dict[str, Verifier]:
        try:
            with open(self.path, encoding="utf-8") as file:
                found = os.fstat(file.fileno())
                seen = (found.st_ino, found.st_size, found.st_mtime_ns)
                if seen != self._seen:
                    self._check(found)
                    self._verifiers = _from_json(self.path, file.read(_MAX_FILE))
                    self._seen = seen
        except FileNotFoundError:
            self._seen, self._verifiers = None, {}
        except (OSError, UnicodeDecodeError) as error:
            raise _unusable(self.path, str(error)) from error
        return self._verifiers

    def _check(self, found: os.stat_result) -> None:
        if found.st_size >= _MAX_FILE:
            raise _unusable(self.path, f"it is over {_MAX_FILE} bytes long")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise _unusable(self.path, "others may write to it: chmod 600 it")
        if found.st_mode & (stat.S_IRGRP | stat.S_IROTH):
            logger.warning("others may read the users file %s: chmod 600 it", self.path)


def _checked(name: str) -> str:
    name = normal(name)
    if not 0 < len(name) <= _MAX_NAME or not name.isprintable():
        raise BackendError(
            f"{name[:80]!r} cannot be the name of a user: use 1 to {_MAX_NAME} printable characters"
        )
    return name


def _to_json(verifiers: dict[str, Verifier]) -> dict[str, Any]:
    users = {
        name: {
            "scrypt": [*verifier.cost[1:]],
            "salt": verifier.cost.salt.hex(),
            "stored_key": verifier.stored_key.hex(),
            "server_key": verifier.server_key.hex(),
        }
        for name, verifier in verifiers.items()
    }
    return {"track_users": _VERSION, "users": users}


def _from_json(path: str, text: str) -> dict[str, Verifier]:
    try:
        content: Any = json.loads(text or '{"track_users": 1, "users": {}}')
        version = content["track_users"]
        if version == _VERSION:
            return {name: _verifier(user) for name, user in content["users"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _unusable(path, f"it is damaged ({type(error).__name__})") from error
    raise _unusable(path, f"it is of version {version!r}, which this Track does not know")


def _verifier(user: dict[str, Any]) -> Verifier:
    n, r, p = map(int, user["scrypt"])
    cost = Cost(bytes.fromhex(user["salt"]), n, r, p)
    stored, server = bytes.fromhex(user["stored_key"]), bytes.fromhex(user["server_key"])
    if len(stored) != _KEY_BYTES or len(server) != _KEY_BYTES:
        raise ValueError("a key has another length")
    return Verifier(cost, stored, server)


def _unusable(path: str, why: str) -> BackendError:
    return BackendError(
        f"the users file {path} cannot be used: {why}; correct it, or make a new one"
    )
