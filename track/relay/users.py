"""Keep the users of a server, with verifiers of their passwords.

For each name, the file has the StoredKey and ServerKey of SCRAM (RFC 5802), made with scrypt:
enough to check a proof, not enough to make one. It also has a secret, from which the challenges
for unknown names are made. The file is read again whenever it has changed.

Names and passwords are compared in their normal form NFKC, so that different ways of typing the
same text are equal. Case and spaces matter.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import stat
import unicodedata
from collections.abc import Callable
from typing import Any, NamedTuple

from track.errors import BackendError, ItemNotFound, LockTimeout
from track.utils.files import replacing

logger = logging.getLogger(__name__)

COST = (2**15, 8, 1)
"""n, r and p of scrypt for new passwords: about 80 ms, and 32 MiB."""

MOST_COST = (2**18, 16, 4)
"""The largest acceptable cost: half a GiB. With more, one login would occupy a machine."""

SALT_LENGTHS = range(16, 65)
"""The allowed sizes of the salt in bytes."""

_VERSION = 1
_MAX_NAME = 255
_SALT_BYTES = 16
_KEY_BYTES = 32
_SECRET_BYTES = 32
_RESTORE = "restore it from a copy, or move it away and add its users again"


class Cost(NamedTuple):
    """The salt and the parameters of scrypt."""

    salt: bytes
    n: int
    r: int
    p: int

    def is_sound(self) -> bool:
        """Return whether scrypt can run at this cost in a reasonable time."""
        power_of_two = self.n > 1 and self.n & (self.n - 1) == 0
        bounded = all(0 < asked <= most for asked, most in zip(self[1:], MOST_COST, strict=True))
        return power_of_two and bounded and len(self.salt) in SALT_LENGTHS


class Verifier(NamedTuple):
    """The keys with which a server checks a password."""

    cost: Cost
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return "Verifier(…)"


def salted(password: str, cost: Cost) -> bytes:
    """Return the result of scrypt for a password, which suffices to log in."""
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
    """Return the verifier of a password, which does not suffice to log in."""
    client_key = keyed(salted_password, b"Client Key")
    stored_key = hashlib.sha256(client_key).digest()
    return Verifier(cost, stored_key, keyed(salted_password, b"Server Key"))


def keyed(key: bytes, text: bytes) -> bytes:
    """Return HMAC-SHA-256."""
    return hmac.digest(key, text, "sha256")


def normal(text: str) -> str:
    """Return the normal form (NFKC) of a name or a password."""
    return unicodedata.normalize("NFKC", text)


class _Content(NamedTuple):
    """The content of the file."""

    secret: bytes | None
    """None in a file of an older version, and if the file is missing."""
    verifiers: dict[str, Verifier]


class Users:
    """The file of the users of a server. Any threads and processes may use it.

    Parameters
    ----------
    path
        the path, created when the first user is added, readable by its owner only
    cost
        n, r and p of scrypt for new passwords, and for the challenges of unknown names
    most_bytes
        the size below which the file must stay
    lock_timeout_s
        how long to wait for another process that changes the file

    Notes
    -----
    Every method raises a BackendError if the file cannot be used; those that change it raise a
    LockTimeout if another process does not finish its change.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        cost: tuple[int, int, int] = COST,
        most_bytes: int = 2**24,
        lock_timeout_s: float = 30.0,
    ) -> None:
        self.path = os.path.abspath(path)
        self.cost = cost
        self._most_bytes = most_bytes
        self._lock_timeout_s = lock_timeout_s
        self._read: tuple[tuple[int, ...], _Content] | None = None
        """The mark of the file that was read, and its content.

        Both are one attribute: with two, another thread might combine the users of an older file
        with the mark of a newer one, so that removed users could still log in.
        """

    def add(self, name: str, password: str) -> None:
        """Add a user, or change the password of one.

        Raises
        ------
        BackendError
            the name or the password cannot be used
        """
        name = _checked(name)
        if not password:
            raise BackendError(f"the user {name!r} needs a password that is not empty")
        cost = Cost(os.urandom(_SALT_BYTES), *self.cost)
        verifier = verifier_of(salted(password, cost), cost)
        self._change(lambda verifiers: verifiers.update({name: verifier}))

    def remove(self, name: str) -> None:
        """Remove a user.

        Raises
        ------
        ItemNotFound
            the user does not exist
        """

        def take_out(verifiers: dict[str, Verifier]) -> None:
            if verifiers.pop(normal(name), None) is None:
                raise ItemNotFound(f"no user {name!r} in {self.path}; run `track user list`")

        self._change(take_out)

    def names(self) -> list[str]:
        """Return the names of all users, sorted."""
        return sorted(self._current().verifiers)

    def verifier(self, name: str) -> Verifier | None:
        """Return the verifier of a user's password, None for an unknown user."""
        return self._current().verifiers.get(normal(name))

    def secret(self) -> bytes | None:
        """Return the secret in the file, None without one."""
        return self._current().secret

    def complete(self) -> None:
        """Complete an existing file of an older version."""
        if os.path.exists(self.path) and self.secret() is None:
            self._change(lambda _: None)

    def _change(self, change: Callable[[dict[str, Verifier]], object]) -> None:
        try:
            replaced = replacing(self.path, self._lock_timeout_s, encoding="utf-8", private=True)
            with replaced as file:
                secret, verifiers = self._current()
                verifiers = dict(verifiers)
                change(verifiers)
                content = _Content(secret or os.urandom(_SECRET_BYTES), verifiers)
                text = json.dumps(_to_json(content), indent=1, sort_keys=True) + "\n"
                if len(text) >= self._most_bytes:
                    raise self._too_long("remove users")
                file.write(text)
        except LockTimeout:  # an OSError with its own remedy
            raise
        except OSError as error:
            raise _out_of_reach(self.path, error) from error

    def _current(self) -> _Content:
        try:
            with open(self.path, encoding="utf-8") as file:
                found = os.fstat(file.fileno())
                mark = _mark(found)
                read = self._read
                if read is None or read[0] != mark:
                    self._check(found)
                    read = self._read = mark, _from_json(self.path, file.read(self._most_bytes))
                return read[1]
        except FileNotFoundError:
            self._read = None
            return _Content(None, {})
        except OSError as error:
            raise _out_of_reach(self.path, error) from error
        except UnicodeDecodeError as error:
            raise _damaged(self.path, error) from error

    def _check(self, found: os.stat_result) -> None:
        if found.st_size >= self._most_bytes:
            raise self._too_long("make sure that it is the right file")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            remedy = "check its users, then run chmod 600"
            raise _unusable(self.path, "other users may write to it", remedy)
        if found.st_mode & (stat.S_IRGRP | stat.S_IROTH):
            logger.warning("other users may read the users file %s: run chmod 600", self.path)

    def _too_long(self, remedy: str) -> BackendError:
        return _unusable(self.path, f"it is {self._most_bytes} bytes long, or longer", remedy)


def _mark(found: os.stat_result) -> tuple[int, ...]:
    """Return values that differ after any change, including of permissions."""
    times = found.st_mtime_ns, found.st_ctime_ns
    return found.st_dev, found.st_ino, found.st_size, found.st_mode, *times


def _checked(name: str) -> str:
    name = normal(name)
    if not 0 < len(name) <= _MAX_NAME or not name.isprintable():
        raise BackendError(
            f"{name[:80]!r} cannot be the name of a user: use 1 to {_MAX_NAME} printable characters"
        )
    return name


def _to_json(content: _Content) -> dict[str, Any]:
    secret, verifiers = content
    users = {
        name: {
            "scrypt": [*verifier.cost[1:]],
            "salt": verifier.cost.salt.hex(),
            "stored_key": verifier.stored_key.hex(),
            "server_key": verifier.server_key.hex(),
        }
        for name, verifier in verifiers.items()
    }
    return {"track_users": _VERSION, "secret": (secret or b"").hex(), "users": users}


def _from_json(path: str, text: str) -> _Content:
    try:
        # An empty file is allowed, so that owner and mode can be set first.
        content: Any = json.loads(text or '{"track_users": 1, "users": {}}')
        version = content["track_users"]
        if version == _VERSION:
            secret = bytes.fromhex(content.get("secret", "")) or None
            verifiers = {name: _verifier(user) for name, user in content["users"].items()}
            return _Content(secret, verifiers)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(path, error) from error
    if isinstance(version, int) and version > _VERSION:
        raise _unusable(path, f"it is of version {version}", "update Track")
    raise _unusable(path, "it is damaged (version)", _RESTORE)


def _verifier(user: dict[str, Any]) -> Verifier:
    n, r, p = map(int, user["scrypt"])
    cost = Cost(bytes.fromhex(user["salt"]), n, r, p)
    stored, server = bytes.fromhex(user["stored_key"]), bytes.fromhex(user["server_key"])
    if len(stored) != _KEY_BYTES or len(server) != _KEY_BYTES or not cost.is_sound():
        raise ValueError("the length of a key, or the cost, is invalid")
    return Verifier(cost, stored, server)


def _damaged(path: str, error: Exception) -> BackendError:
    # Name only the class of the error, since its message may quote the file.
    return _unusable(path, f"it is damaged ({type(error).__name__})", _RESTORE)


def _out_of_reach(path: str, error: OSError) -> BackendError:
    why = error.strerror or type(error).__name__
    return _unusable(path, why, "check its folder, its owner and the space on its disk")


def _unusable(path: str, why: str, remedy: str) -> BackendError:
    return BackendError(f"the users file {path} cannot be used: {why}; {remedy}")
