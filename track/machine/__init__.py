"""Measure what this process, its container, its host and its GPUs do."""
