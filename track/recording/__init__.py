"""Provide the parts of a trial's logger: files, media, timers, and the end of a trial."""
