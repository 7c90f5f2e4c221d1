"""Servers that a script can start for itself."""
