"""Callbacks and loggers for other frameworks. Each module imports the framework it is named after.

All of them log through :class:`track.integrations.run.Run` and accept its arguments.
"""
