"""Encrypt a connection: agree on keys, seal and open data.

Both ends make a new key pair for each connection (X25519), derive a key per direction (HKDF-SHA256)
and number what they seal (AES-256-GCM with the number as the nonce), so that altering, repeating,
omitting or reordering data is noticed. This module has no sockets.

None of this proves who the peer is: an attacker in between can exchange keys with both ends. To
exclude that, bind a secret to the transcript.
"""

from __future__ import annotations

from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from track.errors import InsecureConnection
from track.utils.forking import ForkSafeLock, renew_in_children

OVERHEAD = 16
"""The number of bytes that sealing adds."""

KEY_SIZE = 32
"""The size of a key, public or private, in bytes."""

_NONCE_SIZE = 12
_LAST_NONCE = 2 ** (8 * _NONCE_SIZE) - 1

FORKED = (
    "this connection belongs to the parent of this forked process, and using it here would reveal "
    "its secrets: connect again"
)
ALTERED = "received data is not what the peer sent next: data was altered, repeated or lost"


class _Single:
    """An object that cannot be copied, since a copy would use the same nonces again."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} can be neither copied nor pickled")


class KeyExchange(_Single):
    """A key pair for one connection.

    Attributes
    ----------
    public
        the public key for the peer, 32 bytes
    """

    def __init__(self) -> None:
        self._private: X25519PrivateKey | None = X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        self._private = None

    def finish(self, peer_public: bytes, transcript: bytes, *, is_server: bool) -> EncryptedChannel:
        """Return the channel to the peer. This can be called once.

        Parameters
        ----------
        peer_public
            the public key of the peer
        transcript
            the digest of what both ends sent before; with different ones, nothing can be opened
        is_server
            whether this end is the server

        Raises
        ------
        InsecureConnection
            the public key is invalid or weak
        RuntimeError
            the key pair was used before, or belongs to the parent of this forked process
        """
        private, self._private = self._private, None
        if private is None:
            raise RuntimeError("a key pair serves one connection of one process: make a new one")
        try:
            secret = private.exchange(X25519PublicKey.from_public_bytes(peer_public))
        except ValueError as error:
            raise InsecureConnection(f"the peer sent an unusable public key: {error}") from error
        keys = HKDF(SHA256(), 2 * KEY_SIZE, salt=transcript, info=b"track encrypted v1")
        derived = keys.derive(secret)
        of_client, of_server = derived[:KEY_SIZE], derived[KEY_SIZE:]
        if is_server:
            return EncryptedChannel(of_server, of_client)
        return EncryptedChannel(of_client, of_server)


class _Direction(_Single):
    """The key of one direction, and the nonces used with it."""

    def __init__(self, key: bytes) -> None:
        self.cipher = AESGCM(key)
        self.lock = ForkSafeLock()
        self.refusal = ""
        self._count = 0
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        self.refusal = FORKED

    def next_nonce(self) -> bytes:
        """Return a nonce that was never used; the caller must hold the lock."""
        if self._count > _LAST_NONCE:
            self.refusal = "this connection was used too often: connect again"
        if self.refusal:
            raise InsecureConnection(self.refusal)
        nonce = self._count.to_bytes(_NONCE_SIZE, "big")
        self._count += 1  # counted before its use, so that a failure cannot make it used twice
        return nonce


class EncryptedChannel(_Single):
    """One end of a connection. The peer opens what this end seals, in the same order.

    Any thread may seal, and any thread may open.

    Parameters
    ----------
    sealing_key, opening_key
        32 bytes each, for this channel only
    """

    def __init__(self, sealing_key: bytes, opening_key: bytes) -> None:
        self._sealing = _Direction(sealing_key)
        self._opening = _Direction(opening_key)

    def seal(self, data: bytes | bytearray | memoryview) -> bytes:
        """Encrypt, number and authenticate data.

        Raises
        ------
        InsecureConnection
            this is a forked process, or all nonces are used up
        """
        with self._sealing.lock:
            return self._sealing.cipher.encrypt(self._sealing.next_nonce(), data, None)

    def open(self, data: bytes | bytearray | memoryview) -> bytes:
        """Return the data that the peer sealed.

        Raises
        ------
        InsecureConnection
            the data is not what the peer sealed next, or earlier data was not; this is a forked
            process, or all nonces are used up
        """
        with self._opening.lock:
            nonce = self._opening.next_nonce()
            try:
                return self._opening.cipher.decrypt(nonce, data, None)
            except InvalidTag as error:
                self._opening.refusal = ALTERED
                raise InsecureConnection(ALTERED) from error
