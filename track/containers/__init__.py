"""Provide compact containers of numbers."""
