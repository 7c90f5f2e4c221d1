"""Fold events into state, purely: without clock, files or randomness."""
