"""Provide storage backends, chosen by the scheme of a URI."""

from track.persistence.protocol import Protocol
from track.persistence.registry import get_protocol, make_local, register

__all__ = ["Protocol", "get_protocol", "make_local", "register"]
