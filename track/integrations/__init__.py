"""Callbacks and loggers for other frameworks; each module imports the one it is named after.

All of them log through one :class:`track.integrations.run.Run`, and take its arguments.
"""
