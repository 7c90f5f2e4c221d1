"""Storage backends, found by the scheme of their URI."""

from track.persistence.protocol import Protocol
from track.persistence.registry import get_protocol, make_local, register

__all__ = ["Protocol", "get_protocol", "make_local", "register"]
