"""Maintain stores on disk."""
