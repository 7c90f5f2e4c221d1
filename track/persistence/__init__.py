"""Storage backends, found by the scheme of their URI."""

from track.persistence.backends import get_protocol, make_local, register
from track.persistence.protocol import Protocol

__all__ = ["Protocol", "get_protocol", "make_local", "register"]
