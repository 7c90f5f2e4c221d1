"""Containers of numbers that stay small."""
