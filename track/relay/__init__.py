"""Provide both ends of the relay: clients and servers."""
