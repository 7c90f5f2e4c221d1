"""Prove the knowledge of a password, in both directions, without a socket.

This is SCRAM (RFC 5802) with scrypt instead of PBKDF2. A proof includes a digest of the beginning
of the connection, so it is invalid on any other connection: an attacker in between, with a
connection to each side, cannot use the proofs of either.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections import OrderedDict
from typing import NamedTuple

from track.errors import AuthenticationError
from track.relay.users import Cost, Users, keyed, normal, salted, verifier_of

LEAST_N = 2**14
"""The lowest cost of a proof that a client accepts, see :class:`Cost`."""

_LEAST_R = 8
_REMEMBERED = 64
_KEY_BYTES = 32


class Challenge(NamedTuple):
    """The parameters of a proof besides the password, see :class:`Cost`."""

    salt: bytes
    n: int
    r: int
    p: int

    @classmethod
    def read(cls, value: object, least_n: int = LEAST_N) -> Challenge:
        """Return a received challenge, a list of its fields.

        Parameters
        ----------
        value
            what was received
        least_n
            the lowest cost to accept

        Raises
        ------
        AuthenticationError
            the challenge is invalid, or no honest server would send it: so cheap that its sender
            could guess the password from the proof, or so expensive that it would take for ever
        """
        match value:
            # In Python, True and False are numbers, but they are other bytes on a connection.
            case [bytes() as salt, int() as n, int() as r, int() as p] if bool not in map(
                type, (n, r, p)
            ):
                challenge = cls(salt, n, r, p)
            case _:
                raise AuthenticationError("the server's challenge is invalid")
        challenge.check(least_n)
        return challenge

    def check(self, least_n: int) -> None:
        """Check that an honest server could send this challenge, at this cost or a higher one.

        Raises
        ------
        AuthenticationError
            see :meth:`read`
        """
        if not Cost(*self).is_sound() or self.n < least_n or self.r < _LEAST_R:
            raise AuthenticationError(
                "the server asks for a proof at an unacceptable cost: "
                f"n={self.n}, r={self.r}, p={self.p}, {len(self.salt)} bytes of salt"
            )


_remembered: OrderedDict[bytes, bytes] = OrderedDict()
"""The results of scrypt for passwords used before, so that reconnecting does not take 80 ms."""


class ClientLogin:
    """The client's half of a login.

    Parameters
    ----------
    name, password
        the name and the password
    least_n
        the lowest cost of a proof to accept
    """

    def __init__(self, name: str, password: str, least_n: int = LEAST_N) -> None:
        self._name = name
        self._password = password
        self._least_n = least_n
        self._signature = b""

    def prove(self, challenge: Challenge, transcript: bytes) -> bytes:
        """Return the proof that this client knows the password.

        Parameters
        ----------
        challenge
            the challenge of the server
        transcript
            a digest of the beginning of the connection

        Raises
        ------
        AuthenticationError
            no honest server would send this challenge, see :meth:`Challenge.read`
        """
        self._signature = b""
        challenge.check(self._least_n)  # a proof allows guessing the password, so check again
        cost = Cost(*challenge)
        key = _salted(self._password, cost)
        client_key = keyed(key, b"Client Key")
        verifier = verifier_of(key, cost)
        text = _text(self._name, challenge, transcript)
        self._signature = keyed(verifier.server_key, text)
        return _xor(client_key, keyed(verifier.stored_key, text))

    def check(self, signature: bytes) -> None:
        """Check the server's proof that it knows the verifier of the password.

        Raises
        ------
        AuthenticationError
            the proof is invalid
        """
        if not self._signature or not hmac.compare_digest(signature, self._signature):
            raise AuthenticationError(
                "the server did not prove that it knows the password: it may be an impostor, or "
                "the connection is intercepted"
            )


def _salted(password: str, cost: Cost) -> bytes:
    name = hashlib.sha256(
        _packed(normal(password).encode("utf-8", "surrogatepass"), *_fields(cost))
    )
    key = _remembered.get(name.digest())
    if key is None:
        key = _remembered[name.digest()] = salted(password, cost)
        if len(_remembered) > _REMEMBERED:
            _remembered.popitem(last=False)
    return key


class ServerLogin:
    """The server's half of logins.

    Parameters
    ----------
    users
        the users who may log in
    """

    def __init__(self, users: Users) -> None:
        self._users = users
        self._secret = os.urandom(_KEY_BYTES)

    def challenge(self, name: str) -> Challenge:
        """Return the challenge for a name, which does not reveal whether the user exists.

        Raises
        ------
        BackendError
            the file of users cannot be used
        """
        verifier = self._users.verifier(name)
        # A secret that changed with each start would reveal which users do not exist.
        secret = self._users.secret() or self._secret
        made_up = keyed(secret, normal(name).encode("utf-8", "surrogatepass"))
        if verifier is not None:
            return Challenge(*verifier.cost)
        return Challenge(made_up[:16], *self._users.cost)

    def verify(self, name: str, challenge: Challenge, proof: bytes, transcript: bytes) -> bytes:
        """Check the proof of a client, and return that of the server.

        Raises
        ------
        AuthenticationError
            the proof is invalid, or the user does not exist; the message does not tell which
        BackendError
            the file of users cannot be used
        """
        verifier = self._users.verifier(name)
        text = _text(name, challenge, transcript)
        # Unknown users take the same steps with unknown keys, which are also made for known
        # users, so that the time of an answer does not reveal whether a user exists.
        nobody = verifier_of(self._secret, Cost(*challenge))
        known = nobody if verifier is None else verifier
        client_key = _xor(proof.ljust(_KEY_BYTES, b"\0"), keyed(known.stored_key, text))
        right = hmac.compare_digest(hashlib.sha256(client_key).digest(), known.stored_key)
        if not right or verifier is None or len(proof) != _KEY_BYTES:
            raise AuthenticationError("the name or the password is wrong")
        return keyed(known.server_key, text)


def check_password(users: Users, name: str, password: str) -> bool:
    """Return whether a password is correct, taking the same time for users that do not exist.

    Raises
    ------
    BackendError
        the file of users cannot be used
    """
    verifier = users.verifier(name)
    cost = Cost(bytes(16), *users.cost) if verifier is None else verifier.cost
    made = verifier_of(salted(password, cost), cost)
    expected = made.stored_key[::-1] if verifier is None else verifier.stored_key
    return hmac.compare_digest(made.stored_key, expected) and verifier is not None


def _text(name: str, challenge: Challenge, transcript: bytes) -> bytes:
    """Return the text that both proofs authenticate."""
    encoded = normal(name).encode("utf-8", "surrogatepass")
    return _packed(b"track login 1", transcript, encoded, *_fields(challenge))


def _fields(cost: Cost | Challenge) -> list[bytes]:
    return [cost.salt, *(str(number).encode() for number in cost[1:])]


def _packed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=False))
