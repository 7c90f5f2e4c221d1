"""Capture what a process and its children print."""
