"""Provide the journals, which keep events."""
